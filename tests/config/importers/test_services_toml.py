"""What is written is read back as the same values, `$` included, and each loss stands beside its service."""

import string
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config.importers.imported import Expanded, Imported, ImportedService, Kind
from supervisor.config.importers.services_toml import services_toml
from supervisor.config.source.expand import expand


def made(table: dict[str, Any], name: str = "web") -> Imported:
    return Imported("procfile", [ImportedService(name, "Procfile", 1, table)])


def read(text: str) -> Any:
    return tomllib.loads(text)["services"]


TEXT = st.text(alphabet=st.one_of(st.sampled_from("$${}'\"\\\n\t #;é"), st.sampled_from(string.printable)), max_size=12)


@given(TEXT)
def test_a_text_is_the_same_after_it_was_written_read_and_expanded(text: str) -> None:
    written = read(services_toml(made({"command": [text], "environment": {"A": text}}), "x"))
    assert expand(written["web"]["command"][0], {}) == text
    assert expand(written["web"]["environment"]["A"], {}) == text


@pytest.mark.parametrize(
    ("text", "written"), [("$PORT", "$PORT"), ("${PORT}", "$${PORT}"), ("a$$b", "a$$$b"), ("$", "$"), ("$$", "$$$")]
)
def test_a_dollar_is_doubled_where_it_would_begin_a_reference(text: str, written: str) -> None:
    assert read(services_toml(made({"command": [text]}), "x"))["web"]["command"] == [written]
    assert expand(written, {}) == text


def test_what_is_to_be_expanded_is_written_as_it_is() -> None:
    assert read(services_toml(made({"environment": {"A": Expanded("${HOME}")}}), "x"))["web"]["environment"] == {
        "A": "${HOME}"
    }


@given(st.text(alphabet=string.ascii_letters + string.digits + "_.-@ é", min_size=1, max_size=8))
def test_any_name_is_a_key(name: str) -> None:
    assert list(read(services_toml(made({"command": ["x"]}, name), "x"))) == [name]


def test_the_whole_file() -> None:
    found = made(
        {
            "command": ["sh", "-c", "echo $PORT"],
            "environment": {"PORT": "5000"},
            "restart": {"policy": "always", "initial": "0s"},
            "stop": [{"signal": "TERM", "wait": "5s"}],
            "log": {"path": "/" + "x" * 100},
        }
    )
    found.lose(Kind.CHOSEN, "Procfile", 1, "", "A Procfile says nothing of restarts:\nalways.", "web")
    found.lose(Kind.IGNORED, "Procfile", 3, "two words", "It is no name of a process.")
    assert (
        services_toml(found, "supervisor init --from Procfile")
        == f"""\
# Made by `supervisor init --from Procfile`.
# `supervisor check` validates it, `supervisor up` runs it.

# Not taken over as it stands, apart from what is noted beside each service:
# Procfile:3: two words: It is no name of a process.

[services.web]
# from Procfile:1
# chosen: Procfile:1: A Procfile says nothing of restarts: always.
command = ["sh", "-c", "echo $PORT"]
environment = {{PORT = "5000"}}
restart = {{policy = "always", initial = "0s"}}
stop = [
    {{signal = "TERM", wait = "5s"}},
]

[services.web.log]
path = "/{"x" * 100}"

"""
    )
