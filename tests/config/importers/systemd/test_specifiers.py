"""Names of units, specifiers, and what of them comes from the host (systemd 252.38)."""

from pathlib import Path

import pytest

from supervisor.config.importers.systemd import specifiers
from supervisor.config.importers.systemd.specifiers import (
    Manager,
    UnitName,
    UnknownSpecifier,
    expand,
    home_of,
    locale_of_host,
    unescaped,
)

MANAGER = Manager(home="/root", host="vm.example.org", kernel="6.1", variables={})


def expanded(text: str, name: str = "a-b@x\\x2dy-z.service") -> str:
    return expand(text, UnitName.of(name), MANAGER, Path("/etc/systemd/system/a-b@.service"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("%n %N", "a-b@x\\x2dy-z.service a-b@x\\x2dy-z"),
        ("%p %P %j %J", "a-b a/b b b"),
        ("%i %I %f", "x\\x2dy-z x-y/z /x-y/z"),
        ("%t %S %C %L %E %T %V", "/run /var/lib /var/cache /var/log /etc /tmp /var/tmp"),
        ("%h %u %U %g %G %s", "/root root 0 root 0 /bin/sh"),
        ("%H %l %q %v", "vm.example.org vm vm.example.org 6.1"),
        ("%y %Y", "/etc/systemd/system/a-b@.service /etc/systemd/system"),
        ("%d", "/run/credentials/a-b@x\\x2dy-z.service"),
        ("100%", "100%"),
        ("% %- %%i", "% %- %i"),
    ],
)
def test_specifiers(text: str, value: str) -> None:
    assert expanded(text) == value


def test_without_an_instance() -> None:
    assert expanded("[%i] %f", "a-b.service") == "[] /a/b"


def test_a_letter_that_systemd_does_not_know() -> None:
    with pytest.raises(UnknownSpecifier, match="%z"):
        expanded("a%z")


@pytest.mark.parametrize("letter", "abmowWBAM")
def test_what_only_the_host_knows_is_one_word(letter: str) -> None:
    assert len(expanded(f"x%{letter}").split()) == 1


def test_names() -> None:
    assert (UnitName.of("a@b@c.service").prefix, UnitName.of("a@b@c.service").instance) == ("a", "b@c")
    assert (UnitName.of("a.service").instance, UnitName.of("a@.socket").instance) == (None, "")
    assert UnitName.of("a@b.socket").template == "a@.socket"
    assert unescaped("a-b\\x2dc") == "a/b-c"


def test_the_home_of_an_account() -> None:
    assert home_of("0") == home_of("root") is not None
    assert home_of("no-such-account") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("LANG=de_DE.UTF-8\nLC_TIME=C\nOTHER=1\n", {"LANG": "de_DE.UTF-8", "LC_TIME": "C"}),
        ('# LANG=x\nLANG="C"\n', {"LANG": "C"}),
        ("", {"LANG": "C.UTF-8"}),
        (None, {"LANG": "C.UTF-8"}),
    ],
)
def test_the_locale_of_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, expected: dict[str, str]
) -> None:
    if text is not None:
        (tmp_path / "locale.conf").write_text(text)
    monkeypatch.setattr(specifiers, "LOCALES", (str(tmp_path / "locale.conf"),))
    assert locale_of_host() == expected
