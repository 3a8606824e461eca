"""Finds the program of HAProxy, and whether it is new enough.  It waits for `haproxy -v`: never call it in the loop."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

from supervisor.core.balancing.version import missing, unusable
from supervisor.errors import OperationFailed

BESIDE_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Directories that the PATH of users often lacks."""
TIMEOUT = 5.0


def find(environment: Mapping[str, str]) -> str | None:
    """The path of the program; None where there is none."""
    path = environment.get("PATH", os.defpath)
    return shutil.which("haproxy", path=os.pathsep.join((path, *BESIDE_PATH)))


def usable(environment: Mapping[str, str]) -> str:
    """The path of a program that is new enough.  OperationFailed: it is not; FileNotFoundError: there is none."""
    path = find(environment)
    if path is None:
        raise FileNotFoundError(missing())
    try:
        told = subprocess.run([path, "-v"], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OperationFailed(f"{path} -v fails: {error}") from None
    if problem := unusable(told.stdout + told.stderr, path):
        raise OperationFailed(problem)
    return path
