"""Files that are no configuration, and arbitrary ones: a plan or a ConfigError, never anything else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.config.load import load
from supervisor.config.schema import tables as model
from supervisor.core.model.plain import from_plain, to_plain
from supervisor.core.model.spec import Plan
from supervisor.errors import ConfigError
from tests.config.conftest import Load

TORN = [
    ("[services.web", "1: not valid TOML: Expected ']' at the end of a table declaration, and the file ends there"),
    ("a = 1\n\nb =", "3: not valid TOML: Invalid value, and the file ends there"),
    ("a = 1\nb", "2: not valid TOML: Expected '=' after a key in a key/value pair, and the file ends there"),
    ("a = sleep 5\n", '1: not valid TOML: Invalid value\n  A string needs straight quotes: "…"'),
    ('a = "x\nb = 1\n', "1: not valid TOML: Illegal character '\\n'\n  A string ends in the line"),
    ("a = 1\na = 2\n", "2: not valid TOML: Cannot overwrite a value"),
    ('a = """\n\n', "2: not valid TOML: Unterminated string, and the file ends there"),
    ("a = " + "9" * 5000, " not valid TOML: Exceeds the limit"),
    ("a = " + "[" * 5000, " nested too deeply to be read"),
]


@pytest.mark.parametrize(("text", "message"), TORN, ids=[text[:20] for text, _ in TORN])
def test_torn_toml(plan: Load, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(text)
    assert f"services.toml:{message}" in str(caught.value)


def test_ten_megabytes_are_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "services.toml"
    with file.open("wb") as large:
        large.truncate(10 * 1024**2)
    with pytest.raises(ConfigError, match=r"too large for a configuration: 10\.0 MiB, the limit is 4 MiB"):
        load(file)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory"):
        load(tmp_path)
    with pytest.raises(ConfigError, match="does not exist"):
        load(tmp_path / "nosuch")
    with pytest.raises(ConfigError, match="cannot be read: Not a directory"):
        (tmp_path / "file").touch()
        load(tmp_path / "file" / "services.toml")
    with pytest.raises(ConfigError, match="is not a regular file"):
        os.mkfifo(tmp_path / "fifo")
        load(tmp_path / "fifo")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / ("x" * 300))
    with pytest.raises(ConfigError, match="cannot be read"):
        load(f"{tmp_path}/a\0b")


def test_what_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "services.toml").write_bytes(b"# fine\n# \xff\n")
    with pytest.raises(ConfigError, match=r"services\.toml:2: not UTF-8: byte 0xff"):
        load(tmp_path / "services.toml")


def test_a_byte_order_mark_is_no_matter(plan: Load) -> None:
    assert plan('\ufeff[services.a]\ncommand = "true"').services


WORDS = (
    "true;sleep 1;10s;0s;5MiB;150%;a;b;${HOME};${X};$$;http://a:1/;a:1;(;TERM;phi;failed;oneshot;one-for-all;notify;"
    "http;exec;file;log;timeout;root;/;.;022;\x00;€"
)
TEXTS = st.text(max_size=12) | st.sampled_from(WORDS.split(";"))
VALUES = st.recursive(
    st.integers() | st.booleans() | st.floats() | st.dates() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def table(fields: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    keys = {name: value_of(field["schema"]) for name, field in fields.items()}
    known = st.fixed_dictionaries({}, optional=keys)
    return known | st.builds(lambda a, b: {**a, **b}, known, st.dictionaries(TEXTS, VALUES, max_size=2))


def value_of(schema: Any) -> st.SearchStrategy[Any]:
    if schema["type"] == "typed-dict":
        return table(schema["fields"])
    if schema["type"] == "list":
        return st.lists(value_of(schema["items_schema"]), max_size=2)
    if schema["type"] == "dict":
        return st.dictionaries(
            st.sampled_from(["a", "b", "c", "a b", ""]), value_of(schema["values_schema"]), max_size=3
        )
    return VALUES | st.lists(TEXTS, max_size=3)


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(tables=table(model.FILE["fields"]))
def test_any_tables_give_a_plan_or_an_error(
    tables: dict[str, Any], tmp_path: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "services.toml").touch()
    monkeypatch.setattr("supervisor.config.load.parse", lambda text, shown: tables)
    check(tmp_path, env)


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(text=st.text() | st.lists(st.sampled_from('[]{}="\n.#,ab1 '), max_size=40).map("".join))
def test_any_text_gives_a_plan_or_an_error(text: str, tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / "services.toml").write_text(text.encode(errors="ignore").decode())
    check(tmp_path, env)


def check(folder: Path, env: dict[str, str]) -> None:
    try:
        plan = load(folder / "services.toml", env)
    except ConfigError as error:
        assert str(error).startswith(str(folder))
    else:
        assert from_plain(Plan, to_plain(plan)) == plan
