"""Serves a daemon of build 5600521 whose files were replaced while it ran; see previous_build.  Goes with it."""

from supervisor.previous_build import load

load(__name__)
