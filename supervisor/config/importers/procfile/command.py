"""The command of a Procfile as foreman 0.87.2 runs it: names replaced as text, then a shell where Ruby uses one.

foreman replaces `$NAME` of each variable of `.env`, of PORT and of PS, wherever it stands: within single quotes, after
a backslash, and as the beginning of a longer name. Values of `.env` may be secrets, so they are not written into the
command: the shell takes them from the environment instead, in a way that gives the same words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

OWN = ("PORT", "PS")
"""The variables that foreman itself sets; their values are no secrets."""
_SHELL_CHARACTERS = re.compile(r"[*?{}\[\]<>()~&|\\$;'`\"\n#]")
_SHELL_WORDS = re.compile(
    r"[!.:]|break|case|continue|do|done|elif|else|esac|eval|exec|exit|export|fi|for|if|in|readonly|return|set|shift|"
    r"then|times|trap|unset|until|while"
)
_BLANKS = re.compile(r"[ \t\n]+")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,*?\[\] -]*")
_IN_DOUBLE_QUOTES = re.compile(r'[^"\\$`]*')
_AFTER_A_WORD = re.compile(r"\s*[^\s=;&|(<>]+\s[^;&|(]*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REPLACEMENT = re.compile(r"\\([0-9\\&'`])")
_GLUED_BEFORE, _GLUED_AFTER = re.compile(r"(\$\w*|[~{])\Z"), tuple("#~=<>")
_ESCAPED_IN_QUOTES = re.compile(r'([\\"`$])')


@dataclass(frozen=True)
class Command:
    """The words to execute.

    `evaluated` are the variables whose values the shell reads as a part of the command, `backslashes` those whose
    backslashes foreman changes, `referring` those whose values hold names that foreman replaces in turn, and `written`
    those whose values stand in the words, as the shell has no such name. `only_foreman` are names that foreman replaces
    where a shell, and honcho with it, would not.
    """

    words: list[str]
    evaluated: tuple[str, ...] = ()
    backslashes: tuple[str, ...] = ()
    referring: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    only_foreman: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Reference:
    name: str


_Parts = list[str | _Reference]


def command(text: str, environment: Mapping[str, str]) -> Command | None:
    """The words for the text behind the colon; None where it is blank, so that there is nothing to run.

    `environment` are the variables of `.env`, then PORT and PS, in the order in which foreman replaces them.
    """
    parts = _parts(text, environment)
    whole = "".join(_replacement(environment[part.name]) if isinstance(part, _Reference) else part for part in parts)
    words = [word for word in _BLANKS.split(whole) if word]
    if not words:
        return None
    names = tuple(dict.fromkeys(part.name for part in parts if isinstance(part, _Reference)))
    own = [name for name in names if name not in OWN]
    written = tuple(name for name in own if not _NAME.fullmatch(name))
    parts = [environment[p.name] if isinstance(p, _Reference) and p.name in written else p for p in parts]
    places = _places(text, parts)
    told = {
        "only_foreman": _only_foreman(parts, places),
        "backslashes": tuple(name for name in own if _replacement(environment[name]) != environment[name]),
        "referring": tuple(name for name in own if _refers(name, environment)),
        "written": written,
    }
    if not needs_shell(whole):
        if len(own) == len(written):
            return Command(words, **told)
        return Command(["/bin/sh", "-c", "exec " + "".join(_referring(parts, environment)).strip()], **told)
    if evaluated := tuple(dict.fromkeys(_not_plain(parts, environment, places))):
        return Command(["/bin/sh", "-c", f'eval "{_in_quotes(parts)}"'], evaluated, **told)
    return Command(["/bin/sh", "-c", "".join(_referring(parts, environment, places))], **told)


def _refers(name: str, environment: Mapping[str, str]) -> bool:
    """Whether foreman replaces a name in the value, as it does with names that come later."""
    names = list(environment)
    return any(f"${other}" in environment[name] for other in names[names.index(name) + 1 :])


def needs_shell(text: str) -> bool:
    """Whether Ruby starts a command in one string by `/bin/sh -c`, and does not split it at its blanks itself."""
    first = next((word for word in _BLANKS.split(text) if word), "")
    return bool(_SHELL_CHARACTERS.search(text) or "=" in first.partition("/")[0] or _SHELL_WORDS.fullmatch(first))


def _parts(text: str, environment: Mapping[str, str]) -> _Parts:
    """The text with a reference wherever foreman replaces a name, one variable after the other."""
    parts: _Parts = [text]
    for name in environment:
        split: _Parts = []
        for part in parts:
            pieces: _Parts = [part]
            if isinstance(part, str):
                pieces = [piece for literal in part.split(f"${name}") for piece in (_Reference(name), literal)][1:]
            split.extend(pieces)
        parts = split
    return parts


def _replacement(value: str) -> str:
    """What Ruby's gsub makes of the value as a replacement: its backslash sequences have a meaning."""
    return _REPLACEMENT.sub(lambda match: "\\" if match[1] == "\\" else "", value)


def _places(text: str, parts: _Parts) -> list[tuple[str, str]]:
    """Each reference's name, and where it stands: "bare", "double" (in such quotes), "literal" (in single quotes or
    after a backslash: a shell would not expand it), or "glued": within `$(…)` or backquotes, or beside a character
    with which a value makes something else as text than as an expansion, such as `$x$A`, `~$A`, `$A#` or `$A>x`."""
    nested = "$(" in text or "`" in text
    places = []
    quote, escaped, before = "", False, ""
    for index, part in enumerate(parts):
        if isinstance(part, _Reference):
            follows = parts[index + 1]
            glued = _GLUED_BEFORE.search(before) or (
                not quote and isinstance(follows, str) and follows[:1] in _GLUED_AFTER
            )
            place = "glued" if glued or (nested and (quote or "'" in text)) else "double" if quote else "bare"
            places.append((part.name, "literal" if quote == "'" or escaped else place))
            escaped, before = False, "x"
            continue
        for character in part:
            if escaped:
                escaped = False
            elif character == "\\" and quote != "'":
                escaped = True
            elif character == quote:
                quote = ""
            elif character in "'\"" and not quote:
                quote = character
        before = part or before
    return places


def _only_foreman(parts: _Parts, places: list[tuple[str, str]]) -> tuple[str, ...]:
    follows = [parts[index + 1] for index, part in enumerate(parts) if isinstance(part, _Reference)]
    found = [name for (name, place), after in zip(places, follows, strict=True) if place == "literal" or _longer(after)]
    return tuple(dict.fromkeys(found))


def _longer(follows: str | _Reference) -> bool:
    """Whether a name goes on in what follows a reference."""
    return isinstance(follows, str) and re.match(r"[A-Za-z0-9_]", follows) is not None


def _not_plain(parts: _Parts, environment: Mapping[str, str], places: list[tuple[str, str]]) -> list[str]:
    """The variables of `.env` that the shell cannot expand in their place to what foreman writes there."""
    found = []
    before = ""
    place = iter(places)
    for part in parts:
        if isinstance(part, str):
            before += part
            continue
        _, where = next(place)
        value = environment[part.name]
        plain = where == "double" and _IN_DOUBLE_QUOTES.fullmatch(value)
        if where == "bare":
            within = _AFTER_A_WORD.fullmatch(before)
            plain = _PLAIN.fullmatch(value.replace("=", "") if within else value or "=")
        if not plain and part.name not in OWN:
            found.append(part.name)
        before += "x"
    return found


def _referring(parts: _Parts, environment: Mapping[str, str], places: list[tuple[str, str]] | None = None) -> list[str]:
    """The parts with each reference as the shell writes it, or its value where the shell would not expand it."""
    place = iter(places or ())
    written = []
    for index, part in enumerate(parts):
        if isinstance(part, str):
            written.append(part)
            continue
        _, where = next(place, ("", "bare"))
        written.append(
            environment[part.name] if where in ("literal", "glued") else _reference(part, parts[index + 1 :])
        )
    return written


def _reference(reference: _Reference, after: _Parts) -> str:
    """The reference for the shell, in braces where a name or another reference follows."""
    follows = next((part for part in after if part), "")
    braces = isinstance(follows, _Reference) or _longer(follows)
    return f"${{{reference.name}}}" if braces else f"${reference.name}"


def _in_quotes(parts: _Parts) -> str:
    """The text within double quotes, in which the shell expands the references and nothing else."""
    written = []
    for index, part in enumerate(parts):
        if isinstance(part, str):
            written.append(_ESCAPED_IN_QUOTES.sub(r"\\\1", part))
        else:
            written.append(_reference(part, parts[index + 1 :]))
    return "".join(written)
