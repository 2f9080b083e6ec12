"""What goes wrong on a site reaches its error tracker without a secret in it.

With the real Sentry SDK, its defaults and the variables of each frame; and, for what other trackers
may look at, by a walk through exceptions, their causes and the variables of all their frames.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import FrameType
from typing import Any

import pytest
import sentry_sdk
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from flask_dingtalk import DingTalk, DingTalkError, DingTalkToken, DingTalkUser
from flask_dingtalk.api.client import Client
from flask_dingtalk.api.directory import Directory
from flask_dingtalk.api.transport import Transport as DingTalkTransport
from flask_dingtalk.secret import Secret
from flask_dingtalk.settings import Settings
from flask_dingtalk.testing import signed_in

from .helpers import build_site, come_back, start
from .stub import PROFILE, TOKEN, Answer, Asked, StubDingTalk

CODE = "c0de0123456789abcdef0123456789ab"
CLIENT_SECRET = "client-secret-0123456789abcdef"
APP_TOKEN = "app-token-0123456789abcdef"
#: Those that are the same in every test; the cookie's is another each time.
ACCESS_TOKEN, REFRESH_TOKEN = str(TOKEN["accessToken"]), str(TOKEN["refreshToken"])
SECRETS = [CODE, CLIENT_SECRET, APP_TOKEN, ACCESS_TOKEN, REFRESH_TOKEN]
UNION_ID = str(PROFILE["unionId"])


# --- Sentry --------------------------------------------------------------------------------------


class Collecting(Transport):
    """Keeps what would be sent."""

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self.events: list[dict[str, Any]] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        """Keep an event."""
        event = envelope.get_event()
        if event is not None:
            self.events.append(dict(event))


#: What belongs to the visitor in an address, a form or a cookie; ``session`` is the cookie's name.
_VISITORS = re.compile(r"""\b(code|authCode|state|session)=[^&;\s'"]+""")


def before_send(value: Any, hint: Any = None) -> Any:
    """Take out what Sentry and Flask show of a request themselves, wherever it stands."""
    if isinstance(value, dict):
        return {name: before_send(item) for name, item in value.items()}
    if isinstance(value, list):
        return [before_send(item) for item in value]
    return _VISITORS.sub(r"\1=[Filtered]", value) if isinstance(value, str) else value


@pytest.fixture
def sentry() -> Iterator[Collecting]:
    """Report to a Sentry that keeps everything, all variables of all frames included."""
    transport = Collecting()
    sentry_sdk.init(
        dsn="http://key@localhost/1",
        transport=transport,
        attach_stacktrace=True,
        include_local_variables=True,
        max_value_length=100_000,
        before_send=before_send,
    )
    yield transport
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)


@pytest.fixture
def stub() -> Iterator[StubDingTalk]:
    """Run a DingTalk that says what it is told to."""
    with StubDingTalk() as running:
        yield running


class Browser(FlaskClient):
    """Runs the site in a separate thread, so that its stack has no frames of the test client."""

    def run_wsgi_app(self, environ: Any, buffered: bool = False) -> Any:
        """Hand a request to the site."""
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(super().run_wsgi_app, environ, buffered).result()


def site(stub: StubDingTalk, **settings: Any) -> Flask:
    """Build a site with a view for each thing that goes wrong as a user."""
    app = build_site(
        stub.settings
        | {
            "SECRET_KEY": "k",
            "DINGTALK_CLIENT_SECRET": CLIENT_SECRET,
            "DINGTALK_MEMBERS_ONLY": False,
        }
        | settings
    )
    app.test_client_class = Browser
    dingtalk: DingTalk = app.extensions["dingtalk"]

    @app.errorhandler(DingTalkError)
    def tell(error: DingTalkError) -> DingTalkError:
        # As sites do for errors that their framework handles.
        sentry_sdk.capture_exception(error)
        return error

    @app.get("/slip")
    def slip() -> str:
        dingtalk.post("/v1.0/x", json=object())
        return "done"

    return app


def sign_in(client: FlaskClient) -> None:
    """Come back from DingTalk with a code."""
    come_back(client, start(client), CODE)


def put_in(client: FlaskClient, *, ended: bool = False) -> None:
    """Have somebody signed in, with tokens that are good or have ended."""
    moment = datetime.datetime.now(datetime.UTC)
    moment += datetime.timedelta(hours=-1 if ended else 1)
    token = DingTalkToken(ACCESS_TOKEN, REFRESH_TOKEN, moment)
    signed_in(client, DingTalkUser(union_id=UNION_ID), token)


def app_token_then(answer: Answer) -> Callable[[Asked], Answer]:
    """Give tokens to whoever asks for some; answer everything else so."""

    def choose(asked: Asked) -> Answer:
        if asked.path == "/v1.0/oauth2/accessToken":
            return Answer({"accessToken": APP_TOKEN, "expireIn": 7200})
        return Answer(TOKEN) if asked.path.startswith("/v1.0/oauth2/") else answer

    return choose


def dingtalk_is_down(stub: StubDingTalk) -> None:
    """Nothing listens at DingTalk's address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        sign_in(site(stub, DINGTALK_API_BASE_URL=url).test_client())


def the_answer_stalls(stub: StubDingTalk) -> None:
    """Let it end in the middle, with the connection open."""
    stub.token = Answer(TOKEN, headers={"Content-Length": "5000"})
    sign_in(site(stub, DINGTALK_TIMEOUT=0.1).test_client())


def dingtalk_answers_nonsense(stub: StubDingTalk) -> None:
    """Answer nonsense that contains what was sent."""
    stub.token = lambda asked: Answer(body=b"<p>" + asked.body, status=502)
    sign_in(site(stub).test_client())


def half_of_the_tokens_make_no_sense(stub: StubDingTalk) -> None:
    """Send a good half, too, which must not be told either."""
    stub.token = Answer(TOKEN | {"expireIn": "soon"})
    sign_in(site(stub).test_client())


def the_credentials_are_wrong(stub: StubDingTalk) -> None:
    """DingTalk quotes them, which it may."""
    content = {"code": "invalidParameter.idOrSecret.notFound", "message": f"{CLIENT_SECRET} {CODE}"}
    stub.token = Answer(content, 400)
    sign_in(site(stub).test_client())


def the_profile_is_refused(stub: StubDingTalk) -> None:
    """With the token that was sent in the message."""
    content = {
        "code": "Forbidden.AccessDenied.AccessTokenPermissionDenied",
        "message": TOKEN["accessToken"],
    }
    stub.user = Answer(content, 403)
    sign_in(site(stub).test_client())


def dingtalk_throttles(stub: StubDingTalk) -> None:
    """Throttle the exchange, which is not sent again."""
    stub.token = Answer({"code": "Forbidden.AccessDenied.QpsLimitForApi"}, 403)
    sign_in(site(stub).test_client())


def a_hook_has_a_bug(stub: StubDingTalk) -> None:
    """Have the site's own function fail, with user and token in hand."""
    app = site(stub)
    dingtalk: DingTalk = app.extensions["dingtalk"]

    @dingtalk.on_login
    def hook(user: DingTalkUser, token: DingTalkToken) -> None:
        raise ZeroDivisionError

    sign_in(app.test_client())


def a_member_cannot_be_looked_up(stub: StubDingTalk) -> None:
    """Refuse a form with the application's own token in it."""
    stub.token = app_token_then(Answer({"errcode": 88, "sub_code": "60011", "sub_msg": APP_TOKEN}))
    sign_in(site(stub, DINGTALK_MEMBERS_ONLY=True).test_client())


def there_is_no_app_token(stub: StubDingTalk) -> None:
    """Refuse a body with the client secret in it."""

    def choose(asked: Asked) -> Answer:
        if asked.path == "/v1.0/oauth2/accessToken":
            return Answer({"code": "invalidClientIdOrSecret", "message": CLIENT_SECRET}, 400)
        return Answer(TOKEN)

    stub.token = choose
    sign_in(site(stub, DINGTALK_MEMBERS_ONLY=True).test_client())


def a_refresh_fails(stub: StubDingTalk) -> None:
    """On DingTalk's side."""
    stub.token = lambda asked: Answer({"code": "unknownError", "message": asked.body.decode()}, 500)
    client = site(stub).test_client()
    put_in(client, ended=True)
    client.get("/call")


def a_check_fails(stub: StubDingTalk) -> None:
    """In a guard, long after the sign-in."""
    stub.token = stub.user = Answer(body=b"?", status=500)
    client = site(stub, DINGTALK_REVALIDATE_AFTER=60).test_client()
    put_in(client)
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=5)
    with time_machine.travel(later, tick=True):
        client.get("/report")


def the_site_makes_a_slip(stub: StubDingTalk) -> None:
    """Pass an argument that cannot be sent."""
    client = site(stub).test_client()
    put_in(client)
    client.get("/slip")


class WorkerTimeout(SystemExit):
    """What a server raises into a request that takes too long."""


@pytest.fixture(autouse=True)
def no_alarm_is_left() -> Iterator[None]:
    """Leave signals as they were."""
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.signal(signal.SIGALRM, before)


def a_worker_is_killed_in_mid_call(stub: StubDingTalk) -> None:
    """By its server, as it took too long."""
    killed = threading.Event()

    def strike(number: int, frame: FrameType | None) -> None:
        raise WorkerTimeout(1)

    def kill(asked: Asked) -> Answer:
        os.kill(os.getpid(), signal.SIGALRM)
        killed.wait(60)
        return Answer(TOKEN)

    stub.token = kill
    signal.signal(signal.SIGALRM, strike)
    app = site(stub, DINGTALK_TIMEOUT=60)
    # Signals reach the main thread alone.
    app.test_client_class = FlaskClient
    client = app.test_client()
    state = start(client)
    with pytest.raises(WorkerTimeout):
        come_back(client, state, CODE)
    killed.set()


FLOWS = [
    dingtalk_is_down,
    the_answer_stalls,
    dingtalk_answers_nonsense,
    half_of_the_tokens_make_no_sense,
    the_credentials_are_wrong,
    the_profile_is_refused,
    dingtalk_throttles,
    a_hook_has_a_bug,
    a_member_cannot_be_looked_up,
    there_is_no_app_token,
    a_refresh_fails,
    a_check_fails,
    the_site_makes_a_slip,
    a_worker_is_killed_in_mid_call,
]


@pytest.mark.parametrize("flow", FLOWS)
def test_sentry_is_sent_no_secret(
    sentry: Collecting, stub: StubDingTalk, flow: Callable[[StubDingTalk], None]
) -> None:
    """Neither is the value of the session cookie."""
    flow(stub)
    sentry_sdk.get_client().flush()
    assert sentry.events
    for event in sentry.events:
        assert [place for secret in SECRETS for place in _places(event, secret)] == []
        assert "session=ey" not in json.dumps(event)


def _places(value: Any, secret: str, path: str = "event") -> list[str]:
    """Name the places of a secret in an event."""
    if isinstance(value, dict):
        return [p for k, v in value.items() for p in _places(v, secret, f"{path}.{k}")]
    if isinstance(value, list | tuple):
        return [p for i, v in enumerate(value) for p in _places(v, secret, f"{path}[{i}]")]
    return [f"{path}: {value}"[:400]] if secret in str(value) else []


# --- Anything else that looks at exceptions ------------------------------------------------------


@dataclass(frozen=True)
class Api:
    """The calls to DingTalk, without a site around them."""

    client: Client
    directory: Directory

    @staticmethod
    def of(stub: StubDingTalk, **settings: Any) -> Api:
        """Make the calls of an application that talks to the stub."""
        config = stub.settings | {"DINGTALK_CLIENT_SECRET": CLIENT_SECRET} | settings
        read = Settings.from_config(config)
        transport = DingTalkTransport(read)
        return Api(Client(transport), Directory(read, transport))


def user_token() -> DingTalkToken:
    """Return tokens that are good for a while."""
    ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    return DingTalkToken(ACCESS_TOKEN, REFRESH_TOKEN, ends)


CALLS: list[Callable[[Api], Any]] = [
    lambda api: api.client.exchange(Secret(CODE)),
    lambda api: api.client.refresh(user_token()),
    lambda api: api.client.user(user_token()),
    lambda api: api.client.request("GET", "/v1.0/contact/x", user_token(), params={"a": "b"}),
    lambda api: api.directory.user_id(UNION_ID),
    lambda api: api.directory.member_by_code(Secret(CODE)),
    lambda api: api.directory.request("GET", "/v1.0/contact/x"),
    lambda api: api.directory.request("POST", "/topapi/x", data={"dept_id": 1}),
]
CALL_IDS = [
    *("exchange", "refresh", "user", "as the user", "membership", "code of the client"),
    *("as the application", "as the application, old API"),
]


def shown_by(error: BaseException | None) -> str:
    """Return all that a tracker can show of an exception, this file's own frames left out."""
    texts: list[str] = []
    waiting, seen = [error], set()
    while waiting:
        error = waiting.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        waiting += [error.__cause__, error.__context__]
        texts += [repr(error), str(error), repr(error.args), repr(vars(error))]
        for name in ("request", "response"):
            hanging = getattr(error, name, None)
            texts += [repr(hanging), repr(hanging and vars(hanging))]
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_filename != __file__:
                texts += [repr(value) for value in frame.f_locals.values()]
    return "\n".join(texts)


def assert_nothing_shows(error: BaseException) -> None:
    """Fail if a tracker would be shown a secret."""
    shown = shown_by(error)
    assert [secret for secret in SECRETS if secret in shown] == []


def healthy(stub: StubDingTalk) -> None:
    """Have every call succeed."""
    result = {"contact_type": 0, "userid": "i", "unionid": UNION_ID}
    stub.token = app_token_then(Answer({"errcode": 0, "result": result}))


def count_function_calls(call: Callable[[], Any]) -> int:
    """Return how many functions are called in a call of DingTalk."""
    seen = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal seen
        seen += event == "call"

    sys.setprofile(count)
    try:
        call()
    finally:
        sys.setprofile(None)
    return seen


def takes_locks(frame: FrameType | None) -> bool:
    """Tell whether a lock could be left taken for ever, for all tests to come, by a strike here."""
    while frame is not None:
        if frame.f_globals.get("__name__") in ("logging", "threading", "queue", "weakref"):
            return True
        frame = frame.f_back
    return False


def strike(call: Callable[[], Any], moment: int, error: BaseException) -> BaseException | None:
    """Raise ``error`` where the function number ``moment`` begins; return what comes out."""
    seen = 0

    def hit(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal seen
        seen += event == "call"
        if seen >= moment and not takes_locks(frame):
            sys.setprofile(None)
            raise error

    sys.setprofile(hit)
    try:
        call()
    except BaseException as raised:
        return raised
    finally:
        sys.setprofile(None)
    return None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("call", CALLS, ids=CALL_IDS)
@pytest.mark.parametrize("kind", [WorkerTimeout, MemoryError])
def test_whatever_strikes_in_mid_call_leaves_without_secrets(
    stub: StubDingTalk, call: Callable[[Api], Any], kind: type[BaseException]
) -> None:
    """At any of some twenty moments of a call, from the first line to the last."""
    healthy(stub)
    settings: dict[str, Any] = {"DINGTALK_CORP_ID": "ding1"}
    api = Api.of(stub, **settings)
    total = count_function_calls(lambda: call(api))
    came_out = 0
    for moment in range(1, total, max(total // 20, 1)):
        api = Api.of(stub, **settings)
        error = strike(lambda: call(api), moment, kind())  # noqa: B023
        if error is not None:
            came_out += 1
            assert_nothing_shows(error)
    # Some moments are swallowed on the way, by a __del__ for instance.
    assert came_out >= 3


def quoting(asked: Asked) -> str:
    """Quote all that was sent, as an error message may."""
    return f"{asked.body.decode()} {asked.headers.get('x-acs-dingtalk-access-token')}"


FAULTS: list[Answer | Callable[[Asked], Answer]] = [
    Answer(body=b"<p>", status=502),
    lambda asked: Answer({"code": "invalidToken", "message": quoting(asked)}, 400),
    lambda asked: Answer({"errcode": 88, "sub_code": "40014", "sub_msg": quoting(asked)}),
    Answer(TOKEN, headers={"Content-Length": "5000"}),
    Answer(TOKEN, headers={"Content-Length": "5000", "Connection": "close"}),
    Answer(TOKEN, 302, {"Location": "http://["}),
    Answer(body=b"x", headers={"Content-Encoding": "gzip"}),
]
FAULT_IDS = ["web page", "quoted", "quoted, old API", "stalls", "breaks off"]
FAULT_IDS += ["redirect", "not compressed"]


@pytest.mark.parametrize("call", CALLS, ids=CALL_IDS)
@pytest.mark.parametrize("fault", FAULTS, ids=FAULT_IDS)
def test_an_error_of_dingtalk_has_no_secret_in_anything_it_came_from(
    stub: StubDingTalk, call: Callable[[Api], Any], fault: Answer
) -> None:
    """Neither in its own text, nor in what requests raised before."""
    stub.token = stub.user = fault
    with pytest.raises(DingTalkError) as caught:
        call(Api.of(stub, DINGTALK_CORP_ID="ding1", DINGTALK_TIMEOUT=0.1))
    assert_nothing_shows(caught.value)


@pytest.mark.parametrize("call", CALLS[:2], ids=CALL_IDS[:2])
def test_the_good_half_of_a_token_answer_is_not_shown(
    stub: StubDingTalk, call: Callable[[Api], Any]
) -> None:
    """Where the other half makes no sense."""
    stub.token = Answer(TOKEN | {"expireIn": "soon"})
    with pytest.raises(DingTalkError, match="makes no sense") as caught:
        call(Api.of(stub))
    assert_nothing_shows(caught.value)


def test_the_sites_own_mistake_keeps_its_type_and_says_where_it_was_raised(
    stub: StubDingTalk,
) -> None:
    """Only the frames that hold the token are gone."""
    api = Api.of(stub)
    with pytest.raises(TypeError, match="object is not JSON serializable") as caught:
        api.client.request("POST", "/v1.0/x", user_token(), json=object())
    assert_nothing_shows(caught.value)
    assert "transport.py" in "\n".join(caught.value.__notes__)


def test_what_the_site_was_handling_stays_the_context_of_an_error(stub: StubDingTalk) -> None:
    """Only what happened inside of the call is left out."""
    stub.user = Answer(body=b"?", status=500)
    api, token = Api.of(stub), user_token()
    try:
        raise LookupError("the site's own")
    except LookupError:
        with pytest.raises(DingTalkError) as caught:
            api.client.user(token)
    assert isinstance(caught.value.__context__, LookupError)


def test_a_secret_shows_itself_to_nobody() -> None:
    """Neither ``repr`` nor any format shows it."""
    secret = Secret("hidden")
    assert "hidden" not in f"{secret} {secret!r} {[secret]} {secret!s}"
    assert secret.reveal() == "hidden"
