"""The systems under measurement, in the order of the table's columns."""

from __future__ import annotations

from .base import Peer
from .circus import Circus
from .floors import Bare, Shell
from .monit import Monit
from .ours import Ours
from .pm2 import Pm2
from .runit import Runit
from .s6 import S6
from .supervisord import Supervisord
from .systemd import Systemd

ALL: tuple[type[Peer], ...] = (Ours, Supervisord, Circus, Runit, S6, Pm2, Monit, Systemd, Shell, Bare)
