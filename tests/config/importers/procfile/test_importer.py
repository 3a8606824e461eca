"""Procfiles as public projects have them, and what foreman 0.87.2 (Ruby 3.1, dash as /bin/sh) made of each.

The words and the environment of each process were compared with those that a program in the place of every command
printed when foreman started it, and where `eval` or `$NAME` is in a command, what the shell made of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from supervisor.config.importers.formats import beside
from supervisor.config.importers.imported import Imported, ImportRefused, Kind
from supervisor.config.importers.procfile import dotenv, importer
from supervisor.config.importers.procfile.command import command, needs_shell
from supervisor.config.importers.services_toml import services_toml
from supervisor.config.load import load


def imported(text: str, dotenv_text: str, caller: Mapping[str, str]) -> Imported:
    return importer.imported(text, dotenv_text, caller, folder="/app")


def sh(text: str) -> list[str]:
    return ["/bin/sh", "-c", text]


@dataclass
class Case:
    """`words` of each service; `environment` beside PORT and PS, which is in all; `file`: whether .env is read too."""

    procfile: str
    words: dict[str, list[str]]
    dotenv: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    file: bool = False
    ports: list[int] | None = None
    caller: dict[str, str] = field(default_factory=dict)
    losses: list[tuple[Kind, int, str]] = field(default_factory=list)
    """Without the two that are always there."""


CASES = {
    "rails": Case(
        "web: bundle exec puma -C config/puma.rb -p $PORT\n"
        "worker: bundle exec sidekiq -q default -q mailers\n"
        "css: yarn build:css --watch\n",
        {
            "web": ["bundle", "exec", "puma", "-C", "config/puma.rb", "-p", "5000"],
            "worker": ["bundle", "exec", "sidekiq", "-q", "default", "-q", "mailers"],
            "css": ["yarn", "build:css", "--watch"],
        },
        "RAILS_ENV=development\nREDIS_URL=redis://localhost:6379/1\n",
        file=True,
    ),
    "default_of_the_shell": Case(
        "web: bundle exec puma -t 5:5 -p ${PORT:-3000} -e ${RACK_ENV:-development}\n",
        {"web": sh("bundle exec puma -t 5:5 -p ${PORT:-3000} -e ${RACK_ENV:-development}")},
    ),
    "django_with_release": Case(
        "release: python manage.py migrate --noinput\n"
        "web: gunicorn --bind 0.0.0.0:$PORT --access-logfile - shop.wsgi:application\n"
        "beat: celery -A shop beat -l INFO\n",
        {
            "release": ["python", "manage.py", "migrate", "--noinput"],
            "web": ["gunicorn", "--bind", "0.0.0.0:5100", "--access-logfile", "-", "shop.wsgi:application"],
            "beat": ["celery", "-A", "shop", "beat", "-l", "INFO"],
        },
        losses=[(Kind.CHOSEN, 1, "release")],
    ),
    "shell_syntax": Case(
        "web: cd public && python -m http.server $PORT\n"
        "log: tail -F a.log | grep -v '/health' 2>&1 >/dev/null\n"
        "jobs: QUEUE=high,low node jobs.js # two queues\n"
        "own: exec node own.js\n",
        {
            "web": sh("cd public && python -m http.server $PORT"),
            "log": sh("tail -F a.log | grep -v '/health' 2>&1 >/dev/null"),
            "jobs": sh("QUEUE=high,low node jobs.js # two queues"),
            "own": sh("exec node own.js"),
        },
    ),
    "port_of_dotenv": Case(
        "api: node api.js\nui: node ui.js --api http://localhost:7000 --port=$PORT\n",
        {"api": ["node", "api.js"], "ui": ["node", "ui.js", "--api", "http://localhost:7000", "--port=7100"]},
        "PORT=7000\n",
        ports=[7000, 7100],
    ),
    "port_of_the_caller": Case(
        "api: node api.js\n",
        {"api": ["node", "api.js"]},
        ports=[8080],
        caller={"PORT": "8080tcp"},
        losses=[(Kind.CHOSEN, 0, "PORT")],
    ),
    "replaced_as_text": Case(
        "a: node $PORTAL '$PORT' \\$PORT ${PORT} \"<$PORT>\" $PS $HOMEPAGE_ x$A\n",
        {"a": sh("node ${PORT}AL '5000' \\5000 ${PORT} \"<$PORT>\" $PS $HOMEPAGE_ x$A")},
        "A=one\n",
        file=True,
        losses=[(Kind.CHOSEN, 1, "a")],
    ),
    "a_name_within_another": Case(
        "a: node $DBNAME $DB_URL x\n",
        {"a": sh("exec node ${DB}NAME ${DB}_URL x")},
        "DB=shop\nDB_URL=pg://u:p@h/shop\n",
        file=True,
        losses=[(Kind.CHOSEN, 1, "a")],
    ),
    "a_secret_stays_where_it_is": Case(
        'a: node --dsn $DSN\nb: node --dsn "$DSN" 2>&1\nc: node --dsn=$DSN --dsn $DSN >&2\n',
        {
            "a": sh('eval "node --dsn $DSN"'),
            "b": sh('node --dsn "$DSN" 2>&1'),
            "c": sh('eval "node --dsn=$DSN --dsn $DSN >&2"'),
        },
        "DSN=postgres://shop:s3cret@db/shop?a=1;b=2\n",
        file=True,
        losses=[(Kind.CHANGED, 1, "a"), (Kind.CHANGED, 3, "c")],
    ),
    "a_query_needs_no_eval": Case(
        "a: node --dsn $DSN --log $LEVEL\n",
        {"a": sh("node --dsn $DSN --log $LEVEL")},
        "DSN=postgres://shop:s3cret@db/shop?sslmode=require\nLEVEL=debug\n",
        file=True,
    ),
    "options_in_a_variable": Case(
        "a: node $OPTS main.js\nb: node '$OPTS' `node $OPTS` \\\\\n",
        {"a": sh('eval "node $OPTS main.js"'), "b": sh("eval \"node '$OPTS' \\`node $OPTS\\` \\\\\\\\\"")},
        'OPTS=--title "two words" $HOME\n',
        file=True,
        losses=[(Kind.CHANGED, 1, "a"), (Kind.CHANGED, 2, "b"), (Kind.CHOSEN, 2, "b")],
    ),
    "what_dotenv_reads_otherwise": Case(
        "web: node main.js\n",
        {"web": ["node", "main.js"]},
        "# of the developers\n\n"
        "SAME=yes\n"
        "COMMENT=a b # c\n"
        'LINES="one\\ntwo\\x"\n'
        "SINGLE='raw\\n$HOME'\n"
        "export EXPORTED=1\n"
        " INDENTED=1\n"
        "no assignment\n",
        {"COMMENT": "a b # c", "SAME": "yes", "LINES": "one\ntwox", "SINGLE": "raw\\n$HOME"},
    ),
    "what_environment_file_alone_sets": Case(
        "web: node main.js\n",
        {"web": ["node", "main.js"]},
        "SAME=yes\nexport EXPORTED=1\nHASH=a b # c\n",
        {"HASH": "a b # c"},
        file=True,
    ),
    "lines_that_do_not_count": Case(
        "# what runs\r\n"
        "\r\n"
        "web:node main.js\r\n"
        "  indented: node x.js\r\n"
        "a.b: node x.js\r\n"
        "two words: node x.js\r\n"
        "empty:\r\n"
        "blank:  \r\n"
        "web_2-x:\tnode  main.js\t--all \r\n",
        {"web": ["node", "main.js"], "web_2-x": ["node", "main.js", "--all"]},
        ports=[5000, 5200],
        losses=[
            (Kind.IGNORED, 4, ""),
            (Kind.IGNORED, 5, ""),
            (Kind.IGNORED, 6, ""),
            (Kind.IGNORED, 7, ""),
            (Kind.IGNORED, 8, "blank"),
        ],
    ),
    "names": Case(
        "web: node a.js\nweb: node b.js\n-x: node c.js\nweb-2: node d.js\n",
        {"web": ["node", "a.js"], "web-2": ["node", "b.js"], "x": ["node", "c.js"], "web-2-2": ["node", "d.js"]},
        losses=[(Kind.CHANGED, 2, "web"), (Kind.CHANGED, 3, "-x"), (Kind.CHANGED, 4, "web-2")],
    ),
    "nothing_in_a_variable": Case(
        "a: node $NOTHING --x=$NOTHING $RUN\n",
        {"a": sh("exec node $NOTHING --x=$NOTHING $RUN")},
        "NOTHING=\nRUN=one two\n",
        file=True,
        losses=[],
    ),
}
PS_OF = {"x": "-x.1", "web-2": "web.1", "web-2-2": "web-2.1"}


@pytest.mark.parametrize("name", CASES)
def test_what_foreman_runs(name: str) -> None:
    case = CASES[name]
    found = imported(case.procfile, case.dotenv, case.caller)
    assert {service.name: service.table["command"] for service in found.services} == case.words
    ports = case.ports or [5000 + 100 * index for index in range(len(case.words))]
    for service, port in zip(found.services, ports, strict=True):
        ps = PS_OF.get(service.name, f"{service.name}.1")
        assert service.table["environment"] == {"PORT": str(port), "PS": ps} | case.environment
        assert service.table.get("environment_file") == ("/app/.env" if case.file else None)
        assert service.table["directory"] == "/app"
        assert service.table["stop_timeout"] == "5s"
    of_procfile = [loss for loss in found.losses if loss.file == "Procfile" and (loss.line or loss.key)]
    assert [(loss.kind, loss.line, loss.key) for loss in of_procfile] == case.losses
    assert not any("s3cret" in str(loss) or "s3cret" in services_toml(found, "x") for loss in found.losses)


def of_dotenv(found: Imported) -> list[tuple[Kind, int, str]]:
    return [(loss.kind, loss.line, loss.key) for loss in found.losses if loss.file == ".env"]


def test_each_line_of_dotenv_that_is_read_in_another_way_is_told_by_its_key() -> None:
    case = CASES["what_environment_file_alone_sets"]
    assert of_dotenv(imported(case.procfile, case.dotenv, {})) == [
        (Kind.CHANGED, 2, "EXPORTED"),
        (Kind.CHOSEN, 3, "HASH"),
        (Kind.CHANGED, 3, "HASH"),
    ]


def test_all_values_are_written_out_where_environment_file_would_refuse_dotenv() -> None:
    case = CASES["what_dotenv_reads_otherwise"]
    found = imported(case.procfile, case.dotenv, {})
    assert of_dotenv(found) == [
        (Kind.CHOSEN, 4, "COMMENT"),
        (Kind.CHOSEN, 5, "LINES"),
        (Kind.CHOSEN, 6, "SINGLE"),
        (Kind.IGNORED, 7, "EXPORTED"),
        (Kind.IGNORED, 8, "INDENTED"),
        (Kind.CHOSEN, 8, "INDENTED"),
        (Kind.CHANGED, 9, ""),
    ]


def test_the_value_of_a_variable_is_in_no_loss() -> None:
    lines = ["s3cret", "export A=s3cret", "B=s3cret x # s3cret", "C='s3cret", 'D="s3cret\\x"', "E=s3cret{replica}"]
    found = imported("web: node $A $B '$C' \\$D\n", "\n".join(lines), {})
    assert len(of_dotenv(found)) == 5
    assert not any("s3cret" in str(loss) for loss in found.losses)


def test_without_variables_dotenv_is_not_read_although_environment_file_would_take_lines_of_it() -> None:
    found = imported("web: node x.js\n", "export A=1\nPORT=1\n", {})
    assert "environment_file" not in found.services[0].table
    assert of_dotenv(found) == [(Kind.IGNORED, 1, "A")]


def test_a_name_that_only_environment_file_takes_is_told() -> None:
    found = imported("web: node x.js\n", "A=1\nB.C=1\n", {})
    assert of_dotenv(found) == [(Kind.CHANGED, 0, "B.C"), (Kind.IGNORED, 2, "")]


def test_what_a_value_does_to_a_command_is_told_with_its_name() -> None:
    found = imported("web: node $A $1B\n", "A=a\\\\b$1B\n1B=c\n", {})
    of_web = [loss.text for loss in found.losses if loss.service == "web"]
    assert [word for text in of_web for word in ("eval", "backslashes", "holds", "written into") if word in text] == [
        "eval",
        "backslashes",
        "holds",
        "written into",
    ]


def test_honcho_refuses_quotes_that_are_not_closed() -> None:
    found = imported("web: node x.js\n", "A=it's\n", {})
    assert found.services[0].table["environment_file"] == "/app/.env"
    assert [loss.text for loss in found.losses if loss.file == ".env"] == [
        "honcho refuses this file, as quotes are not closed; foreman takes it."
    ]


def test_what_follows_an_end_is_chosen_once_and_told() -> None:
    found = imported("a: node a.js\nb: node b.js\n", "", {})
    assert [service.table["restart"] for service in found.services] == [{"policy": "always"}] * 2
    assert [loss.kind for loss in found.losses] == [Kind.CHOSEN] * 2
    assert "end_with" in found.losses[0].text


def test_release_runs_once_before_the_others() -> None:
    found = imported("web: node a.js\nrelease: node migrate.js\n", "", {})
    web, release = found.services
    assert web.table["depends_on"] == ["release"]
    assert release.table["type"] == "oneshot"
    assert release.table["restart"] == {"policy": "never"}
    assert "depends_on" not in release.table


@pytest.mark.parametrize(
    ("variables", "caller", "port"),
    [
        ("PORT=3000\n", {"PORT": "4000"}, "3000"),
        ("PORT=1_000x\n", {}, "1000"),
        ("PORT=none\n", {}, "0"),
        ("export PORT=1\n", {"PORT": ""}, "0"),
    ],
)
def test_the_first_port_is_read_as_ruby_reads_a_number(variables: str, caller: Mapping[str, str], port: str) -> None:
    assert imported("web: node a.js\n", variables, caller).services[0].table["environment"]["PORT"] == port


def test_the_mark_of_a_replica_is_told() -> None:
    found = imported("web: node {replica}\n", "A={replica}\n", {})
    assert [(loss.file, loss.line) for loss in found.losses if "{replica}" in loss.text] == [
        ("Procfile", 1),
        (".env", 1),
    ]


@pytest.mark.parametrize(
    ("procfile", "variables", "message"),
    [
        ("# nothing\nno process\n", "", "Procfile: no process is defined"),
        ("a: node\0\n", "", "Procfile:1: the command holds a NUL character"),
        ("a: node\n", "\nA=\0\n", ".env:2: A holds a NUL character"),
    ],
)
def test_what_foreman_refuses_is_refused(procfile: str, variables: str, message: str) -> None:
    with pytest.raises(ImportRefused, match="^" + message):
        imported(procfile, variables, {})


def test_what_is_written_loads_as_it_was_meant(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("release: true\nweb: sh -c 'echo ${HOME} $PORT' $A\n-web: sh $PORT $$\n")
    (tmp_path / ".env").write_text("A=s3cret;x\nB=1 # c ${HOME} $$\n")
    (tmp_path / ".foreman").write_text("formation: web=2\n\nport: 1\n")
    found = importer.read([tmp_path / "Procfile"], {})
    assert [(loss.kind, loss.line, loss.key) for loss in found.losses if loss.file.endswith(".foreman")] == [
        (Kind.DROPPED, 1, "formation"),
        (Kind.DROPPED, 3, "port"),
    ]
    beside(found, tmp_path)
    (tmp_path / "services.toml").write_text(text := services_toml(found, "supervisor init --from Procfile"))
    assert "s3cret" not in text
    assert str(tmp_path) not in text.replace(f"{tmp_path}/Procfile", "").replace(f"{tmp_path}/.", "")
    plan = load(tmp_path / "services.toml", {"PATH": "/usr/bin:/bin"})
    specs = {spec.name: spec for spec in plan.services}
    assert list(specs["web"].command) == sh("eval \"sh -c 'echo \\${HOME} $PORT' $A\"")
    assert list(specs["web-2"].command) == sh("sh $PORT $$")
    assert dict(specs["web"].environment) == {"A": "s3cret;x", "B": "1 # c ${HOME} $$", "PORT": "5100", "PS": "web.1"}


def test_a_file_that_is_not_utf_8_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_bytes(b"web: true\nb: \xe9\n")
    with pytest.raises(ImportRefused, match="Procfile:2: it is not UTF-8"):
        importer.read([tmp_path / "Procfile"], {})


@pytest.mark.parametrize(
    ("text", "shell"),
    [
        ("node a=b c=d %x! ^ @,+", False),
        ("A=1 node", True),
        ("/x=y/node", False),
        ("exec node", True),
        ("  exit", True),
        ("cd /x", False),
        ("node ~", True),
        ("node #", True),
        ("node *", True),
    ],
)
def test_which_commands_need_a_shell(text: str, shell: bool) -> None:
    assert needs_shell(text) is shell


@pytest.mark.parametrize(
    ("text", "variables", "words", "told"),
    [
        ("x $A", {"A": "a\\\\b"}, sh('eval "x $A"'), {"evaluated": ("A",), "backslashes": ("A",)}),
        ("x $1A", {"1A": "y"}, ["x", "y"], {"written": ("1A",)}),
        ("x $1A; $A", {"1A": "y", "A": "z"}, sh("x y; $A"), {"written": ("1A",)}),
        ("$A x", {"A": "B=1 y"}, sh('eval "$A x"'), {"evaluated": ("A",)}),
        ("x; $A x", {"A": "B=1 y"}, sh('eval "x; $A x"'), {"evaluated": ("A",)}),
        ("x \"$(y '$A')\"", {"A": "z"}, sh('eval "x \\"\\$(y \'$A\')\\""'), {"evaluated": ("A",)}),
        ("x \"$(y '$PORT')\"", {"PORT": "1"}, sh("x \"$(y '1')\""), {}),
        ('x "\\"$A" \'"\' $A', {"A": "z"}, sh('x "\\"$A" \'"\' $A'), {}),
        ("x $A$B >y", {"A": "1", "B": "2"}, sh("x ${A}$B >y"), {}),
        ("x $A$B>y", {"A": "1", "B": "2"}, sh('eval "x ${A}$B>y"'), {"evaluated": ("B",)}),
        ("x; $A", {"A": ""}, sh('eval "x; $A"'), {"evaluated": ("A",)}),
        ("x $PS$PORT~&", {"PORT": "1", "PS": "w"}, sh("x ${PS}1~&"), {}),
        ("x $A#", {"A": ""}, sh('eval "x $A#"'), {"evaluated": ("A",)}),
        ("x $y$A", {"A": "B;"}, sh('eval "x \\$y$A"'), {"evaluated": ("A",)}),
        ("x $y$PORT $HOME", {"PORT": "1"}, sh("x $y1 $HOME"), {}),
        ("x ~$A", {"A": "root"}, sh('eval "x ~$A"'), {"evaluated": ("A",)}),
        ("$A=1 x", {"A": "B"}, sh('eval "$A=1 x"'), {"evaluated": ("A",)}),
        ("x $$A", {"A": "B"}, sh('eval "x \\$$A"'), {"evaluated": ("A",)}),
        ("x $$PORT ${$PORT} $PORT>y", {"PORT": "5000"}, sh("x $5000 ${5000} 5000>y"), {}),
        ("x $A", {"A": "$B", "B": "2"}, sh('eval "x $A"'), {"evaluated": ("A",), "referring": ("A",)}),
        ("x $A", {"B": "2", "A": "$B"}, sh('eval "x $A"'), {"evaluated": ("A",)}),
    ],
)
def test_how_the_shell_gets_a_value(
    text: str, variables: dict[str, str], words: list[str], told: dict[str, tuple[str, ...]]
) -> None:
    found = command(text, variables)
    assert found is not None
    assert found.words == words
    kinds = ("evaluated", "backslashes", "referring", "written")
    assert {kind: getattr(found, kind) for kind in kinds if getattr(found, kind)} == told


@given(st.dictionaries(st.from_regex(r"[A-Za-z_]{1,3}", fullmatch=True), st.text("a'\"\\n# =$é\t", max_size=8)))
@example({"A": "'"})
def test_what_foreman_reads_from_a_line_is_one_value_for_each_name(values: dict[str, Any]) -> None:
    found = dotenv.foreman("\r\n".join(f"{name}={value}" for name, value in values.items()))
    assert list(found) == list(values)
    for name, value in values.items():
        if value[:1] not in ("'", '"'):
            assert found[name].value == value


@pytest.mark.parametrize(
    ("line", "foreman", "honcho"),
    [
        ("A=a b", "a b", "ab"),
        ("A=a#b", "a#b", "a"),
        ("A=", "", None),
        ('A="a\\nb\\$c"', "a\nb$c", "a\nb\\$c"),
        ("A='a\\nb'", "a\\nb", "a\nb"),
        ('A="a" # b', '"a" # b', "a"),
        ("A=a\\tb ", "a\\tb ", "atb"),
        ("export A=1", None, None),
        (" A=1", None, "1"),
        ("A =1", None, "1"),
        ("1A=1", "1", None),
    ],
)
def test_a_line_as_foreman_and_as_honcho_read_it(line: str, foreman: str | None, honcho: str | None) -> None:
    name = "1A" if line.startswith("1") else "A"
    found = dotenv.foreman(line).get(name)
    assert (found.value if found else None) == foreman
    assert dotenv.honcho(line).get(name) == honcho
