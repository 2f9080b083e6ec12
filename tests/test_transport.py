"""HTTP to DingTalk: connections, certificates, bounds."""

from __future__ import annotations

import gc
import gzip
import ssl
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import trustme
from flask import Flask
from flask.testing import FlaskClient

from flask_dingtalk.testing import DingTalkSimulator

from .helpers import build_site, endpoints, free_port, sign_in_with, site_on
from .stub import PROFILE, TOKEN, Answer, StubDingTalk


@pytest.fixture
def browser(stub: StubDingTalk) -> FlaskClient:
    """Open a browser on a site that talks to the stub."""
    return site_on(stub).test_client()


# --- Connections ---------------------------------------------------------------------------------


def test_all_sign_ins_of_a_process_share_one_connection(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """From the second one on, none is opened."""
    for _ in range(3):
        simulator.sign_in(client, "zhang")
    assert len(simulator.calls) == 6
    assert simulator.connections == 1


def test_a_connection_that_dingtalk_closed_is_replaced_unnoticed(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """DingTalk's load balancer closes connections after a while."""
    simulator.sign_in(client, "zhang")
    simulator.close_connections()
    assert simulator.sign_in(client, "li").status_code == 302
    assert endpoints(simulator) == ["userAccessToken", "users/me"] * 2
    assert simulator.connections == 2


def test_each_app_has_connections_of_its_own(
    simulator: DingTalkSimulator, app: Flask, make_app: Any
) -> None:
    """Apps do not share connections."""
    for each in (app, make_app()):
        simulator.sign_in(each.test_client(), "zhang")
    assert simulator.connections == 2


def test_when_nobody_listens_the_sign_in_fails_at_once_and_can_be_tried_again() -> None:
    """DingTalk, or the way to it, is down."""
    port = free_port()
    base = {"DINGTALK_CLIENT_ID": "a", "DINGTALK_CLIENT_SECRET": "b", "SECRET_KEY": "k"}
    app = build_site(base | {"DINGTALK_API_BASE_URL": f"http://127.0.0.1:{port}"})
    client = app.test_client()
    response = sign_in_with(client)
    assert (response.status_code, "dingtalk_unavailable" in response.text) == (502, True)


def test_a_host_without_address_is_unavailable() -> None:
    """The name server does not know it."""
    base = {"DINGTALK_CLIENT_ID": "a", "DINGTALK_CLIENT_SECRET": "b", "SECRET_KEY": "k"}
    app = build_site(base | {"DINGTALK_API_BASE_URL": "https://dingtalk.invalid"})
    assert sign_in_with(app.test_client()).status_code == 502


def test_cookies_of_one_users_call_do_not_go_out_with_the_next(
    browser: FlaskClient, stub: StubDingTalk
) -> None:
    """The client keeps nothing of anybody."""
    stub.token = Answer(TOKEN, headers={"Set-Cookie": "user=zhang; Path=/"})
    stub.user = Answer(PROFILE, headers={"Set-Cookie": "user=zhang; Path=/"})
    sign_in_with(browser)
    sign_in_with(browser)
    assert len(stub.asked) == 4
    assert not any("cookie" in asked.headers for asked in stub.asked)


def test_credentials_in_a_netrc_file_are_not_sent(
    stub: StubDingTalk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are for other programs."""
    (tmp_path / "netrc").write_text("machine localhost login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    sign_in_with(site_on(stub).test_client())
    assert not any("authorization" in asked.headers for asked in stub.asked)


def test_redirects_are_not_followed(browser: FlaskClient, stub: StubDingTalk) -> None:
    """They would carry the secret elsewhere."""
    stub.token = Answer(TOKEN, 307, {"Location": stub.url + "/elsewhere"})
    assert sign_in_with(browser).status_code == 502
    assert len(stub.asked) == 1


@pytest.mark.parametrize("location", ["http://[", "\xff\xfe", "//", "x" * 3000], ids=ascii)
def test_a_redirect_to_nowhere_is_no_error_of_ours(
    browser: FlaskClient, stub: StubDingTalk, location: str
) -> None:
    """Whatever its address is made of."""
    stub.token = Answer(TOKEN, 302, {"Location": location})
    assert sign_in_with(browser).status_code == 502


# --- Bounds --------------------------------------------------------------------------------------

TOO_LONG = b'{"accessToken": "' + b"x" * (3 * 1024 * 1024)


@pytest.mark.parametrize("call", ["token", "user"])
def test_an_answer_without_end_is_not_read_to_its_end(
    browser: FlaskClient, stub: StubDingTalk, call: str
) -> None:
    """Two MiB are a hundred times what any answer has."""
    setattr(stub, call, Answer(body=TOO_LONG))
    response = sign_in_with(browser)
    assert (response.status_code, "dingtalk_unavailable" in response.text) == (502, True)


@pytest.mark.parametrize(
    "compress",
    [
        pytest.param(lambda: gzip.compress(bytes(50 * 1024 * 1024), 1), id="gzip bomb"),
        pytest.param(lambda: zlib.compress(bytes(50 * 1024 * 1024), 1), id="deflate bomb"),
        pytest.param(lambda: b"not compressed at all", id="nonsense"),
        pytest.param(lambda: gzip.compress(b"{}")[:-6], id="cut off"),
    ],
)
def test_a_compressed_answer_is_bounded_too(
    browser: FlaskClient, stub: StubDingTalk, compress: Callable[[], bytes]
) -> None:
    """The limit applies to the uncompressed answer."""
    stub.token = Answer(body=compress(), headers={"Content-Encoding": "gzip"})
    assert sign_in_with(browser).status_code == 502


def test_an_answer_that_only_says_it_is_compressed_is_empty(
    browser: FlaskClient, stub: StubDingTalk
) -> None:
    """A proxy may say so of nothing at all; that is still no token."""
    stub.token = Answer(body=b"", headers={"Content-Encoding": "gzip"})
    assert sign_in_with(browser).status_code == 502


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_lengths_that_contradict_each_other_are_dingtalks_mistake(
    browser: FlaskClient, stub: StubDingTalk
) -> None:
    """With a page that offers another try."""
    stub.token = Answer(TOKEN, headers={"Content-Length": "10, 20", "Connection": "close"})
    response = sign_in_with(browser)
    assert (response.status_code, "dingtalk_unavailable" in response.text) == (502, True)
    # urllib3 leaves that socket to the garbage collector; here, and not in the next test.
    gc.collect()


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "http://[", "nonsense://x"])
def test_a_proxy_that_cannot_work_is_unavailability(
    stub: StubDingTalk, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    """Somebody set it in the environment."""
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    response = sign_in_with(site_on(stub).test_client())
    assert (response.status_code, "dingtalk_unavailable" in response.text) == (502, True)


def test_an_answer_that_a_proxy_compressed_is_read(
    browser: FlaskClient, stub: StubDingTalk
) -> None:
    """Although we ask for plain ones."""
    body = gzip.compress(Answer(TOKEN).encoded())
    stub.token = Answer(body=body, headers={"Content-Encoding": "gzip"})
    assert sign_in_with(browser).status_code == 302
    assert stub.asked[0].headers["accept-encoding"] == "identity"


def test_an_answer_that_breaks_off_signs_nobody_in(
    browser: FlaskClient, stub: StubDingTalk
) -> None:
    """Fewer bytes than were promised."""
    stub.token = Answer(TOKEN, headers={"Content-Length": "5000", "Connection": "close"})
    assert sign_in_with(browser).status_code == 502
    assert browser.get("/").text == "nobody"


def test_an_answer_that_stalls_half_way_is_a_timeout(stub: StubDingTalk) -> None:
    """The read timeout holds for each part of an answer."""
    stub.token = Answer(TOKEN, headers={"Content-Length": "5000"})
    client = site_on(stub, DINGTALK_TIMEOUT=(1, 0.3)).test_client()
    assert sign_in_with(client).status_code == 504


# --- TLS -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def issuer() -> trustme.CA:
    """Found a certificate authority."""
    return trustme.CA()


@pytest.fixture(scope="module")
def authority(issuer: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file with the certificate of that authority."""
    file = tmp_path_factory.mktemp("tls") / "authority.pem"
    issuer.cert_pem.write_to_path(str(file))
    return file


@pytest.fixture
def over_tls(issuer: trustme.CA) -> Iterator[StubDingTalk]:
    """Run the stub behind a certificate for localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issuer.issue_cert("localhost").configure_cert(context)
    with StubDingTalk(context) as running:
        yield running


def test_a_certificate_of_an_unknown_authority_is_refused(over_tls: StubDingTalk) -> None:
    """Somebody stands in between; nothing is sent."""
    assert sign_in_with(site_on(over_tls).test_client()).status_code == 502
    assert over_tls.asked == []


def test_an_authority_of_the_companys_own_is_named_in_the_environment(
    over_tls: StubDingTalk, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As requests documents it: REQUESTS_CA_BUNDLE."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    client = site_on(over_tls).test_client()
    client.get("/dingtalk/login").close()  # the moment at which certificates are read
    assert sign_in_with(client).status_code == 302
    assert sign_in_with(client).status_code == 302
    assert len({asked.connection for asked in over_tls.asked}) == 1


def test_an_authority_may_be_named_while_the_site_runs(
    over_tls: StubDingTalk, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the environment said is not kept beyond a change of it; nor are its connections."""
    client = site_on(over_tls).test_client()
    assert sign_in_with(client).status_code == 502
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    assert sign_in_with(client).status_code == 302
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert sign_in_with(client).status_code == 502


def test_a_certificate_for_another_host_is_refused(
    over_tls: StubDingTalk, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even of a known authority."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    url = over_tls.url.replace("localhost", "127.0.0.1")
    client = site_on(over_tls, DINGTALK_API_BASE_URL=url).test_client()
    assert sign_in_with(client).status_code == 502
    assert over_tls.asked == []


def test_certificates_that_cannot_be_read_are_unavailability(
    over_tls: StubDingTalk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both at the warm-up, where it does not matter yet, and at the callback."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent.pem")
    client = site_on(over_tls).test_client()
    client.get("/dingtalk/login").close()
    assert sign_in_with(client).status_code == 502


def test_certificates_may_stand_in_a_directory(
    over_tls: StubDingTalk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REQUESTS_CA_BUNDLE may name one; an empty one trusts nobody."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    assert sign_in_with(site_on(over_tls).test_client()).status_code == 502
    assert over_tls.asked == []


# --- Many at once --------------------------------------------------------------------------------


@pytest.mark.slow
def test_forty_people_signing_in_at_once_each_end_up_as_themselves(
    app: Flask, simulator: DingTalkSimulator
) -> None:
    """Forty threads, one app, one pool of connections."""
    for number in range(40):
        simulator.add_user(f"user{number}", nick=f"同事{number}")

    def sign_in_as(number: int) -> tuple[str, str]:
        client = app.test_client()
        response = simulator.sign_in(client, f"user{number}", next=f"/page/{number}")
        return response.headers["Location"], client.get("/").text

    with ThreadPoolExecutor(40) as pool:
        outcomes = list(pool.map(sign_in_as, range(40)))
    assert outcomes == [(f"/page/{number}", f"同事{number}") for number in range(40)]
