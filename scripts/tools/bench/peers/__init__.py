"""The measured systems, in the order of the table's columns."""

from __future__ import annotations

from scripts.tools.bench.peers.base import Peer
from scripts.tools.bench.peers.circus import Circus
from scripts.tools.bench.peers.floors import Bare, Receive, Shell, Splice
from scripts.tools.bench.peers.haproxy import HAProxy
from scripts.tools.bench.peers.monit import Monit
from scripts.tools.bench.peers.ours import Ours
from scripts.tools.bench.peers.pm2 import Pm2
from scripts.tools.bench.peers.runit import Runit
from scripts.tools.bench.peers.s6 import S6
from scripts.tools.bench.peers.supervisord import Supervisord
from scripts.tools.bench.peers.systemd import Systemd

ALL: tuple[type[Peer], ...] = (
    Ours, Supervisord, Circus, Runit, S6, Pm2, Monit, Systemd, HAProxy, Shell, Bare, Splice, Receive,
)  # fmt: skip
