"""`why` says what an end of a known program may mean, and `check` what it does not do, by the real command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.e2e.conftest import ROOT, Daemon
from tests.e2e.programs.test_real_programs import program

Make = Callable[..., Daemon]


def test_an_exit_code_of_a_known_program_is_explained(daemon: Make, tmp_path: Path) -> None:
    program = tmp_path / "php-fpm8.2"
    program.write_text("#!/bin/sh\nexit 78\n")
    program.chmod(0o755)
    d = daemon(f'[services.php]\ncommand = "{program} -F"\nrestart = {{ max_restarts = 0, cooldown = "1h" }}\n')
    d.event("php", "failed")
    meaning = "PHP-FPM exits 78 where it cannot read its configuration, also at a reload"
    assert f"known     {meaning}" in d.cli("why", "php").stdout
    (story,) = map(json.loads, d.cli("why", "php", "--json").stdout.splitlines())
    assert story["incidents"][-1]["known"] == [meaning]


def test_check_says_what_a_known_program_needs(daemon: Make, tmp_path: Path) -> None:
    program = tmp_path / "php-fpm8.2"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    d = daemon(f'[services.php]\ncommand = "{program}"\n', start=False)
    checked = d.cli("check")
    assert checked.returncode == 0
    assert 'services.php.command: PHP-FPM goes to the background and counts as ended; add "-F"' in checked.stderr


def test_a_known_program_runs_reloads_and_comes_back_from_what_init_writes() -> None:
    """`scripts/programs --supervise`, for one program."""
    program("nginx")
    command = [sys.executable, "-m", "scripts.tools.programs", "--supervise", "--only", "nginx"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    seen = "starts: runs, reload: goes on, broken file: refused, SIGSTOP: shown, SIGKILL: comes back, stop: exit 0"
    assert (ran.returncode, ran.stdout.strip().partition(": ")[2]) == (0, seen), ran.stderr
