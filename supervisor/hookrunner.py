"""Runs the hooks of a daemon of build 5600521 whose files were replaced while it ran; goes with previous_build."""

import sys

from supervisor.adapters.hooks.runner import main

if __name__ == "__main__":
    sys.exit(main())
