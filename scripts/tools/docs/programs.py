"""The page docs/programs.md, made from the book of programs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.tools.programs.supervised_file import STEPS, kept, kept_load
from supervisor.programs.book import BOOK, Program, read

PATH = Path(__file__).resolve().parents[3] / "docs" / "programs.md"
HEAD = """# What known programs do

Daemons differ in what they send to their manager, in what each signal does, and in how they end. This page is made from
`supervisor/programs/book` (`scripts/reference`), one file a program. Each was run by `scripts/programs`, which plays the
service manager, in the version and on the day that its line names. Another version or build may do otherwise. The book is
advice: what your services.toml says is what happens. A dash means none, or not tried.

The same book is used by

- `supervisor init -- COMMAND` and `supervisor add NAME -- COMMAND`, which write what the program needs, and say why;
- `supervisor check`, which notes a service that expects what its program does not do, and what to write;
- `supervisor why`, which says after an end with an exit code what such an end of that program may mean (`known`).

`scripts/programs --only NAME` measures a program again and prints what has changed; with `--write` it updates the book. With
`--supervise` the real supervisor runs it, from what `init` writes. `--under-load 1h` runs all that are installed at once beside sixteen
busy loops, and reports each that was ended.
"""
SAYS = """## Start, reload and the datagrams of sd_notify

*Says at its start*: the datagrams in order, `child` where a child of the main process sent one. *Reload*: the signal, and what
follows. *Broken file*: what a running program does when it is told to reload a file with an error. *Check first*: a command that fails
for such a file (`…`: the arguments of the service follow); it is the `reload_check` that has to pass before the signal.
*LISTEN_FDS*: whether it takes sockets that are passed to it.
"""
ENDS = """## Ends

How the main process ends: *exit N*, or the signal that it does not handle; *goes on* where it ignores the signal or uses it for
something else. *N left*: processes that it leaves behind, which the supervisor ends. *Child ended*: what the main process does
when its first child is sent TERM. *Broken file* at its start. *Background*: what the command without its option for the
foreground does (*stays*: where it has NOTIFY_SOCKET; without it, it goes to the background).
"""


SUPERVISED = """## Under the supervisor

What `scripts/programs --supervise` saw last: each program was started from the file that `supervisor init -- COMMAND` writes for
it, unmodified, and went through the steps of the columns. Programs without a row were not run like this. *Starts*: *ready, as it
says* where it sends READY=1, else *runs*. *Reload*: `supervisor signal NAME`. *Broken file*: the same with an error in its file;
*refused* by its `reload_check`, so that nothing was sent; where it has none, what follows: *goes on* with the old one, or an end.
*SIGSTOP* of the main process: *held* as a suspect that cannot run, where it sends heartbeats, else *shown* in `status`; it goes on
after SIGCONT. *Starved*, of those that send heartbeats: for 10 to 20 seconds it runs on one CPU, beside busy loops with a higher share;
*held* as a suspect with that reason, or *goes on* where its beats still come in time; none was ended. *SIGKILL* of the main process.
*Stop*: `supervisor stop`, which counts no failure. *Told with the signal*: the record of the end names the signal that came before it.
"""


def page() -> str:
    programs = [read(path) for path in sorted(BOOK.glob("*.toml"))]
    out = [HEAD, SAYS, "| program | says at its start | reload | broken file | check first | LISTEN_FDS |"]
    out += ["| --- | --- | --- | --- | --- | --- |", *map(_says, programs), ""]
    out += [ENDS, "| program | seen | TERM | INT | QUIT | HUP | child ended | broken file | background |"]
    out += ["| --- | --- | --- | --- | --- | --- | --- | --- | --- |", *map(_ends, programs), ""]
    last_run = kept()
    out += [SUPERVISED, f"| program | seen | {' | '.join(STEPS)} |", f"| --- | --- |{' --- |' * len(STEPS)}"]
    out += [*(_supervised(read(BOOK / f"{name}.toml").title, row) for name, row in last_run.items()), ""]
    out += _under_load(kept_load())
    out += ["## Worth knowing\n"]
    out += [f"- {end['means']}." for program in programs for end in program.ends]
    out += [f"- {_sentence(program.stop['because'])}." for program in programs if program.stop]
    out += [f"- {_sentence(program.reload['means'])}." for program in programs if "means" in program.reload]
    out += [f"- {_sentence(need['because'])}." for program in programs for need in program.needs]
    return "\n".join(out).rstrip() + "\n"


def _under_load(row: Mapping[str, Any]) -> list[str]:
    """What `scripts/programs --under-load` saw last."""
    if not row:
        return []
    least, mean, most = row["load"]
    ended = f"{row['ended']} were ended, or ended" if row["ended"] else "none was ended"
    said = f"""### All at once on a busy host

`scripts/programs --under-load {row["minutes"]}m` on {row["on"]}: {row["programs"]} programs, {row["beating"]} of them with heartbeats, each from what
`init` writes, ran for {row["minutes"]} minutes beside {row["loops"]} busy loops. The load was {mean} on average ({least} to {most}), and some task waited for
a CPU in {row["pressure"]} % of the time. Suspicions: {row["suspicions"]}; suspects that were held, because they could not run: {row["holds"]}; {ended}.
"""
    return [said]


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _says(program: Program) -> str:
    seen, check = program.seen, program.reload.get("check")
    reload = f"{program.reload['signal']}: {_said(seen['reload'])}" if "signal" in program.reload else "–"
    taken = {True: "yes", False: "no", None: "–"}[seen.get("sockets")]
    cells = [
        program.title,
        "<br>".join(f"`{line}`" for line in seen["start"]) or "–",
        reload,
        _said(seen.get("broken_reload", "–")),
        f"`{check}{' …' if check.split()[0] in program.names else ''}`" if check else "–",
        taken,
    ]
    return f"| {' | '.join(cells)} |"


def _ends(program: Program) -> str:
    seen = program.seen
    ends = [_end(seen["stop"][name]) for name in ("TERM", "INT", "QUIT")]
    ends += [_end(seen[key]) if key in seen else "–" for key in ("hangup", "child_ended", "broken_start")]
    about = f"{seen['version']}, {seen['source'].split()[0]}, {seen['on']}"
    return f"| {' | '.join([program.title, about, *ends, seen.get('background', '–')])} |"


def _supervised(title: str, row: Mapping[str, Any]) -> str:
    cells = [title, f"{row['version']}, {row['on']}", *(row.get(step, "–") for step in STEPS)]
    return f"| {' | '.join(cells)} |"


def _said(seen: str) -> str:
    """The end, and the datagrams as code."""
    end, *said = seen.split("; ")
    return "<br>".join([end, *(f"`{line}`" for line in said)])


def _end(seen: str) -> str:
    """The end alone, and what it left."""
    end, *rest = seen.split("; ")
    return "; ".join([end, *(part for part in rest if part.endswith(" left"))])
