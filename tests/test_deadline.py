"""A call to DingTalk ends in time, however slowly the answer comes."""

from __future__ import annotations

import datetime
import itertools
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from flask import Flask
from flask.testing import FlaskClient

from flask_dingtalk import DingTalk, DingTalkToken, DingTalkUser
from flask_dingtalk.testing import signed_in

from .helpers import build_site, come_back, in_time, start
from .stub import PROFILE, TOKEN, Answer, Asked, StubDingTalk

#: Seconds; connect and read, together 0.4 for a call.
TIMEOUT = (0.2, 0.2)
#: Much longer than a call may take; these servers go on until they are told to stop.
PATIENCE = 30.0
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

Script = Callable[[], Iterable[bytes]]


def dripping_body() -> Iterable[bytes]:
    """Send a body byte by byte."""
    yield OK + b"Content-Length: 5000\r\n\r\n"
    yield from itertools.repeat(b" ")


def dripping_chunks() -> Iterable[bytes]:
    """Send a body in chunks of one byte."""
    yield OK + b"Transfer-Encoding: chunked\r\n\r\n"
    yield from itertools.repeat(b"1\r\n \r\n")


def dripping_headers() -> Iterable[bytes]:
    """Send a header that does not end."""
    yield OK + b"X-Long: "
    yield from itertools.repeat(b"x")


def dripping_status() -> Iterable[bytes]:
    """Send a status line that does not end."""
    yield b"HTTP/1.1 200 "
    yield from itertools.repeat(b"x")


def endless_continue() -> Iterable[bytes]:
    """Say again and again that the answer is about to come."""
    yield from itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n")


SCRIPTS = [dripping_body, dripping_chunks, dripping_headers, dripping_status, endless_continue]


@contextmanager
def dripping(script: Script, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Run a server that answers anything by ``script``, a part every 30 ms; yield its port."""
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def answer(connection: socket.socket) -> None:
        try:
            if tls is not None:
                connection = tls.wrap_socket(connection, server_side=True)
            with connection:
                connection.settimeout(PATIENCE)
                connection.recv(65536)
                for part in script():
                    connection.sendall(part)
                    if stop.wait(0.03):
                        return
        except OSError:
            pass

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=answer, args=(connection,), daemon=True))
            threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stop.set()
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join(PATIENCE)
            for thread in threads:
                thread.join(PATIENCE)


def site(url: str, **settings: Any) -> Flask:
    """Build a site whose DingTalk is at ``url``."""
    config = {
        "SECRET_KEY": "k",
        "TESTING": True,
        "DINGTALK_CLIENT_ID": "dingstub",
        "DINGTALK_CLIENT_SECRET": "the-secret-of-the-stub",
        "DINGTALK_API_BASE_URL": url,
        "DINGTALK_TIMEOUT": TIMEOUT,
    }
    return build_site(config | settings)


def timed_sign_in(client: FlaskClient) -> tuple[int, bool]:
    """Come back with a code; return the status, and whether that took no longer than it may."""
    state = start(client)
    began = time.monotonic()
    status = come_back(client, state, "c0de").status_code
    return status, time.monotonic() - began < PATIENCE


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_answer_that_trickles_in_ends_at_the_deadline(script: Script) -> None:
    """Each byte comes in time, but the whole answer does not."""
    with dripping(script) as port:
        client = site(f"http://127.0.0.1:{port}").test_client()
        assert timed_sign_in(client) == (504, True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """Make a server's TLS context and the file of the authority that vouches for it."""
    made = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.issue_cert("localhost").configure_cert(context)
    file = tmp_path_factory.mktemp("tls") / "ca.pem"
    made.cert_pem.write_to_path(str(file))
    return context, file


@pytest.mark.parametrize("script", [dripping_body, dripping_headers])
def test_the_deadline_holds_over_tls(
    script: Script, authority: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with DingTalk itself."""
    context, file = authority
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(file))
    with dripping(script, context) as port:
        client = site(f"https://localhost:{port}").test_client()
        status, was_in_time = timed_sign_in(client)
    # A handshake that takes too long is a connection that failed.
    assert (status in (502, 504), was_in_time) == (True, True)


@pytest.mark.parametrize("script", [dripping_body, dripping_headers])
def test_the_deadline_holds_behind_a_proxy(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy passes the answer on as slowly as it comes."""
    with dripping(script) as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("no_proxy", "")
        client = site("http://localhost:1").test_client()
        assert timed_sign_in(client) == (504, True)


def test_the_deadline_holds_for_a_proxy_that_opens_a_tunnel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its answer to CONNECT is read within the same time."""
    with dripping(dripping_headers) as port:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("no_proxy", "")
        client = site("https://localhost:1").test_client()
        status, was_in_time = timed_sign_in(client)
    assert (status in (502, 504), was_in_time) == (True, True)


def test_pauses_and_further_attempts_are_within_the_deadline() -> None:
    """A call to a busy DingTalk is repeated, but not beyond the deadline."""

    def busy(_: Any) -> Answer:
        time.sleep(0.45)
        return Answer({"code": "system.busy"}, 500)

    with StubDingTalk() as stub:
        stub.user = busy
        client = site(stub.url, DINGTALK_TIMEOUT=(0.3, 0.5)).test_client()
        status, was_in_time = timed_sign_in(client)
        assert (status in (502, 504), was_in_time) == (True, True)
        # Two of them outlast the call; three are made where there is time for them.
        assert sum("users/me" in asked.path for asked in stub.asked) < 3


def test_a_pause_that_would_outlast_the_call_is_not_made() -> None:
    """Who asks for the application's token sleeps a second if throttled; there is less."""

    def throttled(asked: Asked) -> Answer:
        if asked.path != "/v1.0/oauth2/accessToken":
            return Answer(TOKEN)
        return Answer({"code": "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"}, 403)

    with StubDingTalk() as stub:
        stub.token = throttled
        client = site(stub.url, DINGTALK_MEMBERS_ONLY=True, DINGTALK_TIMEOUT=0.4).test_client()
        # After a pause, there would be no time for another attempt: 504.
        assert in_time(lambda: come_back(client, start(client), "c0de")).status_code == 503


def test_a_connection_is_as_good_as_new_after_a_slow_answer() -> None:
    """The next call has its whole time."""

    def slow(_: Any) -> Answer:
        time.sleep(0.4)
        return Answer(PROFILE)

    def three_sign_ins() -> tuple[list[int], int]:
        with StubDingTalk() as stub:
            stub.user = slow
            # Together the three answers take longer than one call may.
            client = site(stub.url, DINGTALK_TIMEOUT=0.55).test_client()
            statuses = [timed_sign_in(client)[0] for _ in range(3)]
            return statuses, len({asked.connection for asked in stub.asked})

    # A busy machine may take too long for one of them.
    outcomes = (three_sign_ins() for _ in range(20))
    assert ([302, 302, 302], 1) in outcomes


# --- A call of the site's own --------------------------------------------------------------------


def own_call(app: Flask, *args: Any, **kwargs: Any) -> FlaskClient:
    """Sign somebody in on a site with a view, /own-call, that calls DingTalk so."""
    dingtalk: DingTalk = app.extensions["dingtalk"]

    @app.get("/own-call")
    def view() -> str:
        dingtalk.request(*args, **kwargs)
        return "done"

    ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    client = app.test_client()
    signed_in(client, DingTalkUser(union_id="u"), DingTalkToken("a", "r", ends))
    return client


def timed_call(client: FlaskClient) -> tuple[int, bool]:
    """Load /own-call; return the status, and whether that took no longer than it may."""
    began = time.monotonic()
    status = client.get("/own-call").status_code
    return status, time.monotonic() - began < PATIENCE


@pytest.mark.parametrize(
    ("timeout", "setting"),
    [
        (0.2, (60, 60)),
        ((0.2, 0.1), (60, 60)),
        ([0.1, 0.2], (60, 60)),
        ((None, 0.2), (0.2, 60)),
        ((0.2, None), (60, 0.2)),
    ],
    ids=str,
)
def test_the_timeout_of_a_single_call_takes_the_place_of_the_setting(
    timeout: Any, setting: tuple[float, float]
) -> None:
    """One number is used for both timeouts."""
    with dripping(dripping_body) as port:
        app = site(f"http://127.0.0.1:{port}", DINGTALK_TIMEOUT=setting)
        client = own_call(app, "GET", "/v1.0/x", timeout=timeout)
        assert timed_call(client) == (504, True)


@pytest.mark.parametrize("timeout", [0, -1, (1, 0), (1, 2, 3), float("nan"), float("inf")], ids=str)
def test_a_timeout_that_makes_no_sense_is_a_value_error(timeout: Any) -> None:
    """It is raised before a socket is involved."""
    client = own_call(site("http://127.0.0.1:1"), "GET", "/v1.0/x", timeout=timeout)
    with pytest.raises(ValueError, match="timeout"):
        client.get("/own-call")


@pytest.mark.parametrize("body", [b"x" * 50_000_000, [b"x" * 65536] * 800], ids=["one", "parts"])
def test_a_body_that_nobody_takes_ends_at_the_deadline(body: bytes | list[bytes]) -> None:
    """Sending is a part of the call."""
    with dripping(endless_continue) as port:
        data = body if isinstance(body, bytes) else iter(body)
        client = own_call(site(f"http://127.0.0.1:{port}"), "POST", "/v1.0/x", data=data)
        assert timed_call(client) == (504, True)


# --- Retry-After ---------------------------------------------------------------------------------


def in_two_minutes() -> str:
    """Return a moment as HTTP writes it."""
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=120)
    return format_datetime(moment, usegmt=True)


@pytest.mark.parametrize("status", [429, 503, 403])
@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        pytest.param("7", range(7, 8), id="seconds"),
        pytest.param("0", range(1, 2), id="at once"),
        pytest.param("99999999999", range(3600, 3601), id="for years"),
        pytest.param("a while", range(1, 2), id="nonsense"),
        pytest.param("Fri, 31 Dec 1999 23:59:59 GMT", range(1, 2), id="a date in the past"),
        pytest.param(None, range(110, 121), id="a date"),
    ],
)
def test_the_error_of_a_read_keeps_its_code_and_the_time_that_dingtalk_names(
    status: int, said: str | None, seconds: range
) -> None:
    """urllib3 must not handle the answer itself because of its Retry-After."""
    code = "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"
    with StubDingTalk() as stub:
        header = {"Retry-After": in_two_minutes() if said is None else said}
        stub.user = Answer({"code": code, "message": "x"}, status, header)
        client = site(stub.url, DINGTALK_TIMEOUT=10).test_client()
        response = come_back(client, start(client), "c0de")
    assert response.status_code == 503
    assert "rate_limited" in response.text
    assert int(response.headers["Retry-After"]) in seconds
    assert TOKEN["accessToken"] not in response.text
