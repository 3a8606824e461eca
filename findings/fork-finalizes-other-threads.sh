#!/usr/bin/env bash
# os.fork() runs, in the child, the finalizers of what *other* threads of the parent keep in threading.local().
#
# One would expect that the other threads are simply not there in the child, and that their objects stay untouched until
# an exec or an _exit.  But CPython clears their thread states right after the fork (PyOS_AfterFork_Child), before
# os.fork() returns 0: reference counts drop to zero, and __del__ methods and weakref finalizers run in the child.  Those
# that act on something shared with the parent act on the parent: a temporary directory is deleted under it, and a lock
# made with flock(2), which belongs to the open file that both share, is released for both.  The child here does nothing
# but os._exit(0).  subprocess.Popen (vfork and exec in C) does not do this.
#
# It matters for every daemon that forks by os.fork() beside threads (pre-fork servers, supervisors).
#
# Seen 2026-11-28 with CPython 3.11.7 on Linux and filelock 3.8.0 from PyPI, whose FileLock releases in __del__.  With
# filelock 3.12.4 and 3.16.1 the lock stayed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check filelock==3.8.0

cat >"$place/finding.py" <<'PYTHON'
import fcntl, os, subprocess, sys, tempfile, threading

from filelock import FileLock

path, how = sys.argv[1:]
kept = threading.local()
ready, end = threading.Event(), threading.Event()
directory = ""


def worker():
    global directory
    kept.lock = FileLock(path)
    kept.lock.acquire()
    kept.directory = tempfile.TemporaryDirectory()
    directory = kept.directory.name
    ready.set()
    end.wait()


def is_free():
    fd = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(fd)


thread = threading.Thread(target=worker)
thread.start()
ready.wait()
before = (is_free(), os.path.isdir(directory))
if how == "fork":
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
else:
    subprocess.run(["true"], check=True)
print(f"{how}: lock free, directory there: before {before}, after {(is_free(), os.path.isdir(directory))}")
end.set()
thread.join()
PYTHON

"$place/venv/bin/python" --version
seen=$("$place/venv/bin/python" "$place/finding.py" "$place/a.lock" fork 2>/dev/null
       "$place/venv/bin/python" "$place/finding.py" "$place/b.lock" Popen)
expected='fork: lock free, directory there: before (False, True), after (True, False)
Popen: lock free, directory there: before (False, True), after (False, True)'
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { printf 'changed; it was:\n%s\n' "$expected" >&2; exit 1; }
