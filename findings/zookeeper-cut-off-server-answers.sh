#!/usr/bin/env bash
# A ZooKeeper server that is cut off from the others answers reads for seconds, while they end the client's session.
#
# One would expect that a session lives for its timeout after any answered request: so a lock's owner that counts from
# its last answer, as good clients do, is on the safe side.  But a read, and `exists` on the path of the lock itself, is
# answered by the server that has the connection.  If the link between that server and the leader is cut, it goes on
# answering until syncLimit ticks are over (10 s with the packaged configuration), the leader hears of the client no
# more, and ends the session one timeout after the cut.  Both moments are nearly the same: the owner then believes that
# it has a whole timeout left, while its lock is gone and another client has it.  An answered write is proof.
#
# Seen 2026-11-29 with ZooKeeper 3.8.0 (Debian 12), kazoo 2.11.0, tickTime 2 s, syncLimit 5, session 10 s: reads were
# answered until 9.5 s after the cut, the node was gone for the other servers 10.6 s after it, no write was answered.
# It matters for everything that runs once in a cluster: two owners for up to the length of a session.
set -euo pipefail
jar=/usr/share/java/zookeeper.jar
[ -e "$jar" ] || { echo "needs Debian's zookeeper: apt-get install zookeeper" >&2; exit 2; }
place=$(mktemp -d)
servers=()
trap '{ kill -9 "${servers[@]}" && wait "${servers[@]}"; } 2>/dev/null; rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" --quiet --disable-pip-version-check install kazoo==2.11.0
ports=($(python3 -c '
import socket
doors = [socket.create_server(("127.0.0.1", 0)) for _ in range(11)]
print(*(door.getsockname()[1] for door in doors))'))
client() { echo "${ports[$1 - 1]}"; }
quorum() { echo "${ports[$1 + 2]}"; }
election() { echo "${ports[$1 + 5]}"; }
relay() { echo "${ports[$1 + 7]}"; }  # of 2 and 3: the way on which server 1 reaches their quorum port
for n in 1 2 3; do
    mkdir "$place/$n"
    echo "$n" >"$place/$n/myid"
    {
        printf '%s\n' tickTime=2000 initLimit=10 syncLimit=5 "dataDir=$place/$n" "clientPort=$(client $n)" \
            clientPortAddress=127.0.0.1 admin.enableServer=false
        for m in 1 2 3; do
            way=$(quorum $m)
            [ $n != 1 ] || [ $m = 1 ] || way=$(relay $m)
            echo "server.$m=127.0.0.1:$way:$(election $m)"
        done
    } >"$place/$n/zoo.cfg"
done
start() {
    java -Xmx32m -cp "$jar" org.apache.zookeeper.server.quorum.QuorumPeerMain "$place/$1/zoo.cfg" >/dev/null 2>&1 &
    servers+=($!)
}
start 2
start 3

cat >"$place/finding.py" <<'PYTHON'
import os, socket, sys, threading, time

from kazoo.client import KazooClient

how, own, other = sys.argv[1], f"127.0.0.1:{sys.argv[2]}", f"127.0.0.1:{sys.argv[3]}"
cut = threading.Event()


def pump(source, sink):
    while data := source.recv(65536):
        while cut.is_set():
            time.sleep(0.05)
        sink.sendall(data)


def relay(port, target):
    door = socket.create_server(("127.0.0.1", port))
    while True:
        near = door.accept()[0]
        far = socket.create_connection(("127.0.0.1", target))
        for ends in ((near, far), (far, near)):
            threading.Thread(target=pump, args=ends, daemon=True).start()


threading.excepthook = lambda _: None
for pair in sys.argv[4:6]:
    threading.Thread(target=relay, args=map(int, pair.split(":")), daemon=True).start()
owner, witness = KazooClient(own, timeout=10), KazooClient(other, timeout=10)
witness.start(60)
print("ready", flush=True)  # the server of the owner is started now, and follows
owner.start(60)
owner.create("/lock", b"", ephemeral=True)
began, last, gone = time.monotonic() + 3, None, None  # the owner asks before the cut, too
while time.monotonic() - began < 14:
    sent = time.monotonic() - began
    if sent >= 0:
        cut.set()
    try:
        request = owner.exists_async("/lock") if how == "reads" else owner.set_async("/lock", b"")
        if request.get(timeout=0.8):
            last = sent
    except Exception:
        pass
    if gone is None and not witness.exists("/lock"):
        gone = time.monotonic() - began
    time.sleep(0.2)
print(f"{last:.1f} {gone:.1f}", flush=True)
os._exit(0)
PYTHON
seen() {
    coproc finding { "$place/venv/bin/python" "$place/finding.py" "$1" "$(client 1)" "$(client 2)" \
        "$(relay 2):$(quorum 2)" "$(relay 3):$(quorum 3)" 2>/dev/null; }
    read -r _ <&"${finding[0]}"
    start 1
    read -r last gone <&"${finding[0]}"
    wait "$finding_PID"
    { kill -9 "${servers[-1]}" && wait "${servers[-1]}"; } 2>/dev/null || true
    unset 'servers[-1]'
    echo "the last of the answered $1 was sent $last s after the cut; the lock was gone for the others after $gone s" >&2
    python3 -c "print(round(10 + $last - $gone))"  # seconds by which the owner believes too long
}
reads=$(seen reads)
writes=$(seen writes)
[ "$reads" -ge 3 ] || { echo "changed: an answered read means that the session lives" >&2; exit 1; }
[ "$writes" -le 2 ] || { echo "changed: an answered write does not mean that the session lives" >&2; exit 1; }
