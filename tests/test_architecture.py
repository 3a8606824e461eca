"""The architecture as one table: which package may import which, and that no modules import in a circle.

An import counts wherever it stands: at the top, within a function, under TYPE_CHECKING.  With a module, the
packages that it lies in are imported, too.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping, Set
from functools import cache
from pathlib import Path

import pytest

from supervisor.cli.commands import SECTIONS

ROOT = Path(__file__).parents[1] / "supervisor"
TOOLS = ROOT.parent / "scripts" / "tools"

CORE_MAY_IMPORT = {
    "array", "bisect", "collections", "collections.abc", "contextlib", "dataclasses", "datetime", "difflib", "enum",
    "fnmatch.fnmatchcase", "functools", "heapq", "itertools", "json", "math", "operator.attrgetter",
    "operator.itemgetter", "re", "sys.intern", "sys.stdlib_module_names", "types",
    "typing", "hashlib.sha256", "zlib.crc32", "__future__",
}  # fmt: skip

LEDGER, LOG, ORPHANS = "adapters.ledger.query", "adapters.logs.reader", "adapters.processes.orphans"
DIRECTORIES, LOCKS = "adapters.linux.directories", "adapters.linux.locks"
"""What a face may read where no daemon runs."""
HOST_PROCESSES, SERVICE_COMMAND = "adapters.processes.host_processes", "adapters.processes.service_command"
PROCFS = "adapters.linux.procfs"
"""What a command looks at, and becomes, in place of the daemon, so that its event loop is not held."""

ROOMS: dict[str, set[str]] = {
    # A room (a package, or a module where one differs from its room): what it may import beside itself.  Names are
    # within `supervisor`; each stands for all that lies in it.  The longest name that fits a module counts.
    "errors": set(),
    "heartbeat": set(),
    "integrations": {"heartbeat"},
    "last_directories": set(),
    "trusted_users": set(),
    "launch": set(),
    "own_sources": set(),
    "client": {"core.model", "control_socket", "daemon_stream", "log_pages"},
    "log_pages": {"core.model"},
    "control_socket": {"errors", "http_answer", DIRECTORIES},
    "daemon_stream": {"errors", "core.model", "core.services.status_changes", "control_socket", "http_answer"},
    "http_answer": set(),
    "__main__": {"cli.main", "launch"},

    # Rules: pure, each room may know those above it.
    "core": set(),
    "core.model": set(),
    "core.detection": {"core.model"},
    "core.restart": {"core.model"},
    "core.text": {"core.model", "core.detection"},
    "core.lifecycle": {"core.model", "core.detection", "core.restart", "core.text"},
    "core.history": {"core.model", "core.detection", "core.restart", "core.text"},
    "core.balancing": {"core.model"},
    "core.cluster": {"core.model", "core.detection", "core.text"},
    "core.services": {"core", "errors"},

    # Processes of a cluster's own.
    "cluster": {"core", "errors", "heartbeat", "adapters.zookeeper", "__version__"},
    "cluster.deadman": set(),

    # The world: one outside thing a room.
    "adapters": set(),
    "adapters.eventloop": {"core", "errors"},
    "adapters.zookeeper": {"core", "errors"},
    "adapters.linux": {"core", "errors", "adapters.eventloop", "trusted_users"},
    "adapters.processes": {"core", "errors", "own_sources", "adapters.linux", "adapters.eventloop"},
    "adapters.probes": {"core", "errors", "adapters.processes", "adapters.linux", "adapters.eventloop"},
    "adapters.diagnosis": {
        "core", "errors", "adapters.probes", "adapters.processes", "adapters.linux", "adapters.eventloop",
    },
    "adapters.hooks": {
        "core", "errors", "own_sources",
        "adapters.probes", "adapters.processes", "adapters.linux", "adapters.eventloop",
    },
    "adapters.logs": {"core", "errors", "adapters.linux", "adapters.eventloop"},
    "adapters.ledger": {"core", "errors"},
    "adapters.metrics": {"core", "errors", "adapters.eventloop"},
    "adapters.sockets": {"core", "errors", "adapters.eventloop"},
    "adapters.balancing": {"core", "errors", "adapters.eventloop"},
    "adapters.cluster": {"core", "errors", "adapters.eventloop"},
    "adapters.http": {"core", "errors", "adapters.eventloop"},
    "adapters.service_manager": {"core", "errors", "adapters.eventloop"},
    "adapters.control": {
        "core", "errors", "own_sources", "adapters.http", "adapters.ledger", "adapters.eventloop", "__version__",
    },

    # The daemon: joins rules and world.
    "daemon": set(),
    "daemon.checkpoints": {"core"},
    "daemon.clock_watch": {"core"},
    "daemon.engine": {"core"},
    "daemon.observers": {"core", "adapters"},
    "daemon.previous_run": {"core", "adapters", "errors"},
    "daemon.notifications": {"core", "adapters", "daemon.engine"},
    "daemon.parts": {
        "core", "adapters", "errors", "daemon.engine", "daemon.notifications", "daemon.observers",
        "daemon.previous_run",
    },
    "daemon.reload": {"core", "daemon.previous_run"},
    "daemon.compilation": {"core", "adapters", "errors", "launch", "own_sources", "daemon.parts", "daemon.reload"},
    "daemon.upgrade": {
        "core", "adapters", "errors", "launch", "daemon.engine", "daemon.upgrade_guard", "__version__",
    },
    "daemon.upgrade_guard": {"adapters.eventloop"},
    "daemon.metrics_source": {"core", "adapters", "daemon.parts", "daemon.socket_queues"},
    "daemon.status_view": {"core", "adapters", "daemon.parts", "daemon.socket_queues", "__version__"},
    "daemon.followers": {"core", "adapters", "daemon.parts", "errors"},
    "daemon.signals": {"core", "adapters", "errors", "daemon.parts"},
    "daemon.edited_file": {"core", "errors", "daemon.parts", "daemon.reload"},
    "daemon.control": {
        "core", "adapters", "errors", "daemon.compilation", "daemon.edited_file", "daemon.followers",
        "daemon.metrics_source", "daemon.ordered_by", "daemon.parts", "daemon.reload", "daemon.signals",
        "daemon.status_view", "daemon.upgrade",
    },
    "daemon.ordered_by": {"core", "adapters"},
    "daemon.haproxy_reload": {"core", "adapters"},
    "daemon.balancing": {"core", "adapters", "daemon.haproxy_reload", "daemon.parts", "daemon.reload"},
    "daemon.on_demand": {"core", "adapters", "errors", "daemon.parts"},
    "daemon.cluster": set(),
    "daemon.cluster.member": {
        "core", "adapters", "daemon.cluster.balanced_hosts", "daemon.cluster.orders", "daemon.cluster.pushed",
        "daemon.cluster.view", "daemon.ordered_by", "daemon.parts",
    },
    "daemon.cluster.view": {"core", "adapters", "daemon.cluster.orders", "daemon.parts"},
    "daemon.cluster.pushed": {
        "core", "errors", "daemon.compilation", "daemon.edited_file", "daemon.parts", "daemon.status_view",
    },
    "daemon.cluster.balanced_hosts": {"core", "daemon.parts"},
    "daemon.cluster.orders": {"core"},
    "daemon.socket_queues": {"core", "adapters", "daemon.parts"},
    "daemon.effects": {
        "core", "adapters", "errors", "daemon.clock_watch", "daemon.compilation", "daemon.member_actions",
        "daemon.needed", "daemon.parts", "daemon.previous_run", "daemon.reload",
    },
    "daemon.needed": {"core", "daemon.parts"},
    "daemon.member_actions": {"core", "adapters", "daemon.needed", "daemon.parts"},
    "daemon.lost_records": {"core", "daemon.previous_run"},
    "daemon.recovery": {"core", "daemon.lost_records", "daemon.previous_run", "daemon.reload"},
    "daemon.refused_start": {"core", "adapters", "errors", "daemon.previous_run"},
    "daemon.rehearsal": {"core", "adapters", "errors", "daemon.previous_run", "__version__"},
    "daemon.service_manager": {"core", "adapters", "daemon.parts"},
    "daemon.runtime": {
        "core", "adapters", "daemon.balancing", "daemon.checkpoints", "daemon.control", "daemon.effects",
        "daemon.cluster.member", "daemon.on_demand",
        "daemon.parts", "daemon.previous_run", "daemon.recovery", "daemon.service_manager", "daemon.web",
        "last_directories", "__version__",
    },
    "daemon.web": {"core", "adapters", "errors", "display", "web"},
    "daemon.__main__": {
        "core", "adapters", "errors", "launch", "own_sources", "daemon.late_module", "daemon.previous_run",
        "daemon.refused_start", "daemon.rehearsal", "daemon.runtime", "daemon.upgrade_guard",
    },

    # The configuration: text to a plan.
    "config": {"core", "errors"},
    "config.cluster": {"core", "config.source", "cluster.deadman"},
    "config.units": set(),
    "config.source": {"errors", "config.units", "last_directories", "trusted_users"},
    "config.schema": {"core", "config.source", "config.units"},
    # A sandbox is tried while the configuration is read, by what makes it later.
    "config.checks": {
        "core", "config.schema", "config.source", "config.units", "programs", "adapters.processes.sandbox"
    },
    "config.export": {"core", "config.schema", "config.units"},
    # Files of other process managers: text to text; what is written is loaded as any services.toml.
    "config.importers": {"core.text", "errors", "programs", "config.schema", "config.source", "config.units"},
    "config.explain": {"core", "config.schema", "config.units"},
    "config.definition": {
        "core", "config.build", "config.export", "config.include", "config.inherit", "config.schema", "config.source",
    },
    "config.include": {"core", "errors", "config.schema", "config.source", "config.units"},
    "config.inherit": {"core", "config.build", "config.source"},
    "config.profiles": {"core", "errors", "config.source", "config.units"},
    "config.build": {"core", "config.checks", "config.schema", "config.source"},
    # The program of HAProxy is asked for its version, and its certificates are tried, while the configuration is read.
    "config.balancer": {
        "core",
        "errors",
        "config.source",
        "adapters.balancing.certificate",
        "adapters.balancing.program",
    },
    "config.fleet": {"core", "errors", "config.checks", "config.schema", "config.source"},
    "config.pushed": {"core", "config.source"},
    "config.load": {
        "core", "config.balancer", "config.build", "config.checks", "config.cluster", "config.include",
        "config.inherit", "config.profiles", "config.pushed", "config.schema", "config.source",
    },
    "config.compile": {"core", "errors", "config.load", "config.profiles", "config.pushed", "config.source"},

    # The faces: they ask a daemon through the client, and work out nothing that is a rule.
    "display": {"core.model", "core.text", "core.history", "errors"},
    "web": {"core.model", "core.text", "core.history", "display"},
    "dashboard": {
        "client", "control_socket", "display", "errors", "core.text", "core.history", "core.model",
        "core.services.status",
    },
    "detectorlab": {"core.model", "core.detection", "core.text", "config.units", "errors"},
    "demo": set(),
    "cli": {
        "client", "control_socket", "demo", "display", "config", "errors", "launch", "dashboard", "detectorlab",
        "fleet", "last_directories", "log_pages", LEDGER, LOG, LOCKS, ORPHANS, DIRECTORIES, HOST_PROCESSES,
        SERVICE_COMMAND, PROCFS,
        "__version__", "core.text", "core.history", "core.model", "core.cluster.version_documents", "core.detection",
        "core.services.adoption", "core.services.awaited", "core.services.process_owners", "core.services.replica",
        "core.services.settled", "core.services.status", "programs",
    },

    # Other hosts, over ssh: needs the extra `fleet`, which nothing else imports.
    "fleet": {"core.model", "core.text", "errors", "__version__"},

    # For a daemon of build 5600521 that runs on while its files are replaced: these go together.
    "previous_build": set(),
    # What is known of programs: text files, and what finds a program in a command.
    "programs": set(),
    "upgrade": {"previous_build"},
    "hookrunner": {"adapters.hooks.runner"},
    "adapters.capabilities": {"previous_build"},
    "adapters.forkexec": {"previous_build"},
    "adapters.http_connection": {"previous_build"},
    "adapters.loggzip": {"previous_build"},
    "adapters.openapi": {"previous_build"},
    "adapters.outbox": {"previous_build"},
    "adapters.sse": {"previous_build"},
}  # fmt: skip

TOOLS_MAY_IMPORT: dict[str, set[str]] = {
    "bench": {"adapters.ledger.schema", "client", "config", "core", "errors"},
    "chaos": {"client", "config", "core", "errors", PROCFS, LEDGER, LOG},
    "docs": {
        "adapters",
        "cli",
        "client",
        "config",
        "core",
        "dashboard",
        "demo",
        "detectorlab",
        "programs",
        "__version__",
    },
    "fuzz": {"adapters", "config", "core", "errors", "last_directories"},
    "imports": {"config.importers"},
    "mutation": set(),
    "programs": {PROCFS, "cli.main", "client", "core.text", "errors", "programs"},
}
"""The same for the packages of scripts/tools: what each may import of `supervisor`.  None imports another, but for
SHARED."""

SHARED = (
    "scripts.tools.arguments", "scripts.tools.bench.ports", "scripts.tools.chaos.pressure",
    "scripts.tools.chaos.private_daemon", "scripts.tools.programs.supervised_file",
)  # fmt: skip

ONE_ROOM_EACH = {"kazoo": "adapters.zookeeper", "fabric": "fleet", "paramiko": "fleet", "invoke": "fleet"}
"""Packages that are not needed by every installation: the room that imports each, and no other does."""

LONGEST_FILE = 600

MOST_FILES = 34
"""In one room, __init__.py among them."""

HEAVY = {
    "pydantic", "pydantic_core", "click", "rich", "textual", "tenacity", "apprise", "asyncio", "logging", "email",
    "http.client", "urllib.request", "ssl", "tempfile", "uuid", "psutil", "h11", "prometheus_client", "tomllib",
}  # fmt: skip


def imports(path: Path) -> Iterator[str]:
    """Every module that the file imports, wherever in it, with a name from it where one is imported."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def dotted(path: Path) -> str:
    """`core.model.spec` for supervisor/core/model/spec.py, `core.model` for its package; "" for `supervisor`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    """Every module of `supervisor` by its name within it."""
    return {dotted(path): path for path in sorted(ROOT.rglob("*.py"))}


def inside(name: str, room: str) -> bool:
    return f"{name}.".startswith(f"{room}.")


def room_of(module: str) -> str:
    """The longest name in ROOMS that fits."""
    return max((room for room in ROOMS if inside(module, room)), key=len, default="")


def test_each_module_lies_in_a_room() -> None:
    assert [module for module in modules() if module and not room_of(module)] == []


def from_the_house(path: Path) -> Iterator[str]:
    """What the file imports of `supervisor`, by its name within it."""
    for name in imports(path):
        if inside(name, "supervisor"):
            yield name.removeprefix("supervisor").removeprefix(".")


def test_each_module_imports_only_what_its_room_may() -> None:
    for module, path in modules().items():
        room = room_of(module)
        for name in from_the_house(path):
            allowed = any(inside(name, other) for other in ROOMS.get(room, ()))
            assert allowed or room_of(name) == room, f"{module} imports {name}"


def test_a_package_that_only_some_need_is_imported_by_one_room() -> None:
    for module, path in modules().items():
        for name in imports(path):
            room = ONE_ROOM_EACH.get(name.partition(".")[0])
            assert room is None or inside(module, room), f"{module} imports {name}"


def test_the_table_names_nothing_that_is_not_there() -> None:
    named = set(ROOMS).union(*ROOMS.values(), *TOOLS_MAY_IMPORT.values()) - {"__version__"}
    assert not named - set(modules())
    assert set(TOOLS_MAY_IMPORT) == {path.parent.name for path in TOOLS.glob("*/__init__.py")}


@pytest.mark.parametrize("tool", TOOLS_MAY_IMPORT)
def test_tools_import_only_what_they_may(tool: str) -> None:
    for path in sorted((TOOLS / tool).rglob("*.py")):
        for name in from_the_house(path):
            assert any(inside(name, other) for other in TOOLS_MAY_IMPORT[tool]), f"{path.name} imports {name}"
        for name in imports(path):
            ours = any(inside(name, other) for other in (f"scripts.tools.{tool}", *SHARED))
            assert not inside(name, "scripts") or ours, f"{path.name} imports {name}"


def graph() -> dict[str, set[str]]:
    """Each module of the house with all that it imports of it, the packages of what it imports among them."""
    found: dict[str, set[str]] = {}
    for module, path in modules().items():
        names = {part for name in from_the_house(path) for part in _with_packages(name)}
        names |= set(_with_packages(module.rpartition(".")[0]))
        if module == "cli.commands":  # it imports each command by its name
            names |= {f"cli.{file}" for section in SECTIONS.values() for file in section.values()}
        found[module] = (names & set(modules())) - {module}
    return found


def _with_packages(name: str) -> Iterator[str]:
    while name:
        yield name
        name = name.rpartition(".")[0]


def circles(edges: Mapping[str, Set[str]]) -> list[set[str]]:
    """The strongly connected components with more than one module (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in edges[node]:
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            component = set(stack[stack.index(node) :])
            del stack[stack.index(node) :]
            if len(component) > 1:
                found.append(component)

    for node in edges:
        if node not in index:
            visit(node)
    return found


def test_no_two_modules_import_each_other_in_a_circle() -> None:
    assert circles(graph()) == []


def test_a_circle_is_found_whatever_its_length() -> None:
    line = {"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": set[str]()}
    assert circles(line) == []
    assert circles(line | {"d": {"b"}}) == [{"b", "c", "d"}]
    assert sorted(map(sorted, circles(line | {"b": {"a"}, "d": {"c"}}))) == [["a", "b"], ["c", "d"]]


def test_no_file_is_too_long_and_no_room_too_full() -> None:
    for module, path in modules().items():
        assert len(path.read_text().splitlines()) <= LONGEST_FILE, module
    for room in {path.parent for path in modules().values()}:
        assert len(list(room.glob("*.py"))) <= MOST_FILES, room


def test_users_of_the_package_see_its_types() -> None:
    """A type checker reads them only where this file lies beside them (PEP 561)."""
    assert (ROOT / "py.typed").exists()


def in_the_core() -> list[Path]:
    return [path for module, path in modules().items() if inside(module, "core")]


def test_the_core_is_pure() -> None:
    for path in in_the_core():
        for name in imports(path):
            if not inside(name, "supervisor"):
                assert any(inside(name, known) for known in CORE_MAY_IMPORT), f"{path.name} imports {name}"


def test_nothing_sleeps_in_the_core_or_reads_a_clock() -> None:
    for path in in_the_core():
        tree = ast.parse(path.read_text())
        calls = {ast.unparse(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
        assert not calls & {"time.time", "time.monotonic", "time.sleep", "datetime.now", "open", "print"}, path.name


def loaded_by(code: str) -> set[str]:
    """Names of the modules that a fresh interpreter holds after `code`."""
    command = [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def documents(loaded: Set[str]) -> list[str]:
    return [name for name in loaded if inside(name, "supervisor.core.model") and "document" in name]


def test_the_daemon_does_not_pay_for_what_it_does_not_need() -> None:
    loaded = loaded_by("import supervisor.daemon.__main__, supervisor.daemon.runtime")
    assert not HEAVY & loaded
    assert not documents(loaded), "documents are types: plain dicts at run time"
    assert not [name for name in loaded if "balanc" in name or "haproxy" in name], "no service has `balance`"


NOT_PLAIN = {
    # One service has ready or heartbeat:
    "adapters.probes.monitors", "adapters.probes.prober", "adapters.diagnosis.examiner",
    "adapters.probes.exec_target", "adapters.probes.tcp_http", "adapters.probes.local", "adapters.probes.line_pattern",
    "adapters.eventloop.dns", "adapters.processes.child_command", "adapters.processes.command_trees",
    "adapters.processes.remote_files", "core.detection.detectors", "core.detection.target", "core.text.target",
    # … or scope = "process":
    "core.detection.members", "core.lifecycle.members", "daemon.member_actions",
    # … or fd_store, hooks, a file system that may not answer, a log of several, timestamps in the log:
    "adapters.sockets.descriptor_store", "adapters.hooks", "adapters.processes.apart", "adapters.logs.shared",
    "adapters.logs.part", "adapters.logs.timestamp_spool",
    # … or takes part in these:
    "core.balancing", "core.cluster", "adapters.balancing", "adapters.cluster", "adapters.zookeeper", "cluster",
    "core.services.rollout", "core.services.rollouts", "core.services.lease_gate", "core.services.balanced",
    "daemon.balancing", "daemon.cluster", "daemon.on_demand", "adapters.processes.sandbox", "integrations", "fleet",
    # Somebody asks for it:
    "adapters.logs.reader", "adapters.logs.files", "core.services.plan_diff", "adapters.metrics.page",
    "adapters.control.openapi",
    # … with a browser ([supervisor.http] web):
    "daemon.web", "web", "display", "adapters.http.static_files",
}  # fmt: skip
"""What a daemon need not load while no service is configured for it."""

PLAIN_DAEMON = """
from supervisor.core.model.spec import Plan, ServiceSpec, SupervisorSpec
from supervisor.daemon import __main__, runtime
service = ServiceSpec(name="web", command=("true",), directory="/")
folder = SupervisorSpec(name="plain", runtime_dir="{0}/run", state_dir="{0}/state")
runtime.Runtime(Plan(supervisor=folder, services=(service,), path="{0}/services.toml"))
"""


def test_a_plain_daemon_does_not_pay_for_what_no_service_has(tmp_path: Path) -> None:
    loaded = loaded_by(PLAIN_DAEMON.format(tmp_path).strip())
    assert "supervisor.adapters.logs.store" in loaded
    assert not [name for name in loaded for other in NOT_PLAIN if inside(name, f"supervisor.{other}")]


def test_a_plain_daemon_does_not_pay_for_modules_of_the_standard_library_that_it_does_not_use() -> None:
    code = "import supervisor.daemon.__main__, supervisor.daemon.runtime, supervisor.adapters.http.connection"
    loaded = loaded_by(code) - loaded_by("pass")
    unused = {"pathlib", "urllib.parse", "ipaddress", "asyncio", "logging"}
    if sys.version_info < (3, 12):  # where dataclasses does not use inspect
        unused |= {"ast", "dis", "tokenize"}
    assert not unused & loaded


def test_a_module_that_is_imported_late_is_the_real_one() -> None:
    code = """if True:
        import sys
        from supervisor.daemon.late_module import import_late
        import_late()
        from dataclasses import dataclass
        @dataclass
        class Untold: x: int
        assert Untold.__doc__ == "Untold" or sys.version_info >= (3, 12)
        import inspect
        assert sys.version_info >= (3, 12) or "ast" not in sys.modules and not hasattr(inspect, "__all__")
        def function(given): pass
        assert str(inspect.signature(function)) == str(inspect.signature(function)) == "(given)"
        from inspect import signature
        assert signature is inspect.signature is sys.modules["inspect"].signature and "ast" in sys.modules
        real = sys.modules["inspect"]
        import_late()
        assert sys.modules["inspect"] is real
        """
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_a_plain_daemon_does_not_load_is_there() -> None:
    assert not NOT_PLAIN - set(modules())


def test_status_does_not_pay_for_what_it_does_not_need() -> None:
    click = loaded_by("import click")
    loaded = loaded_by("import supervisor.cli.status, supervisor.client") - click
    assert not HEAVY & loaded
    assert not documents(loaded)


BEFORE_THE_SOCKET = "import supervisor.__main__, supervisor.cli.main, supervisor.cli.fast_path, supervisor.client"
"""What `status` imports before it asks; the lines below say what it imports to find the socket, and then to print."""
TO_FIND_THE_SOCKET = "import os, supervisor.config.source.locate as l; l.locations('{0}/services.toml', os.environ)"
ROWS = "import supervisor.display.status_row, supervisor.display.deviations, supervisor.display.rollout_line"
TABLE = "import supervisor.display.status_table"
COSTLY = {
    "click", "rich", "tomllib", "pathlib", "subprocess", "signal", "socket", "selectors", "datetime", "threading",
    "shutil", "tempfile", "asyncio", "logging", "http.client", "dataclasses", "inspect", "textwrap",
}  # fmt: skip
"""Each takes a tenth or more of the time in which an interpreter starts."""


@pytest.mark.parametrize(
    ("printing", "and_not"),
    [(ROWS, {"typing", "supervisor.display.state_style", "supervisor.core.services"}), (TABLE, {"textual"})],
)
def test_status_with_rows_and_on_a_terminal_imports_little(tmp_path: Path, printing: str, and_not: Set[str]) -> None:
    (tmp_path / "services.toml").write_text(
        f'[supervisor]\nname = "x"  # short\nruntime_dir = "{tmp_path}"\n[services.a]\ncommand = ["true"]\n'
    )
    code = "; ".join((BEFORE_THE_SOCKET, TO_FIND_THE_SOCKET.format(tmp_path), printing))
    loaded = loaded_by(code) - loaded_by("pass")
    assert "supervisor.control_socket" in loaded
    assert not (COSTLY | and_not) & loaded


def test_a_command_that_waits_for_its_order_imports_little_and_that_after_it_is_sent() -> None:
    fast = f"{BEFORE_THE_SOCKET}; import supervisor.cli.waiting.asking"
    before = loaded_by(fast) - loaded_by("pass")
    assert not [name for name in before if name in ("supervisor.cli.waiting.output", "supervisor.daemon_stream")]
    waiting = "import supervisor.cli.waiting.output, supervisor.daemon_stream, supervisor.core.services.status_changes"
    assert not (COSTLY | {"typing"}) & (loaded_by(f"{fast}; {waiting}") - loaded_by("pass"))


@pytest.mark.slow
def test_the_diagram_is_what_the_rules_do() -> None:
    """`scripts/diagram` draws it from the transcripts into ARCHITECTURE.md."""
    command = [sys.executable, "-m", "scripts.tools.docs.diagram", "--check"]
    result = subprocess.run(command, cwd=ROOT.parent, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_reference_is_what_the_schema_says() -> None:
    """`scripts/reference` writes docs/configuration.md."""
    command = [sys.executable, "-m", "scripts.tools.docs.reference", "--check"]
    result = subprocess.run(command, cwd=ROOT.parent, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
