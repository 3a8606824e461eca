#!/usr/bin/env bash
# celery[redis] of an older release installs a set of packages that pip calls consistent and that cannot reach Redis.
#
# One would expect that an extra named "redis", pinned to a release and resolved without a conflict, gives a worker that
# can talk to Redis.  But celery 5.4.0 itself asks for redis-py below 6, and for any kombu 5.x, without kombu's own
# extra; kombu checks the version of redis-py only when a connection is opened, and a newer one wants at least 6.1.
# `pip check` finds nothing, the import works, and the worker ends at its first connection.  kombu below 5.5 works.
#
# Seen 2026-11-29 with celery 5.4.0, kombu 5.7.0 and redis 5.3.1 from PyPI, CPython 3.11.7: `pip check` exit 0, then
# kombu.exceptions.VersionMismatch "Redis transport requires redis-py versions 6.1.0 or later. You have 5.3.1".
# It matters for a fleet of workers that is kept at a release: a rebuilt image ends in a crash loop.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
pip() { "$place/venv/bin/pip" --disable-pip-version-check "$@"; }
pip install --quiet 'celery[redis]==5.4.0' kombu==5.7.0 redis==5.3.1 packaging==26.4
pip check

cat >"$place/finding.py" <<'PYTHON'
from celery import Celery

app = Celery("tasks", broker="redis://127.0.0.1:1/0")  # nothing listens there: the version is checked before
try:
    with app.connection_for_write() as connection:
        connection.channel()
except Exception as error:
    print(f"{type(error).__name__}: {error}")
PYTHON

seen() { "$place/venv/bin/python" "$place/finding.py"; }
first=$(seen)
echo "kombu 5.7.0: $first"
pip install --quiet kombu==5.4.2
second=$(seen)
echo "kombu 5.4.2: $second"
case $first in VersionMismatch*) ;; *) echo "changed: the set of packages can be used" >&2; exit 1 ;; esac
case $second in *VersionMismatch*) echo "changed: kombu 5.4.2 refuses it too" >&2; exit 1 ;; esac
