"""What is in wheel and sdist, the Debian package and the image.  `scripts/packages` builds them and tries them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from supervisor.config.export.systemd_unit import unit
from supervisor.config.load import load

ROOT = Path(__file__).parents[2]
DEB = ROOT / "packaging/deb"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with wheel and sdist."""
    folder = tmp_path_factory.mktemp("dist")
    build = "from hatchling import build; build.build_wheel({0!r}); build.build_sdist({0!r})".format(str(folder))
    subprocess.run([sys.executable, "-c", build], cwd=ROOT, check=True, capture_output=True)
    return folder


def tracked(*patterns: str) -> set[str]:
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no clone")
    return set(listed.stdout.split())


def test_the_wheel_has_the_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
    package = {name for name in names if ".dist-info/" not in name}
    example = {name for name in tracked("services.toml", "examples/*.py") if name.count("/") <= 1}
    ours = {name for name in tracked("supervisor") if (ROOT / name).exists()}
    assert package == ours | {f"supervisor/demo/{name}" for name in example}
    for name in ("py.typed", "web/style.css", "web/script.js", "demo/services.toml", "demo/examples/moody.py"):
        assert f"supervisor/{name}" in package
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert not [name for name in names if "__pycache__" in name or name.startswith(("tests/", "scripts/", "docs/"))]


def test_the_sdist_can_be_built_and_tested_from(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {"pyproject.toml", "LICENSE", "README.md", "supervisor/py.typed", "tests/conftest.py", "PKG-INFO"} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith((".venv", "dist/"))]


def test_each_way_of_installing_that_is_documented_is_tried() -> None:
    page, script = (ROOT / "docs/install.md").read_text(), (ROOT / "scripts/packages").read_text()
    tried = script.partition("try_wheel() {")[2].partition("\n}")[0]
    assert 'for file in "$wheel" "$sdist"' in tried
    for way, call in {"pipx install": "/pipx", "uv tool install": "/uv", "uvx --from": "by_uvx"}.items():
        assert way in page
        assert call in tried


def test_the_page_of_installation_has_every_extra(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        (metadata,) = (opened.read(name).decode() for name in opened.namelist() if name.endswith("/METADATA"))
        (entries,) = (opened.read(name).decode() for name in opened.namelist() if name.endswith("/entry_points.txt"))
    extras = set(re.findall(r"^Provides-Extra: (.+)$", metadata, re.M)) - {"dev", "site"}
    page = (ROOT / "docs/install.md").read_text().partition("| extra |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.M)) == extras
    assert re.findall(r"^(\S+) = ", entries, re.M) == ["supervisor"], "what `uvx --from` has to name"


def test_what_lintian_is_told_to_overlook_has_its_reason() -> None:
    """Each group of tags stands below a comment."""
    lines = (DEB / "lintian-overrides").read_text().splitlines()
    assert lines[0].startswith("# ")
    assert all(re.fullmatch(r"# .+\.|phi-supervisor: [a-z-]+", line) for line in lines)
    assert "usr/share/lintian/overrides/phi-supervisor" in (DEB / "build").read_text()


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_the_scripts_of_the_package_start_nothing(script: str) -> None:
    path = DEB / script
    assert os.access(path, os.X_OK)
    subprocess.run(["sh", "-n", str(path)], check=True)
    assert not re.search(r"systemctl (start|restart|enable)|deb-systemd|invoke-rc", path.read_text())


def directives(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if re.match(r"[A-Z]\w+=", line))


def test_the_unit_of_the_package_is_what_supervisor_systemd_prints(tmp_path: Path) -> None:
    """But for what is computed from the file, and for what a service with another user cannot work with."""
    file = tmp_path / "services.toml"
    file.write_text('[services.a]\ncommand = ["true"]\n')
    plan = load(file, {"PATH": os.environ["PATH"]})
    printed = directives(unit(plan, ["supervisor"], user=False, version=255, places=(True, True)))
    shipped = directives((DEB / "phi-supervisor@.service").read_text())
    computed = {"Description", "ExecStart", "ExecReload", "TimeoutStopSec", "FileDescriptorStoreMax", "LimitNOFILE"}
    of_the_place = {"RuntimeDirectory", "RuntimeDirectoryMode", "RuntimeDirectoryPreserve"}
    of_the_place |= {"StateDirectory", "StateDirectoryMode"}
    assert printed.keys() - shipped.keys() == of_the_place | {"NoNewPrivileges"}
    assert shipped.keys() - printed.keys() == {"Documentation", "ConditionPathExists", "EnvironmentFile"}
    same = printed.keys() - computed - of_the_place - {"NoNewPrivileges"}
    assert {key: shipped[key] for key in same} == {key: printed[key] for key in same}


def test_the_image_gets_all_that_its_build_needs() -> None:
    """.dockerignore leaves out everything but what it names."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    project = (ROOT / "pyproject.toml").read_text()
    assert 'readme = "README.md"' in project and 'license-files = ["LICENSE"]' in project
    assert {"!supervisor", "!pyproject.toml", "!README.md", "!LICENSE"} == {line for line in ignored if line[0] == "!"}


@pytest.mark.parametrize("script", ["packages", "pythons"])
def test_what_a_long_form_does_not_know_is_refused(script: str) -> None:
    """Before anything is set up."""
    command = ["bash", str(ROOT / "scripts" / script)]
    assert subprocess.run([*command, "nothing"], capture_output=True, check=False).returncode == 2
    shown = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
    assert f"scripts/{script}" in shown


def test_there_is_one_demo() -> None:
    assert (ROOT / "scripts/demo").read_text().rstrip().endswith('exec supervisor demo "$@"')
