"""Starting and stopping the simulator, and how it deals with clients."""

from __future__ import annotations

import socket
import struct
import threading
from urllib.parse import urlsplit

import pytest
import requests

from flask_dingtalk.testing import DingTalkSimulator

from .helpers import Http


def test_settings_point_at_the_simulator(simulator: DingTalkSimulator) -> None:
    """They hold all addresses and the credentials, and callers may change them."""
    application = simulator.application
    assert simulator.settings == {
        "DINGTALK_CLIENT_ID": application.client_id,
        "DINGTALK_CLIENT_SECRET": application.client_secret,
        "DINGTALK_AUTHORIZE_URL": f"{simulator.url}/oauth2/auth",
        "DINGTALK_API_BASE_URL": simulator.url,
        "DINGTALK_OAPI_BASE_URL": simulator.url,
        "DINGTALK_QR_SCRIPT_URL": (f"{simulator.url}/dingding/h5-dingtalk-login/0.21.0/ddlogin.js"),
        "DINGTALK_JSAPI_URL": (f"{simulator.url}/dingding/dingtalk-jsapi/3.1.0/dingtalk.open.js"),
    }
    simulator.settings.clear()
    assert simulator.settings


def test_simulator_can_be_started_again() -> None:
    """People and ids stay, and drawn avatars follow the new address."""
    simulator = DingTalkSimulator()
    with simulator:
        union_id = simulator.users["li"].union_id
    with simulator:
        assert simulator.users["li"].union_id == union_id
        assert str(simulator.users["li"].avatar_url).startswith(f"{simulator.url}/media/")


def test_people_are_the_same_in_every_run(simulator: DingTalkSimulator) -> None:
    """Ids do not change from run to run, credentials do."""
    another = DingTalkSimulator()
    assert another.users["wang"].union_id == simulator.users["wang"].union_id
    assert another.application.client_secret != simulator.application.client_secret


def test_simulator_cannot_be_started_twice(simulator: DingTalkSimulator) -> None:
    """A second start is an error, a second stop is not."""
    with pytest.raises(RuntimeError, match="already running"):
        simulator.start()
    simulator.stop()
    simulator.stop()
    with pytest.raises(RuntimeError, match="not running"):
        _ = simulator.url


def test_port_can_be_chosen(simulator: DingTalkSimulator) -> None:
    """A port in use is an error; a port that is free again can be used."""
    port = urlsplit(simulator.url).port or 0
    with pytest.raises(OSError, match="in use"):
        DingTalkSimulator(port).start()
    simulator.stop()
    with DingTalkSimulator(port) as second:
        assert urlsplit(second.url).port == port


def test_ipv6_is_supported() -> None:
    """The simulator can listen on ::1."""
    with DingTalkSimulator(host="::1") as simulator:
        assert simulator.url.startswith("http://[::1]:")
        assert requests.get(simulator.url, timeout=60).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_host_may_be_a_loopback_name(host: str) -> None:
    """The names of this machine are accepted."""
    with DingTalkSimulator(host=host) as simulator:
        assert requests.get(simulator.url, timeout=60).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "example.com"])
def test_host_must_be_a_loopback_name(host: str) -> None:
    """The simulator never listens where other machines could reach it."""
    with pytest.raises(ValueError, match=r"only listens on 127\.0\.0\.1, localhost or ::1"):
        DingTalkSimulator(host=host)


def test_stopping_does_not_wait_for_clients(simulator: DingTalkSimulator) -> None:
    """Half a request, an idle connection and an injected timeout do not delay it."""
    parts = urlsplit(simulator.url)
    address = (str(parts.hostname), parts.port or 0)
    simulator.fail("users/me", timeout=True)
    sent = [
        b"",
        b"GET /v1.0/con",
        b"GET /v1.0/contact/users/me HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ]
    connections = [socket.create_connection(address, timeout=60) for _ in sent]
    for connection, data in zip(connections, sent, strict=True):
        connection.sendall(data)
    while not simulator.calls:
        pass
    simulator.stop()
    for connection in connections:
        assert connection.recv(1) == b""
        connection.close()
    left = [each.name for each in threading.enumerate() if "dingtalk" in each.name]
    assert left == []


def test_nothing_is_printed(http: Http, capfd: pytest.CaptureFixture[str]) -> None:
    """A client that vanishes leaves no message either."""
    http.consent("li")
    parts = urlsplit(http.simulator.url)
    rude = socket.create_connection((str(parts.hostname), parts.port or 0), timeout=60)
    rude.sendall(b"GET /")
    rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    rude.close()
    http.simulator.stop()
    assert capfd.readouterr() == ("", "")


def test_own_errors_are_printed(http: Http, capfd: pytest.CaptureFixture[str]) -> None:
    """An error inside the simulator is printed, and the connection is closed."""
    http.simulator.users["li"].union_id = object()  # type: ignore[assignment] # a mistake
    token = http.tokens("li")["accessToken"]
    with pytest.raises(requests.ConnectionError):
        http.me(token)
    http.simulator.stop()
    assert "not JSON serializable" in capfd.readouterr().err


def test_forty_people_can_log_in_at_once(simulator: DingTalkSimulator) -> None:
    """Everyone receives their own profile."""
    names = [f"user{number}" for number in range(40)]
    for name in names:
        simulator.add_user(name, nick=name)
    nicks: dict[str, str] = {}

    def sign_in(name: str) -> None:
        with requests.Session() as session:
            http = Http(simulator, session)
            nicks[name] = http.profile(name)["nick"]

    threads = [threading.Thread(target=sign_in, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert nicks == {name: name for name in names}


def test_fixture_is_a_running_simulator(dingtalk_simulator: DingTalkSimulator) -> None:
    """The plugin's fixture has started the simulator."""
    assert dingtalk_simulator.url
