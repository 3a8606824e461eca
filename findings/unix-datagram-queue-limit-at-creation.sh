#!/usr/bin/env bash
# net.unix.max_dgram_qlen is copied into a Unix datagram socket when the socket is made: a running daemon keeps the old
# queue.
#
# One would expect that `sysctl -w net.unix.max_dgram_qlen=512`, the usual advice where senders of sd_notify or syslog
# messages wait or lose them, works at once for all sockets, as it does for most limits of the kernel.  But the limit is
# that of the moment, and of the network namespace, in which the *receiver's* socket was made: raised later it changes
# nothing until the daemon is started again, and lowered later it leaves the long queue.  One datagram more than the limit
# fits.  listen(2), by which the queue of a stream socket is set, is refused for datagrams (ENOTSUP).  And a limit of
# 512 is not 512 for one sender: each datagram of some bytes counts as 768 bytes of its send buffer, so that 278 fit.
#
# It matters for every daemon that receives by a Unix datagram socket (supervisors, syslog, statsd), and for containers,
# in which nobody has raised the limit from 10 before the daemon started.
#
# Seen 2026-11-30 with Linux 6.18.44, CPython 3.11.7 and sdnotify 0.3.2 from PyPI, whose notifier sends with a socket of its
# own.  It runs in a network namespace of its own; the limit of the machine is not touched.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check sdnotify==0.3.2

cat >"$place/finding.py" <<'PYTHON'
import errno, os, socket, sys

from sdnotify import SystemdNotifier

place = sys.argv[1]


def limit(datagrams):
    with open("/proc/sys/net/unix/max_dgram_qlen", "w") as setting:
        setting.write(str(datagrams))


def receiver(name):
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.bind(f"{place}/{name}")
    return made


def taken(name):
    os.environ["NOTIFY_SOCKET"] = f"{place}/{name}"
    notifier = SystemdNotifier(debug=True)
    notifier.socket.setblocking(False)
    count = 0
    try:
        while count < 1000:
            notifier.notify("WATCHDOG=1")
            count += 1
    except BlockingIOError:
        return count
    return "all"


limit(10)
early = receiver("early")
limit(512)
late = receiver("late")
limit(10)
print(f"made at a limit of 10, filled at 10: {taken('early')}")
print(f"made at a limit of 512, filled at 10: {taken('late')}")
early.close()
os.unlink(f"{place}/early")
again = receiver("early")
limit(512)
print(f"made at a limit of 10, filled at 512: {taken('early')}")
try:
    again.listen(512)
except OSError as error:
    print(f"listen: {errno.errorcode[error.errno]}")
PYTHON

"$place/venv/bin/python" --version
uname -r
seen=$(unshare --user --map-root-user --net "$place/venv/bin/python" "$place/finding.py" "$place")
expected='made at a limit of 10, filled at 10: 11
made at a limit of 512, filled at 10: 278
made at a limit of 10, filled at 512: 11
listen: ENOTSUP'
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected" >&2; exit 1; }
