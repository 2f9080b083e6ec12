"""Events: how the simulator pushes them by HTTP, and how the official SDK hears them by Stream."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from flask import Flask, request
from flask.testing import FlaskClient

from flask_dingtalk.api.event_push import EventCipher
from flask_dingtalk.testing import DingTalkSimulator, SimulatorError

from ..helpers import query_of
from ..server import Asked, Reply, Server
from .helpers import Http

OPEN = "/v1.0/gateway/connections/open"


class Site:
    """Takes events in, as DingTalk's documents say, and can be told to refuse them."""

    def __init__(self, simulator: DingTalkSimulator) -> None:
        application = simulator.application
        self.cipher = EventCipher(
            application.event_token, application.event_aes_key, application.client_id
        )
        self.answer: dict[str, str] | None = None
        self.heard: list[dict[str, Any]] = []
        self.queries: list[dict[str, str]] = []
        #: How many of the next pushes get a 503.
        self.refusals = 0
        self._changed = threading.Condition()

    def take(self, query: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Answer one push."""
        encrypted = json.loads(body)["encrypt"]
        signature = self.cipher.sign(query["timestamp"], query["nonce"], encrypted)
        assert query["signature"] == query["msg_signature"] == signature
        with self._changed:
            self.queries.append(query)
            self.heard.append(json.loads(self.cipher.decrypt(encrypted)))
            self._changed.notify_all()
            if self.refusals:
                self.refusals -= 1
                return 503, b"not now"
        return 200, json.dumps(self.answer or self.cipher.success(1.0)).encode()

    def wait_for(self, number: int) -> None:
        """Wait until so many pushes have come."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.heard) >= number, 30)


@pytest.fixture
def site(simulator: DingTalkSimulator) -> Site:
    """Return what a site does with events."""
    return Site(simulator)


@pytest.fixture
def client(site: Site) -> FlaskClient:
    """Return a test client of that site."""
    app = Flask(__name__)

    @app.post("/events")
    def events() -> tuple[bytes, int]:
        status, body = site.take(request.args.to_dict(), request.get_data())
        return body, status

    return app.test_client()


@pytest.fixture
def address(site: Site) -> Iterator[str]:
    """Serve that site over HTTP; return the address of its events."""

    def reply(asked: Asked) -> Reply:
        status, body = site.take(query_of(asked.path), asked.body)
        return status, [("Content-Length", str(len(body)))], body

    with Server(reply) as server:
        yield f"http://localhost:{server.server_port}/events"


# --- By HTTP -------------------------------------------------------------------------------------


def test_an_event_is_pushed_to_a_test_client(
    simulator: DingTalkSimulator, client: FlaskClient, site: Site
) -> None:
    """In the spelling of live bodies, signed and encrypted."""
    delivery = simulator.push("user_leave_org", user="li", client=client, path="/events")
    assert delivery.arrived
    (heard,) = site.heard
    ours = simulator.application.corp_id
    user_id = simulator.users["li"].memberships[ours].user_id
    assert heard.pop("TimeStamp").isdigit()
    assert heard == {"CorpId": ours, "EventType": "user_leave_org", "UserId": [user_id]}


def test_events_can_be_spelled_as_the_pages_show_them(
    simulator: DingTalkSimulator, client: FlaskClient, site: Site
) -> None:
    """With ``new_event_bodies``."""
    simulator.application.new_event_bodies = True
    delivery = simulator.push(
        "user_modify_org", user=["zhang", "li"], client=client, path="/events"
    )
    (heard,) = site.heard
    assert heard["eventId"] == delivery.id
    assert isinstance(heard["EventTime"], int)
    assert len(heard["userId"]) == 2
    assert "BizId" in heard


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("label_user_change", {"LabelIdList": [1], "Action": "add"}),
        ("hrm_mdm_user_change", {"ChangeType": 4}),
    ],
)
def test_events_name_people_in_their_own_ways(
    event: str,
    expected: dict[str, Any],
    simulator: DingTalkSimulator,
    client: FlaskClient,
    site: Site,
) -> None:
    """Some events have other fields for the same thing."""
    simulator.push(event, user="li", client=client, path="/events")
    assert expected.items() <= site.heard[0].items()
    assert "UserId" not in site.heard[0]


def test_further_fields_can_be_given(
    simulator: DingTalkSimulator, client: FlaskClient, site: Site
) -> None:
    """An event about no person has fields too."""
    data = {"status": "disable"}
    simulator.push("inner_app_status_change", data=data, client=client, path="/events")
    assert site.heard[0]["Status"] == "disable"


def test_a_delivery_can_be_repeated(
    simulator: DingTalkSimulator, client: FlaskClient, site: Site
) -> None:
    """The same event comes with another time and nonce."""
    site.refusals = 1
    delivery = simulator.push("user_leave_org", user="li", client=client, path="/events")
    assert (delivery.arrived, delivery.attempts[0].status) == (False, 503)
    assert delivery.again().accepted
    assert delivery.arrived
    assert site.heard[0] == site.heard[1]
    assert site.queries[0]["nonce"] != site.queries[1]["nonce"]


def test_people_of_other_organisations_have_no_user_id(
    simulator: DingTalkSimulator, client: FlaskClient
) -> None:
    """An internal application hears only of its owner."""
    with pytest.raises(ValueError, match="never in the organisation"):
        simulator.push("user_leave_org", user="wang", client=client, path="/events")


def test_a_site_without_the_route_is_told(simulator: DingTalkSimulator) -> None:
    """The mistake is named."""
    with pytest.raises(ValueError, match="no route for events"):
        simulator.push("user_leave_org", user="li", client=Flask("bare").test_client())


def test_an_address_is_checked_when_it_is_subscribed(
    simulator: DingTalkSimulator, address: str, site: Site
) -> None:
    """As in DingTalk's console."""
    simulator.subscribe(address)
    assert [each["EventType"] for each in site.heard] == ["check_url"]
    assert simulator.application.event_url == address


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ((503, b"no"), "statusCode is:503"),
        ((200, b"success"), "校验返回字段值失败"),
        ((200, b"{}"), "校验返回字段值失败"),
        ((200, b"[]"), "校验返回字段值失败"),
        ((302, b""), "statusCode is:302"),
    ],
)
def test_an_address_that_answers_wrongly_is_not_saved(
    answer: tuple[int, bytes], text: str, simulator: DingTalkSimulator
) -> None:
    """In the words of the console."""

    def reply(asked: Asked) -> Reply:
        return answer[0], [("Content-Length", str(len(answer[1])))], answer[1]

    with (
        Server(reply) as server,
        pytest.raises(SimulatorError, match=text),
    ):
        simulator.subscribe(f"http://localhost:{server.server_port}/")
    assert simulator.application.event_url is None


def test_an_address_where_nobody_answers_is_not_saved(
    simulator: DingTalkSimulator,
) -> None:
    """In the words of the console."""
    with socket.socket() as taken:
        # Nobody listens there, and nobody else can.
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(SimulatorError, match="timedout"):
            simulator.subscribe(f"http://127.0.0.1:{taken.getsockname()[1]}/")


def test_another_owner_key_is_a_wrong_answer(
    simulator: DingTalkSimulator, address: str, site: Site
) -> None:
    """An answer for another application does not count."""
    application = simulator.application
    key = application.event_aes_key
    site.answer = EventCipher(application.event_token, key, "other").success(1.0)
    with pytest.raises(SimulatorError):
        simulator.subscribe(address)


def test_a_refused_push_is_sent_again(
    simulator: DingTalkSimulator, address: str, site: Site
) -> None:
    """After 10 seconds and 30 more, by the simulator's clock, and then no more."""
    simulator.application.event_url = address
    site.refusals = 2
    delivery = simulator.push("user_leave_org", user="li")
    site.wait_for(1)
    simulator.advance(10)
    site.wait_for(2)
    simulator.advance(30)
    assert delivery.wait()
    assert [attempt.status for attempt in delivery.attempts] == [503, 503, 200]


def test_a_push_is_given_up_after_three_attempts(
    simulator: DingTalkSimulator, address: str, site: Site
) -> None:
    """DingTalk does not go on for ever."""
    simulator.application.event_url = address
    site.refusals = 10
    delivery = simulator.push("user_leave_org", user="li")
    for number, seconds in ((1, 10), (2, 30), (3, 3600)):
        site.wait_for(number)
        simulator.advance(seconds)
    assert not delivery.wait()
    assert len(delivery.attempts) == 3


def test_people_who_leave_and_change_push_their_events(
    simulator: DingTalkSimulator, address: str, site: Site
) -> None:
    """Where a site has subscribed."""
    from flask_dingtalk.testing.people import Role

    simulator.subscribe(address)
    simulator.add_user("sun", nick="孙七")
    simulator.change("sun", title="经理", admin=True)
    simulator.change("sun", roles=(Role(7, "a", "b"),), active=False)
    simulator.change("sun", active=True, admin=False)
    simulator.change("sun", active=True)
    simulator.leave("sun")
    simulator.push("user_leave_org", user="sun")
    assert all(delivery.wait() for delivery in simulator.deliveries)
    assert Counter(each["EventType"] for each in site.heard) == {
        "check_url": 1,
        "user_add_org": 1,
        "user_modify_org": 1,
        "org_admin_add": 1,
        "label_user_change": 1,
        "user_active_org": 1,
        "org_admin_remove": 1,
        "user_leave_org": 2,
    }


def test_other_organisations_push_nothing(
    simulator: DingTalkSimulator, address: str, site: Site
) -> None:
    """The application hears only of its owner, and not of external contacts."""
    simulator.application.event_url = address
    simulator.join("wang", external=True)
    simulator.leave("wang")
    simulator.leave("zhang", next(reversed(simulator.users["zhang"].memberships)))
    assert not simulator.deliveries


def test_a_record_has_only_its_fields(simulator: DingTalkSimulator) -> None:
    """A misspelt one is named, and nothing is changed."""
    with pytest.raises(ValueError, match="department_ids"):
        simulator.change("li", titel="x")
    with pytest.raises(ValueError, match="not in the organisation"):
        simulator.change("wang", title="x")


# --- By Stream -----------------------------------------------------------------------------------


@pytest.fixture
def http(simulator: DingTalkSimulator) -> Iterator[Http]:
    """Speak plain HTTP with the simulator."""
    with requests.Session() as session:
        yield Http(simulator, session)


def subscription(simulator: DingTalkSimulator, **changes: Any) -> dict[str, Any]:
    """Return what somebody sends who wants to listen."""
    return {
        "clientId": simulator.application.client_id,
        "clientSecret": simulator.application.client_secret,
        "subscriptions": [{"type": "EVENT", "topic": "*"}],
        "ua": "tests/1",
        **changes,
    }


@pytest.fixture(autouse=True)
def no_frames_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Keep the tickets of these tests' own connections out of the log."""
    caplog.set_level(logging.INFO, "websockets.client")


def address_of(http: Http) -> str:
    """Ask for a new connection; return its address."""
    opened = http.post(OPEN, json=subscription(http.simulator)).json()
    assert set(opened) == {"endpoint", "ticket"}
    return f"{opened['endpoint']}?ticket={opened['ticket']}"


def connect(address: str) -> Any:
    """Open a connection to the gateway."""
    from websockets.sync.client import connect as connect_websocket

    return connect_websocket(address, proxy=None)


def answer_to(frame: dict[str, Any], data: str, code: int = 200) -> str:
    """Return the answer to a frame."""
    headers = {
        "messageId": frame["headers"]["messageId"],
        "contentType": "application/json",
    }
    return json.dumps({"code": code, "headers": headers, "message": "OK", "data": data})


def test_wrong_credentials_open_nothing(http: Http) -> None:
    """As public logs show it."""
    answer = http.post(OPEN, json=subscription(http.simulator, clientSecret="wrong"))
    assert answer.status_code == 401
    assert answer.json() | {"requestid": ""} == {
        "code": "authFailed",
        "message": "鉴权失败",
        "requestid": "",
    }


@pytest.mark.parametrize(
    "subscriptions", [None, [], [{"type": "EVENT", "topic": "user_leave_org"}]]
)
def test_only_all_events_can_be_subscribed(http: Http, subscriptions: Any) -> None:
    """Code cannot choose events."""
    answer = http.post(OPEN, json=subscription(http.simulator, subscriptions=subscriptions))
    assert answer.status_code == 400


def test_an_event_comes_as_a_frame(http: Http, simulator: DingTalkSimulator) -> None:
    """Header values are texts, and the data is a text of JSON."""
    with connect(address_of(http)) as websocket:
        assert simulator.gateway.wait_for_listeners(1, 10)
        simulator.leave("li")
        frame = json.loads(websocket.recv(10))
        assert (frame["specVersion"], frame["type"]) == ("1.0", "EVENT")
        headers = frame["headers"]
        assert all(isinstance(value, str) for value in headers.values())
        assert headers["topic"] == "*"
        assert headers["eventType"] == "user_leave_org"
        assert headers["eventCorpId"] == simulator.application.corp_id
        assert headers["eventBornTime"].isdigit()
        assert headers["time"].isdigit()
        user_id = simulator.users["li"].former_user_ids[simulator.application.corp_id]
        assert json.loads(frame["data"])["userId"] == [user_id]
        assert json.loads(frame["data"])["eventId"] == headers["eventId"]
        websocket.send(answer_to(frame, '{"status":"SUCCESS"}'))
        (delivery,) = simulator.deliveries
        assert delivery.wait()


@pytest.mark.parametrize(
    ("code", "data", "accepted"),
    [
        (200, '{"status":"SUCCESS","message":"success"}', True),
        (200, '{"userId":["1"]}', True),
        (200, "", True),
        (200, '{"status":"LATER"}', False),
        (500, '{"status":"LATER"}', False),
        (500, '{"status":"SUCCESS"}', False),
        (404, "", False),
        (200, "{", False),
    ],
)
def test_what_counts_as_an_answer(
    code: int, data: str, accepted: bool, http: Http, simulator: DingTalkSimulator
) -> None:
    """200 without LATER; all else is sent again."""
    with connect(address_of(http)) as websocket:
        assert simulator.gateway.wait_for_listeners(1, 10)
        delivery = simulator.push("user_leave_org", user="li")
        first = json.loads(websocket.recv(10))
        websocket.send("nonsense")
        websocket.send(answer_to(first, data, code))
        if not accepted:
            # Wait for the answer to be heard: by the simulator's clock it would come too late then.
            websocket.ping().wait(10)
            simulator.advance(10)
            second = json.loads(websocket.recv(30))
            assert second["headers"]["eventId"] == first["headers"]["eventId"]
            assert second["headers"]["messageId"] != first["headers"]["messageId"]
            websocket.send(answer_to(second, '{"status":"SUCCESS"}'))
        assert delivery.wait()
        assert [attempt.accepted for attempt in delivery.attempts] == (
            [True] if accepted else [False, True]
        )


def test_a_ticket_opens_one_connection(http: Http) -> None:
    """And it ends after 90 seconds; no other one opens any."""
    from websockets.exceptions import InvalidStatus

    used = address_of(http)
    with connect(used):
        pass
    late = address_of(http)
    http.simulator.advance(91)
    for address in (used, late, used.partition("?")[0]):
        with pytest.raises(InvalidStatus, match="401"), connect(address):
            pass


def test_an_event_is_lost_if_nobody_listens(simulator: DingTalkSimulator) -> None:
    """Nobody knows whether DingTalk keeps it."""
    delivery = simulator.push("user_leave_org", user="li")
    assert not delivery.wait()
    assert not delivery.attempts


def test_events_can_be_kept_for_a_listener(http: Http, simulator: DingTalkSimulator) -> None:
    """With ``keeps_events``."""
    simulator.application.keeps_events = True
    delivery = simulator.push("user_leave_org", user="li")
    with connect(address_of(http)) as websocket:
        websocket.send(answer_to(json.loads(websocket.recv(10)), ""))
        assert delivery.wait()


def test_each_event_goes_to_one_listener(http: Http, simulator: DingTalkSimulator) -> None:
    """A second client takes events away from the first."""
    with connect(address_of(http)) as one, connect(address_of(http)) as other:
        assert simulator.gateway.wait_for_listeners(2, 10)
        delivery = simulator.push("user_leave_org", user="li")
        heard: list[Any] = []
        while not heard:
            for websocket in (one, other):
                try:
                    heard.append(json.loads(websocket.recv(0.05)))
                except TimeoutError:
                    continue
                websocket.send(answer_to(heard[-1], ""))
        assert delivery.wait()
        assert len(heard) == 1


def test_a_connection_whose_end_was_announced_gets_no_events(
    http: Http, simulator: DingTalkSimulator
) -> None:
    """It has ten seconds to open another one."""
    with connect(address_of(http)) as websocket:
        assert simulator.gateway.wait_for_listeners(1, 10)
        simulator.gateway.disconnect("persistent connection is timeout")
        frame = json.loads(websocket.recv(10))
        assert (frame["type"], frame["headers"]["topic"]) == ("SYSTEM", "disconnect")
        assert json.loads(frame["data"]) == {"reason": "persistent connection is timeout"}
        assert simulator.gateway.listeners == 0


def test_a_connection_can_be_cut_off(http: Http, simulator: DingTalkSimulator) -> None:
    """An event that nobody answered then is sent again to whoever listens next."""
    from websockets.exceptions import ConnectionClosedError

    with connect(address_of(http)) as websocket:
        assert simulator.gateway.wait_for_listeners(1, 10)
        delivery = simulator.push("user_leave_org", user="li")
        websocket.recv(10)
        simulator.gateway.drop()
        with pytest.raises(ConnectionClosedError):
            websocket.recv(10)
    with connect(address_of(http)) as websocket:
        assert simulator.gateway.wait_for_listeners(1, 10)
        simulator.advance(3600)
        websocket.send(answer_to(json.loads(websocket.recv(30)), ""))
        assert delivery.wait()


def test_the_official_sdk_listens(
    simulator: DingTalkSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DingTalk's own client connects, hears an event, answers it, and answers a ping."""
    import dingtalk_stream
    from dingtalk_stream import DingTalkStreamClient

    monkeypatch.setattr(DingTalkStreamClient, "OPEN_CONNECTION_API", simulator.url + OPEN)
    heard: list[Any] = []

    class Handler(dingtalk_stream.EventHandler):  # type: ignore[misc]
        async def process(self, event: Any) -> tuple[int, str]:
            heard.append((event.headers.event_type, event.data["userId"]))
            return dingtalk_stream.AckMessage.STATUS_OK, "OK"

    application = simulator.application
    credential = dingtalk_stream.Credential(application.client_id, application.client_secret)
    silent = logging.getLogger("tests.silent")
    silent.propagate = False
    silent.addHandler(logging.NullHandler())
    client = DingTalkStreamClient(credential, silent)
    client.register_all_event_handler(Handler())

    async def listen() -> None:
        task = asyncio.create_task(client.start())
        try:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, push_and_ping)
        finally:
            while not task.done():
                task.cancel()
                await asyncio.sleep(0)

    def push_and_ping() -> None:
        assert simulator.gateway.wait_for_listeners(1, 30)
        assert simulator.push("user_leave_org", user="li").wait()
        assert simulator.gateway.ping()

    asyncio.run(listen())
    ours = simulator.application.corp_id
    assert heard == [("user_leave_org", [simulator.users["li"].memberships[ours].user_id])]
