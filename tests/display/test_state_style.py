"""Each state has the same glyph and tone wherever it is shown."""

from __future__ import annotations

from supervisor.adapters.eventloop.console_log import _COLOURS as CONSOLE_LOG
from supervisor.core.model.actions import State
from supervisor.display.severity import Severity
from supervisor.display.state_style import COLORS, SEVERITY_TONES, STATES

SGR = {None: "2", "green": "32", "yellow": "33", "cyan": "36", "red": "31"}
"""Terminal codes; what has no colour is dim."""


def test_every_state_has_a_glyph_of_its_own() -> None:
    assert set(STATES) == {s.value for s in State}
    assert len({style.glyph for style in STATES.values()}) == len(STATES)


def test_every_severity_has_a_coloured_tone() -> None:
    assert len(SEVERITY_TONES) == len(Severity)
    assert set(SEVERITY_TONES) <= set(COLORS)


def test_the_daemons_own_log_has_the_same_colours() -> None:
    """It may not import the table: adapters know nothing of displays."""
    assert set(CONSOLE_LOG) == set(STATES)
    for state, code in CONSOLE_LOG.items():
        assert code.removesuffix(";1") == SGR[COLORS.get(STATES[state].tone)], state
