"""Calls as the user, and tokens that end: ``dingtalk.request``."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask, copy_current_request_context, jsonify, request, stream_with_context
from flask.testing import FlaskClient
from flask.typing import ResponseReturnValue
from requests.exceptions import InvalidJSONError

from flask_dingtalk import (
    ConfigurationError,
    DingTalk,
    DingTalkAPIError,
    DingTalkError,
    DingTalkToken,
    DingTalkUnavailable,
    DingTalkUser,
    LoginRequired,
    token_refreshed,
)
from flask_dingtalk.testing import DingTalkSimulator, signed_in

from .helpers import (
    AppFactory,
    Later,
    called,
    free_port,
    in_time,
    load_at_once,
    sign_in,
)
from .stub import PROFILE, TOKEN, Answer, Asked, StubDingTalk

TWO_HOURS = 7200


def test_a_call_goes_out_as_the_signed_in_user(
    member: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """And the site gets the answer as a response of requests."""
    assert member.get("/call").json == {
        "nick": "张三",
        "unionId": simulator.users["zhang"].union_id,
        **(member.get("/call").json or {}),
    }
    assert called(simulator) == ["users/me", "users/me"]


def test_a_call_when_nobody_is_signed_in_is_login_required(app: Flask) -> None:
    """With 401, for views without a guard."""
    with app.test_request_context(), pytest.raises(LoginRequired) as caught:
        app.extensions["dingtalk"].get("/v1.0/contact/users/me")
    assert (caught.value.code, caught.value.error_code) == (401, "login_required")


def test_a_call_without_a_user_token_says_so(app: Flask) -> None:
    """Some ways to sign in yield none."""
    client = signed_in(app.test_client(), DingTalkUser(union_id="u"))
    response = client.get("/call", headers={"Accept": "application/json"})
    assert response.status_code == 502
    assert response.json is not None
    assert response.json["error"] == "api_error"


def test_an_access_token_that_ended_is_refreshed_before_the_call(
    member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """The user notices nothing, and the new pair is kept."""
    later(TWO_HOURS)
    assert member.get("/call").status_code == 200
    assert called(simulator) == ["refresh_token", "users/me"]
    assert member.get("/call").status_code == 200
    assert called(simulator) == ["refresh_token", "users/me", "users/me"]


def test_an_access_token_about_to_end_counts_as_ended(
    member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """A minute ahead, so that it does not end on the way."""
    later(TWO_HOURS - 50)
    member.get("/call")
    assert called(simulator) == ["refresh_token", "users/me"]


def test_an_access_token_that_dingtalk_refuses_is_refreshed_and_the_call_repeated_once(
    member: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """It looked valid, but DingTalk knows better."""
    simulator.advance(TWO_HOURS)
    assert member.get("/call").status_code == 200
    assert called(simulator) == ["users/me", "refresh_token", "users/me"]


@pytest.mark.parametrize("code", ["InvalidAuthentication", "accesstoken.expired", "invalidToken"])
def test_every_code_for_a_refused_token_leads_to_one_refresh(
    member: FlaskClient, simulator: DingTalkSimulator, code: str
) -> None:
    """DingTalk's documents name three, and do not say which API gives which."""
    simulator.fail("users/me", status=400, code=code)
    assert member.get("/call").status_code == 200
    assert called(simulator) == ["users/me", "refresh_token", "users/me"]


def test_a_token_refused_again_after_the_refresh_is_an_error(
    member: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """One repetition, not a loop."""
    simulator.fail("users/me", status=400, code="InvalidAuthentication", times=2)
    assert member.get("/call").status_code == 502
    assert called(simulator) == ["users/me", "refresh_token", "users/me"]


def test_a_refresh_keeps_the_organisation(
    make_app: AppFactory, simulator: DingTalkSimulator
) -> None:
    """Whether DingTalk's answer to a refresh names it is documented nowhere."""
    with StubDingTalk() as stub:
        stub.token = lambda asked: Answer(
            TOKEN
            if b"authorization_code" in asked.body
            else TOKEN | {"corpId": None, "accessToken": "n"}
        )
        client = stub_app(stub).test_client()
        signed_in(client, DingTalkUser(union_id="u", corp_id="ding1"), ended_token())
        assert client.get("/token").json == {"access_token": "n", "corp_id": "ding1"}


def test_the_signal_tells_of_new_tokens(
    app: Flask, member: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """``token_refreshed``, with the user and the new pair."""
    heard: list[dict[str, Any]] = []

    def listen(sender: Flask, **facts: Any) -> None:
        heard.append({"sender": sender, **facts})

    with token_refreshed.connected_to(listen, app):
        simulator.advance(TWO_HOURS)
        member.get("/call")
    assert [(fact["sender"], fact["user"].nick) for fact in heard] == [(app, "张三")]
    assert not heard[0]["token"].is_expired()


def test_dead_tokens_ask_for_a_new_sign_in_and_the_user_stays_signed_in(
    member: FlaskClient, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """A script learns where that begins; guarded pages still work."""
    simulator.advance(31 * 86_400)
    response = member.get("/call", headers={"Accept": "application/json"})
    assert response.status_code == 401
    assert response.json is not None
    assert (response.json["error"], response.json["login_url"]) == (
        "login_required",
        "/dingtalk/login",
    )
    assert "invalidParameter.authCode.notFound" in caplog.text
    assert member.get("/report").status_code == 200


def test_a_dead_refresh_token_is_not_sent_again(
    member: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """DingTalk said no once."""
    simulator.advance(31 * 86_400)
    member.get("/call")
    member.get("/call")
    assert called(simulator).count("refresh_token") == 1


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param({"reset": True, "after": True}, id="answer lost"),
        pytest.param({"status": 500, "code": "unknownError", "after": True}, id="failed"),
    ],
)
def test_a_refresh_token_that_a_fault_used_up_asks_for_a_new_sign_in(
    member: FlaskClient, simulator: DingTalkSimulator, later: Later, failure: dict[str, Any]
) -> None:
    """A later call tries again, and DingTalk's refusal costs nothing more."""
    later(TWO_HOURS)
    simulator.fail("userAccessToken", **failure)
    assert member.get("/call").status_code == 502
    response = member.get("/call")
    assert response.status_code == 401
    assert 'href="/dingtalk/login?next=/call"' in response.text
    assert called(simulator) == ["refresh_token", "refresh_token"]


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param({"status": 403, "code": "some.thing.new"}, id="refused"),
        pytest.param({"throttled": True}, id="throttled"),
        pytest.param({"throttled": "ban"}, id="banned"),
    ],
)
def test_a_refresh_that_dingtalk_did_not_carry_out_can_be_tried_again(
    member: FlaskClient,
    simulator: DingTalkSimulator,
    later: Later,
    failure: dict[str, Any],
) -> None:
    """It said so itself."""
    later(TWO_HOURS)
    simulator.fail("userAccessToken", **failure)
    assert member.get("/call").status_code in (502, 503)
    assert member.get("/call").status_code == 200


def test_a_refresh_that_ended_at_a_proxy_can_be_tried_again(
    later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DingTalk never saw it."""
    with StubDingTalk() as stub:
        client = stub_app(stub).test_client()
        signed_in(client, DingTalkUser(union_id="u"), ended_token())
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", "")
        assert client.get("/token").status_code == 502
        monkeypatch.delenv("http_proxy")
        assert client.get("/token").status_code == 200


def test_a_pair_that_dingtalk_gives_twice_ends_in_no_endless_loop(later: Later) -> None:
    """The same refresh token again, and an access token that has ended already."""
    with StubDingTalk() as stub:
        stub.token = Answer(TOKEN | {"expireIn": 1})
        client = stub_app(stub).test_client()
        signed_in(client, DingTalkUser(union_id="u"), ended_token())
        for _ in range(3):
            assert client.get("/token").status_code == 200


def test_a_listener_may_call_dingtalk_itself(
    app: Flask, member: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The new pair is there by then, and nobody waits for it."""
    heard: list[int] = []

    def listen(sender: Flask, **facts: Any) -> None:
        heard.append(app.extensions["dingtalk"].get("/v1.0/contact/users/me").status_code)

    with token_refreshed.connected_to(listen, app):
        simulator.advance(TWO_HOURS)
        assert member.get("/call").status_code == 200
    assert heard == [200]


def test_a_listener_that_fails_loses_no_tokens(
    app: Flask, member: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """It is the site's bug; the next call goes on with the new pair."""
    app.testing = False

    def fail(sender: Flask, **facts: Any) -> None:
        raise ZeroDivisionError

    simulator.advance(TWO_HOURS)
    with token_refreshed.connected_to(fail, app):
        assert member.get("/call").status_code == 500
    assert member.get("/call").status_code == 200
    assert called(simulator).count("refresh_token") == 1


def test_a_refresh_that_never_reached_dingtalk_can_be_tried_again(
    later: Later,
) -> None:
    """Nobody listened, so nothing was spent."""
    port = free_port()
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="k",
        DINGTALK_CLIENT_ID="ding1",
        DINGTALK_CLIENT_SECRET="s",
        DINGTALK_API_BASE_URL=f"http://127.0.0.1:{port}",
    )
    dingtalk = DingTalk(app)

    @app.get("/call")
    def call() -> str:
        with pytest.raises(DingTalkUnavailable) as caught:
            dingtalk.get("/v1.0/contact/users/me")
        return caught.value.detail

    client = signed_in(app.test_client(), DingTalkUser(union_id="u"), ended_token())
    assert client.get("/call").text == client.get("/call").text


def test_an_answer_without_refresh_token_leaves_the_old_one_in_force(
    later: Later,
) -> None:
    """RFC 6749, section 6."""
    with StubDingTalk() as stub:
        stub.token = Answer({"accessToken": "n", "expireIn": 7200})
        client = stub_app(stub).test_client()
        signed_in(client, DingTalkUser(union_id="u"), ended_token())
        assert client.get("/token").status_code == 200
        later(TWO_HOURS)
        assert client.get("/token").status_code == 200
        sent = [json.loads(asked.body)["refreshToken"] for asked in stub.asked if asked.body]
        assert sent == ["old-refresh", "old-refresh"]


def test_a_lost_answer_to_a_refresh_is_not_followed_by_a_second_one_in_the_same_call(
    member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """It may have been processed: the refresh token works once."""
    later(TWO_HOURS)
    simulator.fail("userAccessToken", reset=True, after=True)
    assert member.get("/call").status_code == 502
    assert called(simulator) == ["refresh_token"]


def test_a_refresh_that_returns_the_same_pair_extends_it(
    simulator: DingTalkSimulator, later: Later
) -> None:
    """Whether DingTalk replaces the tokens at a refresh is public experience, not its document."""
    with StubDingTalk() as stub:
        client = stub_app(stub).test_client()
        signed_in(client, DingTalkUser(union_id="u", corp_id="ding1"), ended_token())
        for _ in range(3):
            later(TWO_HOURS)
            assert client.get("/token").json == {
                "access_token": TOKEN["accessToken"],
                "corp_id": TOKEN["corpId"],
            }
        paths = [asked.path.rpartition("/")[2] for asked in stub.asked]
        assert paths == ["userAccessToken", "me"] * 3


# --- Many at once --------------------------------------------------------------------------------


def test_requests_that_find_the_token_ended_at_the_same_time_refresh_it_once(
    app: Flask, member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """Twenty of them, with one cookie."""
    later(TWO_HOURS)
    heard: list[Any] = []

    def listen(sender: Flask, **facts: Any) -> None:
        heard.append(facts)

    with token_refreshed.connected_to(listen):
        assert load_at_once(app, member, "/call", 20) == [200] * 20
    assert called(simulator).count("refresh_token") == 1
    assert len(heard) == 1


def test_a_cookie_with_the_old_pair_finds_the_new_one(
    app: Flask, member: FlaskClient, simulator: DingTalkSimulator, later: Later
) -> None:
    """Also generations later; a newer pair is never replaced by an older one."""
    old = member.get_cookie("session")
    assert old is not None
    for _ in range(3):
        later(TWO_HOURS)
        member.get("/call")
    simulator.calls.clear()
    member.set_cookie("session", old.value)
    assert member.get("/call").status_code == 200
    assert called(simulator) == ["users/me"]
    newest = member.get("/whoami").json
    assert newest is not None
    assert datetime.fromisoformat(newest["expires_at"]) > datetime.now(UTC) + timedelta(hours=1.9)


def test_those_who_wait_for_a_refresh_that_fails_get_its_error_and_do_not_try_in_turn(
    make_app: AppFactory, simulator: DingTalkSimulator, later: Later
) -> None:
    """A DingTalk that does not answer is waited for once."""
    app = make_app(DINGTALK_TIMEOUT=(1, 1))
    client = app.test_client()
    in_time(lambda: sign_in(client, simulator))
    later(TWO_HOURS)
    simulator.calls.clear()
    simulator.fail("userAccessToken", timeout=True, times=None)
    assert load_at_once(app, client, "/call", 8) == [504] * 8
    assert len(simulator.calls) < 8


# --- What may be asked for, and what comes back --------------------------------------------------


def stub_app(stub: StubDingTalk) -> Flask:
    """Build a site on the stub whose ``/ask`` calls whatever a test asks for."""
    app = Flask(__name__)
    app.config.update(stub.settings, SECRET_KEY="k", TESTING=True)
    dingtalk = DingTalk(app)

    @app.get("/token")
    def token() -> ResponseReturnValue:
        dingtalk.get("/v1.0/contact/users/me")
        token = dingtalk.token
        assert token is not None
        return jsonify(access_token=token.access_token, corp_id=token.corp_id)

    return app


def ended_token() -> DingTalkToken:
    """Make a token that has to be refreshed."""
    return DingTalkToken("old", "old-refresh", datetime.now(UTC) - timedelta(hours=1), "ding1")


@pytest.fixture
def as_user(stub: StubDingTalk) -> Iterator[DingTalk]:
    """Be inside a request of somebody signed in."""
    app = stub_app(stub)
    token = DingTalkToken("good", "refresh", datetime.now(UTC) + timedelta(hours=1))
    client = signed_in(app.test_client(), DingTalkUser(union_id="u"), token)
    cookie = client.get_cookie("session")
    assert cookie is not None
    with app.test_request_context(headers={"Cookie": f"session={cookie.value}"}):
        yield app.extensions["dingtalk"]


def test_what_requests_takes_is_passed_on(as_user: DingTalk, stub: StubDingTalk) -> None:
    """Query, JSON body and headers."""
    as_user.post("/v1.0/contact/x", params={"a": "中"}, json={"b": 1}, headers={"X-Trace": "7"})
    asked = stub.asked[-1]
    assert (asked.method, asked.path) == ("POST", "/v1.0/contact/x?a=%E4%B8%AD")
    assert asked.body == b'{"b": 1}'
    assert asked.headers["x-trace"] == "7"
    assert asked.headers["x-acs-dingtalk-access-token"] == "good"


def test_a_header_of_none_is_left_out(as_user: DingTalk, stub: StubDingTalk) -> None:
    """As requests documents it, for those that each call has; the next call has it again."""
    as_user.get("/v1.0/contact/x", headers={"accept": None, "X-Trace": "7"})
    as_user.get("/v1.0/contact/x")
    first, second = (asked.headers for asked in stub.asked[-2:])
    assert ("accept" in first, first["x-trace"]) == (False, "7")
    assert (second["accept"], "x-trace" in second) == ("application/json", False)


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_there_is_a_short_form_for_each_method(
    as_user: DingTalk, stub: StubDingTalk, method: str
) -> None:
    """As in requests."""
    assert getattr(as_user, method)("/v1.0/contact/x").json()["nick"] == "张三"
    assert stub.asked[-1].method == method.upper()


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example/",
        "//evil.example/",
        "@evil.example",
        ".evil.example",
        "v1.0/x",
        "/\\x",
        "",
    ],
)
def test_a_path_that_could_lead_to_another_host_is_refused(
    as_user: DingTalk, stub: StubDingTalk, path: str
) -> None:
    """The token must not go there."""
    with pytest.raises(ValueError, match="path"):
        as_user.get(path)
    assert stub.asked == []


@pytest.mark.parametrize("argument", ["verify", "allow_redirects", "auth", "proxies", "stream"])
def test_what_would_loosen_the_client_is_refused(as_user: DingTalk, argument: str) -> None:
    """By name."""
    with pytest.raises(TypeError, match=argument):
        as_user.get("/v1.0/contact/x", **{argument: False})


def test_arguments_that_cannot_be_sent_are_the_callers_mistake(as_user: DingTalk) -> None:
    """And not DingTalk's unavailability."""
    with pytest.raises(InvalidJSONError):
        as_user.post("/v1.0/contact/x", json={"a": float("nan")})


def test_an_api_error_carries_what_dingtalk_said(as_user: DingTalk, stub: StubDingTalk) -> None:
    """Code, message and request id."""
    stub.user = Answer({"code": "some.code", "message": "说明", "requestid": "R-1"}, 400)
    with pytest.raises(DingTalkAPIError) as caught:
        as_user.get("/v1.0/contact/x")
    error = caught.value
    assert (error.dingtalk_code, error.dingtalk_message) == ("some.code", "说明")
    assert error.request_id == "R-1"


def test_what_dingtalk_names_as_missing_permission_is_cleaned_too(
    as_user: DingTalk, stub: StubDingTalk, caplog: pytest.LogCaptureFixture
) -> None:
    """It goes into the hint and into a link."""
    stub.user = Answer(
        {
            "code": "Forbidden.AccessDenied.AccessTokenPermissionDenied",
            "message": "x" * 290 + "good",
            "accessdenieddetail": {"requiredScopes": ["a\nCRITICAL forged", "good", "\ud800"]},
        },
        403,
    )
    with pytest.raises(DingTalkError) as caught:
        as_user.get("/v1.0/contact/x")
    assert str(caught.value).isprintable()
    assert "good" not in str(caught.value)


def test_an_error_page_of_a_call_when_nobody_is_signed_in_leads_to_the_sign_in(app: Flask) -> None:
    """Loading the page again would not help."""

    @app.get("/unguarded")
    def unguarded() -> str:
        return str(app.extensions["dingtalk"].get("/v1.0/contact/users/me").text)

    response = app.test_client().get("/unguarded")
    assert response.status_code == 401
    assert 'href="/dingtalk/login?next=/unguarded"' in response.text


def test_a_timeout_of_none_is_the_default_and_not_endless(
    as_user: DingTalk, stub: StubDingTalk
) -> None:
    """Every call has one."""
    assert as_user.get("/v1.0/contact/x", timeout=None).json()["nick"] == "张三"


def test_a_web_page_is_no_answer_of_an_api(as_user: DingTalk, stub: StubDingTalk) -> None:
    """Whatever its status; a ban of the server's address looks so."""
    stub.user = Answer(body=b"<html>", headers={"Content-Type": "text/html"})
    with pytest.raises(DingTalkUnavailable):
        as_user.get("/v1.0/contact/x")


def test_an_answer_need_not_be_json(as_user: DingTalk, stub: StubDingTalk) -> None:
    """Some APIs hand out files."""
    stub.user = Answer(body=b"\x89PNG", headers={"Content-Type": "image/png"})
    assert as_user.get("/v1.0/contact/x").content == b"\x89PNG"


def test_an_error_text_that_quotes_the_token_is_cleaned(
    as_user: DingTalk, stub: StubDingTalk, caplog: pytest.LogCaptureFixture
) -> None:
    """It goes to the log, and a token must not."""
    stub.user = Answer({"code": "c", "message": "bad token good refresh", "requestid": "good"}, 400)
    with pytest.raises(DingTalkError) as caught:
        as_user.get("/v1.0/contact/x")
    assert "good" not in str(caught.value)
    assert "good" not in caplog.text


def test_a_call_that_was_refused_for_its_token_is_repeated_with_its_body(
    as_user: DingTalk, stub: StubDingTalk
) -> None:
    """DingTalk did not carry it out the first time."""
    answers = iter([Answer({"code": "InvalidAuthentication", "message": "x"}, 400), Answer({})])
    stub.user = lambda asked: next(answers)
    as_user.post("/v1.0/contact/x", json={"a": 1})
    bodies = [asked.body for asked in stub.asked if "/contact/" in asked.path]
    assert bodies == [b'{"a": 1}', b'{"a": 1}']


def test_a_body_that_was_used_up_is_not_repeated(as_user: DingTalk, stub: StubDingTalk) -> None:
    """A file would be sent empty."""
    stub.user = Answer({"code": "InvalidAuthentication", "message": "x"}, 400)
    with pytest.raises(DingTalkAPIError):
        as_user.post("/v1.0/contact/x", data=io.BytesIO(b"a file"))
    assert len(stub.asked) == 1


def test_without_a_refresh_token_an_ended_access_token_asks_for_a_new_sign_in(
    stub: StubDingTalk,
) -> None:
    """There is nothing to refresh with."""
    client = stub_app(stub).test_client()
    ended = DingTalkToken("old", None, datetime.now(UTC) - timedelta(hours=1))
    signed_in(client, DingTalkUser(union_id="u"), ended)
    assert client.get("/token").status_code == 401
    assert stub.asked == []


@pytest.mark.parametrize(("method", "attempts"), [("get", 2), ("post", 1)])
def test_only_a_read_is_repeated_when_the_connection_breaks(
    as_user: DingTalk, stub: StubDingTalk, method: str, attempts: int
) -> None:
    """A write may have been carried out."""

    def hang_up(asked: Asked) -> Answer:
        raise ConnectionResetError

    stub.user = hang_up
    with pytest.raises(DingTalkUnavailable) as caught:
        getattr(as_user, method)("/v1.0/contact/x")
    assert caught.value.code == 502
    assert len(stub.asked) == attempts


def test_a_timeout_of_ones_own_is_kept(as_user: DingTalk, stub: StubDingTalk) -> None:
    """In seconds, for that call."""
    release = threading.Event()

    def slow(asked: Asked) -> Answer:
        release.wait(60)
        return Answer({})

    stub.user = slow
    with pytest.raises(DingTalkUnavailable) as caught:
        as_user.get("/v1.0/contact/x", timeout=0.2)
    release.set()
    assert caught.value.code == 504


# --- Where a new pair could not be kept ----------------------------------------------------------


Where = Callable[[Flask, Callable[[], str]], Callable[..., Any]]


def in_a_stream(app: Flask, call: Callable[[], str]) -> Callable[..., Any]:
    """Call while the response streams: its headers are out."""

    def view() -> Any:
        def parts() -> Iterator[str]:
            yield "begun, "
            yield call()

        return app.response_class(stream_with_context(parts()))

    return view


def in_a_thread(app: Flask, call: Callable[[], str]) -> Callable[..., Any]:
    """Call from a thread that got a copy of the request."""

    def view() -> str:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(copy_current_request_context(call)).result()

    return view


def in_a_websocket(app: Flask, call: Callable[[], str]) -> Callable[..., Any]:
    """Call from the view of a websocket, whose handshake is over."""

    def view() -> str:
        request.environ["HTTP_UPGRADE"] = "WebSocket"
        return call()

    return view


def at_the_teardown(app: Flask, call: Callable[[], str]) -> Callable[..., Any]:
    """Call when the request is over and its response has been sent."""
    heard: list[str] = []
    app.config["HEARD"] = heard

    @app.teardown_request
    def note(error: BaseException | None) -> None:
        if request.path == "/late":
            heard.append(call())

    return lambda: ""


WHERE = [
    pytest.param(in_a_stream, id="a stream"),
    pytest.param(in_a_thread, id="a thread"),
    pytest.param(in_a_websocket, id="a websocket"),
    pytest.param(at_the_teardown, id="a teardown function"),
]


def page_there(
    app: Flask, where: Where, work: Callable[[], str] | None = None
) -> Callable[[FlaskClient], str]:
    """Add a page that calls DingTalk at such a place; return what loads it and tells what came."""
    dingtalk: DingTalk = app.extensions["dingtalk"]

    def call() -> str:
        try:
            return str(dingtalk.get("/v1.0/contact/users/me").json()["nick"])
        except DingTalkError as error:
            return error.error_code

    app.add_url_rule("/late", "late", where(app, work or call))

    def load(browser: FlaskClient) -> str:
        text = browser.get("/late").text
        return ", ".join([text, *app.config.get("HEARD", ())]).removeprefix(", ")

    return load


@pytest.mark.parametrize("where", WHERE)
def test_a_pair_that_could_not_be_kept_is_not_fetched(
    app: Flask, simulator: DingTalkSimulator, later: Later, where: Where
) -> None:
    """The call raises, and the refresh token is still good for the next request."""
    load = page_there(app, where)
    browser = app.test_client()
    sign_in(browser, simulator)
    simulator.calls.clear()
    later(TWO_HOURS)
    assert load(browser).endswith("api_error")
    assert called(simulator) == []
    assert browser.get("/call").status_code == 200
    assert called(simulator) == ["refresh_token", "users/me"]


@pytest.mark.parametrize("where", WHERE)
def test_a_token_that_dingtalk_refuses_there_is_not_renewed_either(
    app: Flask, simulator: DingTalkSimulator, where: Where
) -> None:
    """It looked good, but DingTalk knows better."""
    load = page_there(app, where)
    browser = app.test_client()
    sign_in(browser, simulator)
    simulator.calls.clear()
    simulator.advance(TWO_HOURS)
    assert load(browser).endswith("api_error")
    assert called(simulator) == ["users/me"]


@pytest.mark.parametrize("where", WHERE)
def test_a_call_that_need_not_refresh_works_there(
    app: Flask, simulator: DingTalkSimulator, where: Where
) -> None:
    """Nothing has to be kept."""
    load = page_there(app, where)
    browser = app.test_client()
    sign_in(browser, simulator)
    assert load(browser).endswith("张三")


@pytest.mark.parametrize("where", WHERE)
def test_a_check_there_leaves_the_tokens_alone(
    make_app: AppFactory, simulator: DingTalkSimulator, later: Later, where: Where
) -> None:
    """Membership and profile are asked all the same."""
    app = make_app(DINGTALK_MEMBERS_ONLY=True, DINGTALK_REVALIDATE_AFTER=900)
    dingtalk: DingTalk = app.extensions["dingtalk"]
    load = page_there(app, where, lambda: "let in" if dingtalk.refusal() is None else "refused")
    browser = app.test_client()
    sign_in(browser, simulator)
    simulator.calls.clear()
    later(901)
    assert load(browser).endswith("let in")
    assert called(simulator) == ["getbyunionid", "users/me"]


@pytest.mark.parametrize(
    "view",
    [
        pytest.param("plain", id="a view"),
        pytest.param("async", id="an async view"),
        pytest.param("consumed", id="a stream that the view itself reads"),
        pytest.param("before", id="before_request"),
        pytest.param("after", id="after_request"),
        pytest.param("error", id="an error handler"),
    ],
)
def test_everywhere_else_a_new_pair_is_kept(
    make_app: AppFactory, simulator: DingTalkSimulator, later: Later, view: str
) -> None:
    """Another process can go on with it."""
    app = make_app()
    app.testing = False
    dingtalk: DingTalk = app.extensions["dingtalk"]

    def call() -> str:
        return str(dingtalk.get("/v1.0/contact/users/me").json()["nick"])

    def plain() -> str:
        if view == "error":
            raise ZeroDivisionError
        if view == "consumed":
            return "".join(stream_with_context(call() for _ in range(1)))
        return call() if view == "plain" else ""

    async def as_async() -> str:
        return call()

    app.add_url_rule("/there", "there", as_async if view == "async" else plain)
    if view == "before":
        app.before_request(lambda: call() if request.path == "/there" else None)
    elif view == "after":
        app.after_request(lambda response: (request.path == "/there" and call(), response)[1])
    elif view == "error":
        app.register_error_handler(500, lambda error: (call(), 500))
    browser = app.test_client()
    sign_in(browser, simulator)
    later(TWO_HOURS)
    simulator.advance(TWO_HOURS)
    browser.get("/there")
    elsewhere = make_app().test_client()
    cookie = browser.get_cookie("session")
    assert cookie is not None
    elsewhere.set_cookie("session", cookie.value)
    simulator.calls.clear()
    assert elsewhere.get("/call").status_code == 200
    assert called(simulator) == ["users/me"]


# --- With a token in hand ------------------------------------------------------------------------


@pytest.fixture
def token_in_hand(app: Flask, simulator: DingTalkSimulator) -> DingTalkToken:
    """Keep the tokens of somebody who signed in, as a site does for its jobs."""
    kept: list[DingTalkToken] = []
    app.extensions["dingtalk"].on_login(lambda user, token: kept.append(token))
    sign_in(app.test_client(), simulator)
    simulator.calls.clear()
    return kept[0]


def in_job(app: Flask, job: Callable[[], Any]) -> Any:
    """Run a job in a thread with an application context and no request."""

    def run() -> Any:
        with app.app_context():
            return job()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


def test_as_user_calls_as_that_user_outside_of_a_request(
    app: Flask, token_in_hand: DingTalkToken, simulator: DingTalkSimulator
) -> None:
    """In a job, say."""
    user = app.extensions["dingtalk"].as_user(token_in_hand)
    assert in_job(app, lambda: user.get("/v1.0/contact/users/me").json()["nick"]) == "张三"
    assert user.token == token_in_hand
    assert called(simulator) == ["users/me"]


def test_as_user_refreshes_and_hands_the_new_pair_to_its_owner(
    app: Flask, token_in_hand: DingTalkToken, simulator: DingTalkSimulator, later: Later
) -> None:
    """No signal is sent: the caller knows, and keeps ``token``."""
    heard: list[Any] = []

    def listen(sender: Flask, **facts: Any) -> None:
        heard.append(facts)

    later(TWO_HOURS)
    user = app.extensions["dingtalk"].as_user(token_in_hand)
    with token_refreshed.connected_to(listen):
        assert in_job(app, lambda: user.get("/v1.0/contact/users/me").status_code) == 200
    assert called(simulator) == ["refresh_token", "users/me"]
    assert user.token != token_in_hand
    assert not user.token.is_expired()
    assert heard == []
    again = app.extensions["dingtalk"].as_user(user.token)
    assert in_job(app, lambda: again.get("/v1.0/contact/users/me").status_code) == 200
    assert called(simulator) == ["refresh_token", "users/me", "users/me"]


def test_as_user_refreshes_a_token_that_dingtalk_refuses(
    app: Flask, token_in_hand: DingTalkToken, simulator: DingTalkSimulator
) -> None:
    """And makes the call once more."""
    simulator.advance(TWO_HOURS)
    user = app.extensions["dingtalk"].as_user(token_in_hand)
    assert in_job(app, lambda: user.get("/v1.0/contact/users/me").status_code) == 200
    assert called(simulator) == ["users/me", "refresh_token", "users/me"]


def test_as_user_with_dead_tokens_is_login_required(
    app: Flask, token_in_hand: DingTalkToken, simulator: DingTalkSimulator, later: Later
) -> None:
    """Only the user can help."""
    later(31 * 86_400)
    simulator.advance(31 * 86_400)
    user = app.extensions["dingtalk"].as_user(token_in_hand)
    for _ in range(2):
        with pytest.raises(LoginRequired):
            in_job(app, lambda: user.get("/v1.0/contact/users/me"))
    assert called(simulator) == ["refresh_token"]
    assert user.token == token_in_hand


def test_two_jobs_with_one_token_refresh_it_once(
    app: Flask, token_in_hand: DingTalkToken, simulator: DingTalkSimulator, later: Later
) -> None:
    """Twenty at once, each with a separate object."""
    later(TWO_HOURS)
    users = [app.extensions["dingtalk"].as_user(token_in_hand) for _ in range(20)]

    def job(user: Any) -> int:
        with app.app_context():
            return int(user.get("/v1.0/contact/users/me").status_code)

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(job, users)) == [200] * 20
    assert called(simulator).count("refresh_token") == 1
    assert len({user.token.access_token for user in users}) == 1


def test_a_job_that_kept_an_old_pair_for_days_finds_the_newest(
    app: Flask, token_in_hand: DingTalkToken, simulator: DingTalkSimulator, later: Later
) -> None:
    """Others have renewed it several times since."""
    dingtalk: DingTalk = app.extensions["dingtalk"]
    busy, sleeper = dingtalk.as_user(token_in_hand), dingtalk.as_user(token_in_hand)
    for _ in range(4):
        later(TWO_HOURS)
        simulator.advance(TWO_HOURS)
        in_job(app, lambda: busy.get("/v1.0/contact/users/me"))
    simulator.calls.clear()
    assert in_job(app, lambda: sleeper.get("/v1.0/contact/users/me").status_code) == 200
    assert sleeper.token == busy.token
    assert called(simulator) == ["users/me"]


def test_as_user_in_a_request_leaves_the_session_alone(
    app: Flask, simulator: DingTalkSimulator, later: Later
) -> None:
    """Whoever is signed in there may be somebody else."""
    kept: list[DingTalkToken] = []
    dingtalk: DingTalk = app.extensions["dingtalk"]
    dingtalk.on_login(lambda user, token: kept.append(token))

    @app.get("/as-li")
    def as_li() -> str:
        return str(dingtalk.as_user(kept[0]).get("/v1.0/contact/users/me").json()["nick"])

    sign_in(app.test_client(), simulator, "li")
    browser = app.test_client()
    sign_in(browser, simulator)
    later(TWO_HOURS)
    response = browser.get("/as-li")
    assert response.text == "李四"
    assert "Set-Cookie" not in response.headers
    assert browser.get("/").text == "张三"


# --- As the application --------------------------------------------------------------------------


def test_as_app_calls_with_the_applications_own_token(
    app: Flask, simulator: DingTalkSimulator
) -> None:
    """The old API by a form, without a request and without anybody signed in."""
    union_id = simulator.users["zhang"].union_id

    def job() -> Any:
        as_app = app.extensions["dingtalk"].as_app
        return as_app.post("/topapi/user/getbyunionid", data={"unionid": union_id}).json()

    record = simulator.users["zhang"].memberships[simulator.application.corp_id]
    assert in_job(app, job)["result"]["userid"] == record.user_id
    assert called(simulator) == ["accessToken", "getbyunionid"]


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_as_app_has_a_short_form_for_each_method_of_the_new_api(
    stub: StubDingTalk, method: str
) -> None:
    """As ``dingtalk`` itself has."""
    app = stub_app(stub)
    with app.app_context():
        answer = getattr(app.extensions["dingtalk"].as_app, method)("/v1.0/contact/x")
    assert answer.json() == PROFILE
    asked = stub.asked[-1]
    assert (asked.method, asked.path) == (method.upper(), "/v1.0/contact/x")
    assert asked.headers["x-acs-dingtalk-access-token"] == TOKEN["accessToken"]


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        pytest.param("get", {}, id="GET"),
        pytest.param("post", {}, id="no form"),
        pytest.param("post", {"json": {"a": 1}}, id="JSON"),
        pytest.param("post", {"data": "a=1"}, id="a text"),
        pytest.param("post", {"data": {"a": 1}, "params": {"b": 2}}, id="a query beside it"),
        pytest.param("post", {"data": {"access_token": "mine"}}, id="a token in the form"),
        pytest.param("put", {"data": {"a": 1}}, id="PUT"),
    ],
)
def test_as_app_takes_nothing_but_a_form_for_the_old_api(
    app: Flask, simulator: DingTalkSimulator, method: str, arguments: dict[str, Any]
) -> None:
    """Its token travels in that form; DingTalk is not asked for anything else."""
    with app.app_context(), pytest.raises(TypeError):
        getattr(app.extensions["dingtalk"].as_app, method)("/topapi/v2/user/get", **arguments)
    assert called(simulator) == []


@pytest.mark.parametrize("as_whom", ["as_app", "as_user"])
def test_a_call_outside_of_the_session_that_fails_is_logged(
    app: Flask,
    simulator: DingTalkSimulator,
    token_in_hand: DingTalkToken,
    caplog: pytest.LogCaptureFixture,
    as_whom: str,
) -> None:
    """With its cure: the page that the error becomes in a view says that the log has it."""
    dingtalk = app.extensions["dingtalk"]
    simulator.application.permissions -= {"qyapi_get_member", "Contact.User.Read"}

    def job() -> None:
        if as_whom == "as_user":
            dingtalk.as_user(token_in_hand).get("/v1.0/contact/users/me")
        else:
            dingtalk.as_app.post("/topapi/v2/user/get", data={"userid": "x"})

    with pytest.raises(ConfigurationError):
        in_job(app, job)
    (line,) = [text for text in caplog.messages if text.startswith("DingTalk call failed")]
    missing = "qyapi_get_member" if as_whom == "as_app" else "Contact.User.Read"
    assert missing in line
    assert "Hint: enable the permission" in line
