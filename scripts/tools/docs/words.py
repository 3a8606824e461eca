"""The page docs/words.md, made from the table of words of other tools."""

from pathlib import Path

from supervisor.cli.words.known_words import ALIASES, ANSWERS, ARGUMENTS, OPTIONS, SHARED, TOOLS, Alias

PATH = Path(__file__).resolve().parents[3] / "docs" / "words.md"
HEAD = """# Words of other tools

What happens when a command of supervisorctl, docker compose, systemctl or pm2 is typed here. This page is made from
`supervisor/cli/words/known_words.py` (`scripts/reference`).

- A word that means the same is run, with the options that mean the same: `supervisor journalctl -fu web` is `supervisor logs -f web`.
- A word that has another meaning here, or none, is never run. The answer is one line on stderr with exit code 2, for example
  `supervisor update: here it is "supervisor reload", which applies an edited services.toml`.
- For any other word the nearest one is suggested.

Names are those of services, instances (`web@2`) and groups, and patterns: `all`, `'web*'`, `'front:*'`
([commands.md](commands.md#all-commands)). Completion in the shell offers our commands, and where none of them fits, the words
that are run.
"""


def page() -> str:
    out = [HEAD]
    for tool in TOOLS:
        out += [f"## {tool}\n", "| word | here |", "| --- | --- |"]
        rows = {word: note for word, (tools, note) in SHARED.items() if tool in tools}
        rows = {word: f"also a command here: {note}" for word, note in rows.items()}
        rows |= {word: _alias(alias) for word, alias in ALIASES.items() if tool in alias.tools}
        rows |= {word: answer.says for word, answer in ANSWERS.items() if tool in answer.tools}
        out += [f"| `{word}` | {_shown(text)} |" for word, text in sorted(rows.items())]
        out.append("")
    out += [
        "## Options and arguments\n",
        "Options and arguments that our command of the same name does not take. The answer is one line, too.\n",
    ]
    out += ["| typed | answer |", "| --- | --- |"]
    out += [f"| `{word} NAME` | {_shown(says)} |" for word, says in ARGUMENTS.items()]
    out += [f"| `{word} {name}` | {_shown(says)} |" for word, known in OPTIONS.items() for name, says in known.items()]
    out += [
        f"| `{word} {name}` | {_shown(says)} |"
        for word, alias in ALIASES.items()
        for name, says in alias.options.items()
        if isinstance(says, str)
    ]
    return "\n".join(out).rstrip() + "\n"


def _alias(alias: Alias) -> str:
    run = f"run as `{' '.join(alias.command)}`" if alias.command else ""
    return "; ".join(filter(None, (run, alias.note)))


def _shown(text: str) -> str:
    """Commands, which are in quotation marks, as code."""
    return text.replace('"', "`").replace("|", "\\|")
