/* The program that every supervisor under measurement runs.  It reports its start, then does one thing for ever.
 *
 *   victim FIFO ID pause
 *   victim FIFO ID beat INTERVAL_MS BEATS    READY=1, then WATCHDOG=1; after BEATS beats it hangs (0: never)
 *   victim FIFO ID chatty GATE BLOCKS SIZE   waits for GATE to be opened, then writes BLOCKS x 16384 lines of 100 bytes,
 *                                            SIZE bytes with each write
 *
 * A record is one atomic write to FIFO; victims.py reads them.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum kind { STARTED = 1, HUNG = 2, OPENED = 3, DONE = 4 };
struct record { int64_t ns; uint32_t id, pid, kind, reserved; };

enum { LINE = 100, LINES = 16384 };  /* with writes of 65536 bytes lines straddle the writes */
static char block[LINES * LINE];

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void report(const char *fifo, int id, enum kind kind, int64_t ns) {
    struct record r = {ns, (uint32_t)id, (uint32_t)getpid(), kind, 0};
    int fd = open(fifo, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0 || write(fd, &r, sizeof r) != sizeof r) _exit(111);
    close(fd);
}

static void sleep_ns(int64_t ns) {
    struct timespec t = {ns / 1000000000, ns % 1000000000};
    while (nanosleep(&t, &t) != 0) {}
}

static void hang(void) {
    for (;;) pause();
}

static int notify_socket(void) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (!path || fd < 0) _exit(112);
    size_t length = strlen(path);
    memcpy(to.sun_path, path, length < sizeof to.sun_path ? length : sizeof to.sun_path);
    if (path[0] == '@') to.sun_path[0] = 0;
    if (connect(fd, (struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) != 0) _exit(113);
    return fd;
}

static void beat(const char *fifo, int id, int64_t interval, long beats) {
    int fd = notify_socket();
    send(fd, "READY=1", 7, 0);
    sleep_ns(interval * (id % 100) / 100);  /* so that a hundred of them do not beat at once */
    for (long i = 1; send(fd, "WATCHDOG=1", 10, 0), i != beats; i++) sleep_ns(interval);
    sleep_ns(interval * (getpid() * 37 % 100) / 100);  /* hang at any time between two beats */
    report(fifo, id, HUNG, now());
}

static void write_all(const char *from, size_t size) {
    while (size > 0) {
        ssize_t n = write(1, from, size);
        if (n < 0) _exit(114);
        from += n;
        size -= (size_t)n;
    }
}

static void chatter(long blocks, size_t size) {
    unsigned long number = 0;
    memset(block, '.', sizeof block);
    for (long b = 0; b < blocks; b++) {
        for (char *line = block; line < block + sizeof block; line += LINE) {
            unsigned long rest = number++;
            for (int digit = 9; digit >= 0; digit--, rest /= 10) line[digit] = (char)('0' + rest % 10);
            line[10] = ' ';
            line[LINE - 1] = '\n';
        }
        for (size_t at = 0; at < sizeof block; at += size) write_all(block + at, at + size < sizeof block ? size : sizeof block - at);
    }
}

int main(int argc, char **argv) {
    int64_t began = now();
    if (argc < 4) return 2;
    const char *fifo = argv[1], *mode = argv[3];
    int id = atoi(argv[2]);
    report(fifo, id, STARTED, began);
    if (!strcmp(mode, "beat") && argc == 6) beat(fifo, id, atol(argv[4]) * 1000000L, atol(argv[5]));
    if (!strcmp(mode, "chatty") && argc == 7) {
        int gate = open(argv[4], O_RDONLY | O_CLOEXEC);  /* blocks until the other end is opened */
        report(fifo, id, OPENED, now());
        chatter(atol(argv[5]), (size_t)atol(argv[6]));
        report(fifo, id, DONE, now());
        close(gate);
    }
    hang();
}
