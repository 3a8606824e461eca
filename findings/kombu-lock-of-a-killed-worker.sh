#!/usr/bin/env bash
# One Celery worker that is killed at the wrong moment keeps all others from the redelivery of tasks for five minutes.
#
# One would expect that `visibility_timeout` bounds the time after which an unacknowledged task of a dead worker is
# delivered again.  But while a worker gives such messages back it holds a lock in Redis (`unacked_mutex`), and the lock
# outlives the worker by up to `unacked_mutex_expire`, 300 s unless set.  Until then every other worker skips the
# redelivery of all messages, and logs nothing.
#
# Seen 2026-11-29 with kombu 5.7.0 and redis-py 7.1.0 from PyPI, Redis 7.0.15, CPython 3.11.7: with a
# visibility_timeout of 1 s nothing is restored within 5 s, and the key has more than 290 s to live; with
# `unacked_mutex_expire = 2` the same message is back within 5 s.
# It matters where workers are killed while tasks wait for redelivery: a watchdog ends one of them, and the tasks of
# all dead workers wait.
set -euo pipefail
command -v redis-server >/dev/null || { echo "redis-server is needed (Debian: redis-server)" >&2; exit 1; }
place=$(mktemp -d)
redis=
trap 'if [ -n "$redis" ]; then kill "$redis"; fi; rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" --disable-pip-version-check install --quiet kombu==5.7.0 redis==7.1.0 packaging==26.4
redis-server --unixsocket "$place/redis" --port 0 --dir "$place" --save '' >"$place/log" &
redis=$!
until [ -S "$place/redis" ]; do sleep 0.1; done

cat >"$place/worker.py" <<'PYTHON'
"""`worker.py SOCKET EXPIRE die`: is killed while it gives messages back; `… look`: gives them back for 5 s."""
import os, signal, sys, time
from kombu import Connection
from kombu.transport import redis

path, expire, order = sys.argv[1:]
options = {"visibility_timeout": 1, "unacked_mutex_expire": int(expire)}
with Connection(f"redis+socket://{path}", transport_options=options) as connection:
    if order == "die":
        queue = connection.SimpleQueue("jobs")
        queue.put("task")
        queue.get(timeout=10)
        channel = queue.channel
        time.sleep(1.5)
        channel.qos.restore_by_tag = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        channel.qos.restore_visible(num=10, interval=1)
    channel = connection.channel()
    end = time.monotonic() + 5
    while time.monotonic() < end and not channel.client.llen("jobs"):
        channel.qos.restore_visible(num=10, interval=1)
        time.sleep(0.1)
    print("restored" if channel.client.llen("jobs") else "waits", channel.client.ttl("unacked_mutex") > 290)
    channel.client.flushall()
PYTHON

seen() { "$place/venv/bin/python" "$place/worker.py" "$place/redis" "$1" die 2>/dev/null || true
         "$place/venv/bin/python" "$place/worker.py" "$place/redis" "$1" look; }
first=$(seen 300)
echo "as kombu comes: $first"
second=$(seen 2)
echo "unacked_mutex_expire = 2: $second"
[ "$first" = "waits True" ] || { echo "changed: the lock of a killed worker does not outlive it" >&2; exit 1; }
[ "$second" = "restored False" ] || { echo "changed: the lock does not expire as set" >&2; exit 1; }
