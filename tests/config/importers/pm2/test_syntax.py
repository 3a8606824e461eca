"""JavaScript literals are read as node 20 reads them; whatever is more than a literal is left to node."""

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config.importers.pm2.syntax import BeyondLiterals, read_literal
from supervisor.config.importers.reading import Table

VALUES: list[tuple[str, Any]] = [
    ("{a: 1, 'b-c': 2, \"d\": 3, $e_1: 4, été: 5,}", {"a": 1, "b-c": 2, "d": 3, "$e_1": 4, "été": 5}),
    ("\ufeff[1, 2, /* three */ 3, // four\n]", [1, 2, 3]),
    ("[true, false, null]", [True, False, None]),
    (r"'a\'b\"c\\d\n\t\x41\u00e9\u{1F600}\q'", "a'b\"c\\d\n\tAé😀q"),
    ('"one \\\ntwo"', "one two"),
    ("`several\nlines $ 'x'`", "several\nlines $ 'x'"),
    ("[0, -1, +2, 1.5, .5, 5., 1e3, 0x1F, 1_000]", [0, -1, 2, 1.5, 0.5, 5, 1000, 31, 1000]),
    ("24 * 60 * 60 * 1000", 86_400_000),
    ("2 * 0.5", 1),
    ("{a: 1, a: 2}", {"a": 2}),
    ("{}", {}),
    ("[]", []),
    (r"'\ud83d\ude00'", "😀"),
]


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_a_literal_is_its_value(text: str, value: Any) -> None:
    assert read_literal(text, module=False) == value


MODULES = [
    "module.exports = {a: 1}",
    "'use strict';\nmodule.exports = {a: 1};\n",
    '"use strict"\n// what it is\nmodule . exports={a: 1} ; // the end',
    "/** @type {import('pm2').StartOptions} */\nexports = {a: 1}",
    "export default {a: 1}",
]


@pytest.mark.parametrize("text", MODULES)
def test_a_module_that_does_nothing_but_export(text: str) -> None:
    assert read_literal(text, module=True) == {"a": 1}
    with pytest.raises(BeyondLiterals):
        read_literal(text, module=False)


BEYOND = [
    ("{a: process.env.A}", 1, "process is not understood"),
    ("{\na: `x${b}`}", 2, "a template is not understood"),
    ("{...a}", 1, "the name of a key is expected"),
    ("{a}", 1, "a colon is expected"),
    ("{[a]: 1}", 1, "the name of a key is expected"),
    ("{__proto__: {}}", 1, "the name of a key is expected"),
    ("{a: 1 b: 2}", 1, "a comma or } is expected"),
    ("[1 + 2]", 1, "a comma or ] is expected"),
    ("[2 ** 3]", 1, "a comma or ] is expected"),
    ("[1,,2]", 1, ", is not understood"),
    ("'open", 1, "a string is not closed"),
    ("'line\nend'", 1, "a string is not closed"),
    (r"'\01'", 1, "an escape is not understood"),
    (r"'\ud83d'", 1, "half a character is not understood"),
    ("1_.5", 1, "a number is not understood"),
    (".0.", 1, "the end of the file is expected"),
    (r"'\u12'", 1, "an escape is not understood"),
    ("'\\", 1, "an escape is not understood"),
    ("010", 1, "a number is not understood"),
    ("1n", 1, "a number is not understood"),
    ("1__0", 1, "a number is not understood"),
    ("-", 1, "a number is not understood"),
    ("1e999", 1, "a number is not understood"),
    ("[1] + 1", 1, "the end of the file is expected"),
    ("", 1, "the end of the file is not understood"),
    ("undefined", 1, "undefined is not understood"),
    ("[" * 101 + "]" * 101, 1, "too many objects within each other"),
]


@pytest.mark.parametrize(("text", "line", "what"), BEYOND)
def test_what_is_more_than_a_literal_is_left_to_node(text: str, line: int, what: str) -> None:
    with pytest.raises(BeyondLiterals) as raised:
        read_literal(text, module=False)
    assert (raised.value.line, raised.value.what) == (line, what)


@pytest.mark.parametrize(
    "text", ["const a = 1; module.exports = {a}", "module.exports = {}; run()", "module.exports = () => ({})", "{}"]
)
def test_a_module_with_code_is_left_to_node(text: str) -> None:
    with pytest.raises(BeyondLiterals):
        read_literal(text, module=True)


def test_each_key_has_its_line() -> None:
    table = read_literal("\n{\n// first\na: [\n{b: 1,\n\nc: 2}],\n'd':\n3}", module=False)
    assert isinstance(table, Table)
    assert (table.line, table.lines) == (2, {"a": 4, "d": 8})
    assert (table["a"][0].line, table["a"][0].lines) == (5, {"b": 5, "c": 7})
    assert table.line_of("nothing") == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**52), 2**52) | st.text(alphabet=string.printable + "é$", max_size=8)
    | st.floats(-1e20, 1e20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_any_json_is_read_as_json_is(value: Any) -> None:
    assert read_literal(json.dumps(value, indent=1), module=False) == value


@given(st.text(alphabet="{}[]'\"`\\/*:,$_aux019.-+ \n", max_size=30))
def test_any_text_is_a_value_or_left_to_node(text: str) -> None:
    try:
        read_literal(text, module=False)
    except BeyondLiterals as beyond:
        assert 1 <= beyond.line <= text.count("\n") + 1
