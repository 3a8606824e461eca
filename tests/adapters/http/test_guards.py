"""Access control: other users, requests without the token and connections without TLS are refused."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from supervisor.adapters.http import connection as http_connection
from supervisor.adapters.http.bearer_token import BearerToken
from supervisor.adapters.http.server import MOST_CONNECTIONS
from supervisor.adapters.http.tls import server_context
from supervisor.errors import OperationFailed
from tests.adapters.http.conftest import asked_by_nobody
from tests.adapters.http.test_server import Echo, get
from tests.doubles.serving import PATIENCE, Served, read_all, read_answer, serving

SECRET = "0123456789abcdef0123456789abcdef"
GROUP = 54321
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\nthe rest is a comment\n")
    file.chmod(0o600)
    return file


# -- the control socket ----------------------------------------------------------------------------------------------


@needs_root
@pytest.mark.parametrize(
    ("groups", "answer"),
    [
        (f"{GROUP}", "HTTP/1.1 200"),
        (f"65534,{GROUP}", "HTTP/1.1 200"),
        ("65534,54322", "refused by the mode"),
    ],
)
def test_members_of_the_group_may_come_in(open_folder: Path, groups: str, answer: str) -> None:
    with serving(lambda _: Echo(), f"{open_folder}/s", GROUP) as served:
        assert stat.S_IMODE(Path(served.path).stat().st_mode) == 0o660
        assert asked_by_nobody(served.path, groups).startswith(answer)
        Path(served.path).chmod(0o666)  # whatever the mode says, the credentials are asked for
        expected = "HTTP/1.1 403" if answer.startswith("refused") else answer
        assert asked_by_nobody(served.path, groups).startswith(expected)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:9180", 200),
        ("[::1]:9180", 200),
        ("LOCALHOST", 200),
        ("evil.example:9180", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("[::1]", 200),
        ("[2001:db8::7]:80", 200),
        ("[evil.example]", 403),
        ("[::1", 403),
        ("[::1]evil.example", 403),
        ("[127.0.0.1]", 403),
        ("[]", 403),
        ("127.0.0.1:9180.evil.example", 403),
        ("127.0.0.1:80:90", 403),
        ("...", 403),
        ("2130706433", 403),
    ],
)
def test_a_page_whose_name_leads_here_reads_nothing(tmp_path: Path, host: str, status: int) -> None:
    echo = Echo()
    with serving(lambda _: echo, f"{tmp_path}/s") as served, served.connect_tcp() as sock:
        sock.sendall(f"GET /a HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
        assert read_answer(sock)[0] == status
        assert bool(echo.seen) is (status == 200)


def test_the_host_of_a_whole_url_counts(tmp_path: Path) -> None:
    with serving(lambda _: Echo(), f"{tmp_path}/s") as served, served.connect_tcp() as sock:
        sock.sendall(get("http://evil.example/a"))
        assert read_answer(sock)[0] == 403


def test_a_request_comes_from_one_page(tmp_path: Path) -> None:
    with serving(lambda _: Echo(), f"{tmp_path}/s") as served, served.connect_tcp() as sock:
        sock.sendall(b"GET /a HTTP/1.1\r\nhost: localhost\r\norigin: http://a\r\norigin: http://localhost\r\n\r\n")
        assert read_answer(sock)[0] == 400


# -- the token -------------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(token: Path, tmp_path: Path) -> Iterator[tuple[Served, Echo]]:
    echo = Echo()
    with serving(lambda _: echo, f"{tmp_path}/s", token=BearerToken(str(token))) as served:
        yield served, echo


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (f"authorization: Bearer {SECRET}", 200),
        (f"Authorization: bearer  {SECRET} ", 200),
        (f"authorization: Basic {SECRET}", 401),
        (f"authorization: Bearer {SECRET}x", 401),
        ("authorization: Bearer ", 401),
        ("authorization: Bearer \xff", 401),
        ("x: y", 401),
    ],
)
def test_who_does_not_show_it_reads_nothing(guarded: tuple[Served, Echo], header: str, status: int) -> None:
    served, echo = guarded
    with served.connect_tcp() as sock:
        sock.sendall(get("/a", header).decode("latin-1").encode("latin-1"))
        found, headers, _ = read_answer(sock)
    assert found == status
    assert bool(echo.seen) is (status == 200)
    assert (headers.get("www-authenticate") == "bearer") is (status == 401)


def test_without_it_a_connection_lives_shortly_and_keeps_no_place(
    guarded: tuple[Served, Echo], monkeypatch: pytest.MonkeyPatch
) -> None:
    served, echo = guarded
    with served.connect_tcp() as known:
        known.sendall(get("/a", f"authorization: Bearer {SECRET}"))
        assert read_answer(known)[0] == 200
        with ExitStack() as stack:
            strangers = [stack.enter_context(served.connect_tcp()) for _ in range(2 * MOST_CONNECTIONS)]
            for sock in strangers:
                with suppress(OSError):
                    sock.sendall(b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n")
            served.settle()
            known.sendall(get("/b", f"authorization: Bearer {SECRET}"))
            assert read_answer(known)[0] == 200, "strangers yield before it"
        with monkeypatch.context() as short:  # the next one may need longer on a busy machine
            short.setattr(http_connection, "STRANGER_SECONDS", 0.05)
            with served.connect_tcp() as silent, served.connect_tcp() as slow:
                slow.sendall(b"GET /c HTTP/1.1\r\n")
                assert read_all(silent) == read_all(slow) == b""
        with served.connect_tcp() as sock:
            sock.sendall(b"POST /d HTTP/1.1\r\nhost: x\r\ncontent-length: 900000\r\n\r\n")
            assert read_all(sock).startswith(b"HTTP/1.1 401"), "refused before its body is read"
        known.sendall(get("/e", f"authorization: Bearer {SECRET}"))
        assert read_answer(known)[0] == 200
    assert [request.path for request in echo.seen] == ["/a", "/b", "/e"]


def test_the_unix_socket_asks_for_none(guarded: tuple[Served, Echo]) -> None:
    served, _ = guarded
    with served.connect() as sock:
        sock.sendall(get("/a"))
        assert read_answer(sock)[0] == 200


def test_a_changed_token_holds_at_once(token: Path) -> None:
    guard = BearerToken(str(token))
    assert guard.fits(f"Bearer {SECRET}")
    new = token.with_name("new")
    new.write_text("another-token-of-length\n")
    new.chmod(0o600)
    new.rename(token)
    assert not guard.fits(f"Bearer {SECRET}")
    assert guard.fits("Bearer another-token-of-length")
    token.unlink()
    assert not guard.fits("Bearer another-token-of-length")


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [("short\n", 0o600, "shorter than 16"), (SECRET, 0o640, "can be read by others"), ("", 0o600, "shorter than 16")],
)
def test_a_token_that_guards_nothing_is_refused(tmp_path: Path, text: str, mode: int, words: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    file.chmod(mode)
    with pytest.raises(OperationFailed, match=words):
        BearerToken(str(file))


# -- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate for 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("pem")
    names = (f"{folder}/crt", f"{folder}/key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test",
         "-addext", "subjectAltName=IP:127.0.0.1", "-out", names[0], "-keyout", names[1]],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return names


@pytest.fixture
def secure(pem: tuple[str, str], tmp_path: Path) -> Iterator[tuple[Served, Callable[[], ssl.SSLSocket]]]:
    client = ssl.create_default_context(cafile=pem[0])
    with serving(lambda _: Echo(), f"{tmp_path}/s", tls=server_context(*pem)) as served:
        yield served, lambda: client.wrap_socket(served.connect_tcp(), server_hostname="127.0.0.1")


@needs_openssl
def test_requests_and_large_answers_over_tls(secure: tuple[Served, Callable[[], ssl.SSLSocket]]) -> None:
    served, connect = secure
    with connect() as sock:
        assert sock.version() in ("TLSv1.2", "TLSv1.3")
        for _ in range(2):
            sock.sendall(get("/a"))
            assert read_answer(sock)[2] == b"GET /a 0"
        body = b"x" * 100_000
        sock.sendall(b"POST /b HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n" + body)
        assert read_answer(sock)[2] == b"POST /b 100000"
        sock.sendall(get("/big", "connection: close"))
        assert read_all(sock).endswith(b"x" * 4_000_000)
    with connect() as sock:
        sock.sendall(get("/stream"))
        seen = b""
        while b"hello" not in seen:
            seen += sock.recv(4096)
    assert served.problems == []


@needs_openssl
def test_who_speaks_no_tls_hears_nothing_and_hinders_nobody(
    secure: tuple[Served, Callable[[], ssl.SSLSocket]],
) -> None:
    served, connect = secure
    with served.connect_tcp() as silent, served.connect_tcp() as plain:
        plain.sendall(get("/a"))
        assert b"HTTP/1" not in read_all(plain)
        with connect() as sock:
            sock.sendall(get("/a"))
            assert read_answer(sock)[0] == 200
        assert silent.gettimeout() == PATIENCE
    assert served.problems == []


@needs_openssl
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_an_old_protocol_is_refused(secure: tuple[Served, Callable[[], ssl.SSLSocket]]) -> None:
    served, _ = secure
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)), socket.create_connection(("127.0.0.1", served.port)) as raw:
        old.wrap_socket(raw)


@needs_openssl
def test_files_that_make_no_certificate_are_named(pem: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(OperationFailed, match="TLS cannot be set up with /no/such"):
        server_context("/no/such", pem[1])
    (tmp_path / "x").write_text("no key")
    with pytest.raises(OperationFailed, match="TLS cannot be set up"):
        server_context(pem[0], f"{tmp_path}/x")
