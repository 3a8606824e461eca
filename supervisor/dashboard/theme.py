"""The dashboard's own colours; Textual's themes work as well."""

from __future__ import annotations

from textual.theme import Theme

PHI = Theme(
    name="phi",
    primary="#6cb2ff",
    secondary="#8a97ad",
    accent="#e8c07d",
    success="#73c990",
    warning="#f2b04e",
    error="#ff6e67",
    foreground="#d6dce6",
    background="#10141b",
    surface="#151b24",
    panel="#1e2733",
    dark=True,
    variables={
        "border": "#34435a",
        "border-blurred": "#243040",
        "scrollbar": "#2c394b",
        "scrollbar-background": "#10141b",
        "scrollbar-corner-color": "#10141b",
        "block-cursor-background": "#2b4a70",
        "block-cursor-foreground": "#ffffff",
    },
)
PLAIN = "ansi-dark"
"""Textual's theme for terminals of 16 colours: it uses the colours of the terminal."""
