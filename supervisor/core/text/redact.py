"""Removes secrets from command lines before they are recorded or shown: names stay, values become HIDDEN.

What looks like a secret is hidden: the value of an option, variable, header, parameter or JSON key that is named like
one, the password in a URL or in `user:password`, a user in a web address that is not a plain word (services take a
token there), and keys whose form is known. A secret without such a sign is not
recognised (SECURITY.md): secrets belong in the environment or in files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

HIDDEN = "***"
LONGEST = 4096
"""Characters of a word that are shown at most: a process chooses its command line itself, and matching takes time."""

_LONGEST_NAME = 100
_DEEPEST = 4  # strings within strings

# Patterns are compiled when they are first used, because most processes need none.
_SEGMENTS = r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+"
_STRONG = (
    r"(?:.*(?:passw(?:or)?d|passwort|passphrase|passcode|apikey|accesskey|secretkey|privatekey|authkey|authtoken"
    r"|secret|token|sshpass)|passwords|secrets|credentials?|creds|jwt|bearer|requirepass|masterauth|masterpass|masteruser"
    r"|keypass|storepass|passin|passout|userpwd|authorization)"
)
_WEAK = frozenset((
    "pass", "pwd", "pw", "auth", "cookie", "cookies", "otp", "psk", "pin", "signature", "tokens",
    "tok", "toke", "passw", "passwo", "passwor", "passphr", "secr", "secre", "cred", "creden",
))  # fmt: skip
"""Words that name a secret only at the end of a name: `--pass`, not `--pass-through`.  The second line: many programs
take the beginning of an option for the option."""
_KEYS = frozenset((
    "access", "account", "activation", "admin", "api", "app", "application", "auth", "consumer", "deploy",
    "encryption", "hmac", "jwt", "license", "master", "private", "root", "secret", "session", "shared",
    "signing", "storage", "subscription", "write",
))  # fmt: skip
"""Words that make a secret of a `key` that follows: `--access-key`, not `--ssl-key`."""
_ABOUT = frozenset((
    "age", "algorithm", "alg", "audience", "backend", "cmd", "command", "count", "dir", "directory", "enabled",
    "endpoint", "env", "expiration", "expires", "expiry", "file", "format", "group", "header", "host", "issuer",
    "length", "lifetime", "limit", "method", "min", "mode", "name", "path", "plugin", "policy", "port",
    "prompt", "provider", "realm", "required", "server", "size", "stdin", "timeout", "ttl", "type", "uri",
    "url", "user", "username",
))  # fmt: skip
"""Last words of names that tell something about a secret: `--token-file`."""
_SWITCHES = frozenset(("allow", "disable", "enable", "max", "min", "no", "num", "skip", "without"))
"""First words of options without a secret: `--no-auth`, `--max-tokens`."""
_PLACES = frozenset(("PWD", "OLDPWD"))
"""Variables that are directories."""
_QUERY = frozenset(("key", "sig", "signature", "code", "sid", "session"))
"""Names of secrets in the query of a URL."""
_USERS = frozenset(("user", "login", "account", "u", "U"))
"""Options whose value may be `user:password`."""
_SHORT = {
    "redis-cli": "a", "valkey-cli": "a", "sshpass": "p", "mongo": "p", "mongosh": "p", "mongodump": "p", "mysql": "p",
    "mysqladmin": "p", "mysqldump": "p", "mariadb": "p", "mariadb-dump": "p", "mariadb-admin": "p", "ldapsearch": "w",
    "ldapadd": "w", "ldapmodify": "w", "ldapwhoami": "w", "mosquitto_pub": "P", "mosquitto_sub": "P", "zip": "P",
    "unzip": "P", "7z": "p", "clickhouse-client": "", "isql": "P", "sqlcmd": "P", "ipmitool": "P",
}  # fmt: skip
"""The short option of a program that takes a password."""

_NAMED = r"([\w.\[\]-]+)=(.*)"
_HEADER = r"([-/]{0,2}[A-Za-z][\w-]*):(\s*)(?!//)(\S.*)"
_SCHEME_OF_HEADER = r"(?i)((?:bearer|basic|digest|token|negotiate|apikey)\s+)\S.*"
_REFERENCE = r"\$\{?\w+\}?|\$\(.*|<\w+>"
_PLAIN_FLAG = r"--.*|-[A-Za-z]"
_GLUED = r"-p(?=[^=/]*[A-Za-z])(?=[^=/]*[^a-z=-])(?![a-z-]+=)(?![./]).{4,}"
_URL = r"([A-Za-z][A-Za-z0-9+.-]{0,30}://[^/\s:@?#\"']*):[^/\s\"']*@"
_URL_USER = r"((?i:https?)://)(?![a-z._-]{1,19}[:@]|\$\{?\w+\}?[:@])[^/\s:@?#\"']+(?=(?::[^/\s\"']*)?@)"
_JSON = r"""((?<!\\)\\*["'])([\w.-]+)(\1\s*:\s*)(?:(\\*["'])(?:(?!\4)(?:\\.|.))*\4?|\[[^\]]*\]|[^\s,{}\[\]"']+)"""
_PAIR = r"""(?<![\w.\[\]-])([\w.\[\]-]+)=(\$\{\w+\}|[^\s;&,#"'(){}]+)"""
_SCHEME = r"(?i)\b(bearer|basic)(\s+)(?=\S*[\d=])[\w.~+/=-]{8,}"
_SQL = r"(?i)\b(identified\s+by|password)(\s+)(['\"]).*?\3"
_KNOWN = (
    r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|sk-|[sr]k_(?:live|test)_|hf_|npm_|pypi-|dop_v1_|SG\.|ya29\.|hv[sb]\.)"
    r"[\w.-]{12,}|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[\w-]{30,}|\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?"
    r"|\bAGE-SECRET-KEY-\w+|(?s:-----BEGIN [A-Z ]*PRIVATE KEY-----.*)"
)
_SHELL_WORD = r"""(?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s'"\\;|&()<>])+"""
_PIECE = r"""'([^']*)'|"((?:\\.|[^"\\])*)"|\\(.)|([^'"\\]+)"""


def without_secrets(words: Sequence[str]) -> list[str]:
    """The words of a command line, with HIDDEN for every value that looks like a secret."""
    return _words(words, 0)


def text_without_secrets(text: str) -> str:
    """A word or a text, say a URL or a command line in one string, with HIDDEN for what looks like a secret."""
    return _word(text, 0)


def _words(words: Sequence[str], depth: int) -> list[str]:
    found: list[str] = []
    follows = ""  # what the option before says of this word: "secret", or "user" for user:password
    short = before = ""
    for word in words:
        word = word if len(word) <= LONGEST else f"{word[:LONGEST]}…"
        if follows and not re.fullmatch(_PLAIN_FLAG, word, re.DOTALL):
            found.append(_value(word) if follows == "secret" else _user(_word(word, depth)))
            follows = ""
            continue
        short = _SHORT.get(word.rpartition("/")[2], short)
        follows = _announces(word, short)
        found.append(_text(word, depth) if re.fullmatch("-[a-z]*c", before) else _option(word, short, depth))
        before = word
    return found


def _announces(word: str, short: str) -> str:
    """Whether the next word is a secret or a user with a password, by this one."""
    if word in ("requirepass", "masterauth") or (short and word == f"-{short}"):
        return "secret"
    name = word.lstrip("-")
    if name == word or not re.fullmatch(r"[\w.-]+", name):
        return ""
    if _is_secret(name):
        return "secret"
    return "user" if name.rpartition("-")[2] in _USERS else ""


def _option(word: str, short: str, depth: int) -> str:
    """One word that may have an option and its value."""
    if word.startswith("-") and not word.startswith("--"):
        if short and word.startswith(f"-{short}") and len(word) > 2:
            return f"-{short}{HIDDEN}"
        if re.fullmatch(_GLUED, word, re.DOTALL):
            return f"-p{HIDDEN}"
        if word[1:2] in _USERS and ":" in word:
            return f"{word[:2]}{_user(_word(word[2:], depth))}"
        if re.match(r"-[A-Z][A-Za-z-]+:", word):  # -HAuthorization: …
            return f"{word[:2]}{_word(word[2:], depth)}"
    return _word(word, depth)


def _word(word: str, depth: int) -> str:
    if depth >= _DEEPEST and re.search(r"[\s=]", word):
        return HIDDEN
    named = re.fullmatch(_NAMED, word, re.DOTALL)
    if named is not None:
        name, value = named[1], named[2]
        if _is_secret(name) and name not in _PLACES:
            return f"{name}={_value(value)}"
        shown = _word(value, depth + 1)
        user = name.startswith("-") and name.lstrip("-").rpartition("-")[2] in _USERS
        return f"{name}={_user(shown) if user else shown}"
    header = re.fullmatch(_HEADER, word, re.DOTALL)
    if header is not None and (_is_secret(header[1]) or header[1].lower() == "set-cookie"):
        scheme = re.fullmatch(_SCHEME_OF_HEADER, header[3], re.DOTALL)
        return f"{header[1]}:{header[2]}{scheme[1] if scheme else ''}{HIDDEN if scheme else _value(header[3])}"
    return _text(word, depth)


def _text(word: str, depth: int) -> str:
    """A word that may contain several, as the code of `sh -c` does."""
    word = re.sub(_JSON, _json, word, flags=re.DOTALL)
    if re.search(r"\s", word):
        word = _shell(word, depth + 1)
    word = re.sub(_URL_USER, rf"\1{HIDDEN}", word)
    word = re.sub(_URL, rf"\1:{HIDDEN}@", word)
    word = re.sub(_PAIR, _pair, word)
    word = re.sub(_SCHEME, rf"\1\2{HIDDEN}", word)
    word = re.sub(_SQL, rf"\1\2\3{HIDDEN}\3", word)
    return re.sub(_KNOWN, HIDDEN, word)


def _shell(text: str, depth: int) -> str:
    """A string of several words, split as a shell splits it; all between the words stays."""
    spans = [match.span() for match in re.finditer(_SHELL_WORD, text, re.DOTALL)]
    words = [_unquoted(text[begin:end]) for begin, end in spans]
    out, at = [], 0
    for (begin, end), word, shown in zip(spans, words, _words(words, depth), strict=True):
        raw = text[begin:end]
        if shown != word:
            quote = raw[0] if raw[0] in "'\"" and raw[-1] == raw[0] else '"' if re.search(r"\s", shown) else ""
            raw = f"{quote}{shown}{quote}"
        out += [text[at:begin], raw]
        at = end
    return "".join([*out, text[at:]])


def _unquoted(raw: str) -> str:
    parts = re.finditer(_PIECE, raw, re.DOTALL)
    return "".join(next((group for group in part.groups() if group is not None), "") for part in parts)


def _is_secret(name: str) -> bool:
    """Whether a value of this name is a secret."""
    parts = [part.lower() for part in re.findall(_SEGMENTS, name[-_LONGEST_NAME:])]
    if not parts or parts[-1] in _ABOUT or parts[0] in _SWITCHES:
        return False
    if parts[-1] in _WEAK or any(re.fullmatch(_STRONG, part) for part in parts):
        return True
    return any(second == "key" and first in _KEYS for first, second in pairwise(parts))


def _value(value: str) -> str:
    """The value of a secret; a reference to a variable is none."""
    return value if re.fullmatch(_REFERENCE, value, re.DOTALL) else HIDDEN


def _user(word: str) -> str:
    """`user:password` or `user%password`; `1000:1000` is a user and a group."""
    if re.fullmatch(r"\d+:\d+", word) or "://" in word:
        return word
    return re.sub(r"(?s)^([^:%\s]+[:%]).+$", rf"\1{HIDDEN}", word)


def _json(found: re.Match[str]) -> str:
    if not _is_secret(found[2]):
        return found[0]
    quote = found[4] or ""
    return f"{found[1]}{found[2]}{found[3]}{quote}{HIDDEN}{quote}"


def _pair(found: re.Match[str]) -> str:
    in_query = found.start() > 0 and found.string[found.start() - 1] in "?&"
    if (_is_secret(found[1]) or (in_query and found[1].lower() in _QUERY)) and found[1] not in _PLACES:
        return f"{found[1]}={_value(found[2])}"
    return found[0]
