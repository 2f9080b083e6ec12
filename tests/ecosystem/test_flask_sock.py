"""Beside flask-sock: who may open a websocket, and what it knows of a sign-out since."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from simple_websocket import Client, ConnectionClosed

from flask_dingtalk.testing import DingTalkSimulator

from .served import Served, serving
from .walk import OverHttp, sign_in, sign_out

#: Seconds; far more than an answer takes.
PATIENCE = 30


@pytest.fixture(scope="module")
def simulator() -> Iterator[DingTalkSimulator]:
    """Run one simulator for the site."""
    with DingTalkSimulator() as running:
        yield running


@pytest.fixture(scope="module")
def served(
    simulator: DingTalkSimulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Serve the site of the page by a server that flask-sock knows."""
    command = "gunicorn with_flask_sock:app --worker-class gthread --threads 8"
    with serving(command, simulator.settings, tmp_path_factory.mktemp("sock")) as running:
        yield running


#: RFC 6455, section 4.1; browsers send no Accept with it.
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def test_nobody_opens_a_websocket_without_a_sign_in(served: Served) -> None:
    """The handshake is refused, and not redirected as a page is."""
    answer = OverHttp(served.address).get("/echo", HANDSHAKE)
    assert answer.status == 401
    assert '"error": "login_required"' in answer.text


def test_a_websocket_ends_with_the_sign_in(served: Served, simulator: DingTalkSimulator) -> None:
    """It is asked at each message, and notices what happened in another tab."""
    browser = OverHttp(served.address)
    sign_in(browser, simulator)
    address = served.address.replace("http:", "ws:") + "/echo"
    websocket = Client(address, headers={"Cookie": browser.cookie})
    websocket.send("hello")
    assert websocket.receive(PATIENCE) == "张三: hello"
    sign_out(browser)
    websocket.send("still there?")
    with pytest.raises(ConnectionClosed):
        websocket.receive(PATIENCE)
