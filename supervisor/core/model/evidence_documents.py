"""The documents of evidence: what was captured before a process was ended.  documents.py says how they are used."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from supervisor.core.model.document_types import JSON, Seconds
from supervisor.core.model.socket_documents import Socket


class Thread(TypedDict):
    """One thread of an examined process."""

    tid: int
    name: str
    state: str
    waits_in: Annotated[str | None, "the kernel function that it sleeps in"]
    cpu_s: Seconds
    stack: NotRequired[Annotated[list[str], "its stack inside the kernel"]]


_Is = TypedDict("_Is", {"is": str})


class OpenFile(_Is):
    """One open descriptor that is no socket."""

    fd: int


class ExaminedProcess(TypedDict):
    """One process of a suspect's tree."""

    pid: int
    ppid: int
    name: str
    state: str
    memory_bytes: int
    swap_bytes: int | None
    cpu_s: Seconds
    thread_count: int
    threads: list[Thread]
    command: Annotated[str | None, "null: to read it could have meant to wait"]
    environment: NotRequired[Annotated[list[str], "names of its variables; of the main process only"]]
    limits: NotRequired[dict[str, int]]
    sockets: list[Socket]
    fds: int | None
    files: list[OpenFile]


class Stack(TypedDict):
    """A stack that a process wrote when asked, or that py-spy saw."""

    pid: int
    how: str
    lines: NotRequired[list[str]]
    error: NotRequired[str | None]


class Core(TypedDict):
    """Where a core file will be."""

    pattern: str
    limit_bytes: NotRequired[int | None]
    directory: NotRequired[str]


class Waited(TypedDict):
    """How much of the time the suspect could run."""

    share: Annotated[float, "the part of the time in which it waited for a CPU, memory or a disk"]
    ran_s: Seconds


class ExaminedHost(TypedDict):
    """The state of the host during an examination."""

    load: list[float]
    cpus: int | None
    psi: NotRequired[
        Annotated[
            dict[str, dict[str, list[float]]],
            "pressure by resource (cpu, memory, io) and kind (some, full): percent of the last 10 and 60 s",
        ]
    ]


class Evidence(TypedDict, total=False):
    """What an examination found.  Parts are missing where it was cut short, was too large, or found nothing."""

    pid: int
    held: Annotated[str | None, "why the silence proves nothing"]
    cgroup: Annotated[JSON | None, "its path, whether it is frozen, and the kernel's files about it"]
    host: ExaminedHost
    last_lines: list[str]
    processes: list[ExaminedProcess]
    processes_left_out: int
    others_can_run: Annotated[bool, "held is one process of several; the others can run, so their time counts"]
    waited: Waited
    stacks: list[Stack]
    core: Core
    cut_short: str
    shed: Annotated[bool, "parts were left out because it was too large"]
    took_ms: float
