// Go, without a library: sd_notify is one datagram to a Unix socket.
//
//	[services.worker]
//	command = ["./worker"]
//	ready = { notify = true }
//	heartbeat = { source = "notify", interval = "1s" }
package main

import (
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// notify tells the supervisor; without one it does nothing.
func notify(state string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	if strings.HasPrefix(name, "@") { // an abstract name
		name = "\x00" + name[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return // a supervisor that is just being replaced is no reason to die
	}
	defer conn.Close()
	// A beat that cannot be sent at once is not worth waiting for.
	conn.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	conn.Write([]byte(state))
}

// interval is how often a beat is expected (half of WATCHDOG_USEC), or 0.
func interval() time.Duration {
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(usec) * time.Microsecond / 2
}

func main() {
	notify("READY=1\nSTATUS=waiting for jobs")
	every := interval()
	var next time.Time
	for {
		time.Sleep(100 * time.Millisecond) // the job
		// From the loop that works, not from a goroutine with a ticker: that one would beat while this one hangs.
		if every > 0 && time.Now().After(next) {
			notify("WATCHDOG=1")
			next = time.Now().Add(every / 4)
		}
	}
}
