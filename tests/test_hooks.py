"""``on_login`` and the signals: the site's own word at each sign-in."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import flask_login
import pytest
from flask import (
    Flask,
    Response,
    abort,
    after_this_request,
    flash,
    g,
    get_flashed_messages,
    make_response,
    redirect,
    session,
)
from flask.testing import FlaskClient
from flask.typing import ResponseReturnValue

from flask_dingtalk import (
    DingTalk,
    DingTalkToken,
    DingTalkUser,
    NotPermitted,
    current_dingtalk_user,
    login_failed,
    user_logged_in,
    user_logged_out,
)
from flask_dingtalk.testing import DingTalkSimulator

from .helpers import come_back, copy_browser, sign_in_with, start

#: Flask-Login asks for the time in a way that Python 3.12 advises against.
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")


@pytest.fixture
def dingtalk(app: Flask) -> DingTalk:
    """Take the extension of the site."""
    extension: DingTalk = app.extensions["dingtalk"]
    return extension


def test_on_login_gets_the_user_and_the_token_before_the_session_is_open(
    dingtalk: DingTalk, client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """DingTalk has vouched for them, but nobody is signed in yet."""
    seen: list[Any] = []

    @dingtalk.on_login
    def remember(user: DingTalkUser, token: DingTalkToken) -> None:
        seen.append((user.nick, token.is_expired(), current_dingtalk_user.is_authenticated))

    response = simulator.sign_in(client, "zhang", next="/report")
    assert response.headers["Location"] == "/report"
    assert seen == [("张三", False, False)]


def test_on_login_may_answer_in_place_of_the_redirect(
    dingtalk: DingTalk, client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """A new colleague is welcomed first; they are signed in all the same."""

    @dingtalk.on_login
    def welcome(user: DingTalkUser, token: DingTalkToken) -> ResponseReturnValue:
        return redirect("/welcome")

    assert simulator.sign_in(client, "zhang", next="/report").headers["Location"] == "/welcome"
    assert client.get("/").text == "张三"


def test_an_answer_of_on_login_is_not_cached_and_sends_no_referrer(
    dingtalk: DingTalk, client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Its address holds the code."""

    @dingtalk.on_login
    def welcome(user: DingTalkUser, token: DingTalkToken) -> ResponseReturnValue:
        return "Welcome!", 200

    response = simulator.sign_in(client, "zhang")
    assert response.text == "Welcome!"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Referrer-Policy"] == "no-referrer"


def test_on_login_may_refuse_by_aborting(
    dingtalk: DingTalk, client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Then nobody is signed in."""

    @dingtalk.on_login
    def refuse(user: DingTalkUser, token: DingTalkToken) -> None:
        abort(403)

    assert simulator.sign_in(client, "zhang").status_code == 403
    assert client.get("/").text == "nobody"


def test_on_login_may_refuse_with_an_error_of_ours(
    dingtalk: DingTalk, client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """With its page."""

    @dingtalk.on_login
    def refuse(user: DingTalkUser, token: DingTalkToken) -> None:
        raise NotPermitted("no account here")

    response = simulator.sign_in(client, "zhang")
    assert (response.status_code, "not_permitted" in response.text) == (403, True)


def test_an_error_in_on_login_leaves_nobody_half_signed_in(
    app: Flask, dingtalk: DingTalk, simulator: DingTalkSimulator
) -> None:
    """It is the site's bug, and the visitor stays who they were."""
    app.testing = False
    heard: list[Any] = []

    @dingtalk.on_login
    def broken(user: DingTalkUser, token: DingTalkToken) -> None:
        raise ZeroDivisionError

    def listen(sender: Flask, error: Any) -> None:
        heard.append(type(error))

    client = app.test_client()
    state, code = start(client), simulator.authorization_code("zhang")
    with login_failed.connected_to(listen):
        assert come_back(client, state, code).status_code == 500
    assert client.get("/").text == "nobody"
    assert come_back(client, state, code).status_code == 400
    assert heard == [ZeroDivisionError]


def test_several_functions_are_asked_in_turn_and_the_first_answer_is_sent(
    dingtalk: DingTalk, client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Each has its say, so that a later one may still refuse."""
    asked: list[int] = []
    for number in (1, 2, 3):

        @dingtalk.on_login
        def answer(
            user: DingTalkUser, token: DingTalkToken, number: int = number
        ) -> ResponseReturnValue | None:
            asked.append(number)
            return None if number == 1 else f"answer {number}"

    assert simulator.sign_in(client, "zhang").text == "answer 2"
    assert asked == [1, 2, 3]


def test_on_login_may_be_async(
    dingtalk: DingTalk, client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """As any view of Flask's."""

    @dingtalk.on_login
    async def welcome(user: DingTalkUser, token: DingTalkToken) -> str:
        return "Welcome!"

    assert simulator.sign_in(client, "zhang").text == "Welcome!"


def test_what_on_login_puts_into_the_session_stays(
    dingtalk: DingTalk, client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The id in the site's own user table, say."""

    @dingtalk.on_login
    def link(user: DingTalkUser, token: DingTalkToken) -> None:
        session["basket"] = [7]

    simulator.sign_in(client, "zhang")
    assert client.get("/basket").json == [7]


def test_loading_the_callback_again_does_not_ask_again(
    dingtalk: DingTalk, client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The sign-in happened once."""
    asked: list[str | None] = []

    @dingtalk.on_login
    def count(user: DingTalkUser, token: DingTalkToken) -> None:
        asked.append(user.nick)

    state, code = start(client), simulator.authorization_code("li")
    come_back(client, state, code)
    come_back(client, state, code)
    assert asked == ["李四"]


def test_the_decorator_returns_the_function(dingtalk: DingTalk) -> None:
    """It stays callable, for tests of the site's own."""

    def function(user: DingTalkUser, token: DingTalkToken) -> None:
        """Do nothing."""

    assert dingtalk.on_login(function) is function


def test_the_signal_of_a_sign_in_finds_the_session_open(
    app: Flask, client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """``user_logged_in``, with user and token; the sender is the app."""
    heard: list[Any] = []

    def listen(sender: Flask, user: DingTalkUser, token: DingTalkToken) -> None:
        heard.append((sender, user.nick, token.is_expired(), current_dingtalk_user.nick))

    with user_logged_in.connected_to(listen):
        simulator.sign_in(client, "zhang")
    assert heard == [(app, "张三", False, "张三")]


def test_a_listener_that_fails_is_no_failed_sign_in(
    app: Flask, client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """It is the site's bug; the user is signed in, and nobody is told otherwise."""
    app.testing = False
    heard: list[Any] = []

    def fail(sender: Flask, **facts: Any) -> None:
        raise ZeroDivisionError

    def listen(sender: Flask, error: Any) -> None:
        heard.append(error)

    with user_logged_in.connected_to(fail), login_failed.connected_to(listen):
        assert simulator.sign_in(client, "zhang").status_code == 500
    assert client.get("/").text == "张三"
    assert heard == []


def test_the_signal_of_a_sign_out_tells_who_it_was(
    app: Flask, client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """``user_logged_out``, and only if there was somebody."""
    heard: list[Any] = []

    def listen(sender: Flask, user: DingTalkUser) -> None:
        heard.append((sender, user.nick, current_dingtalk_user.is_authenticated))

    with user_logged_out.connected_to(listen):
        client.post("/dingtalk/logout")
        simulator.sign_in(client, "zhang")
        client.post("/dingtalk/logout")
    assert heard == [(app, "张三", False)]


def test_a_hook_that_clears_the_session_still_ends_the_sign_in_before(
    app: Flask, dingtalk: DingTalk, client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """No copy of its cookie works any more, and ``user_logged_out`` tells of it."""
    heard: list[str | None] = []

    @dingtalk.on_login
    def clear(user: DingTalkUser, token: DingTalkToken) -> None:
        session.clear()

    def listen(sender: Flask, user: DingTalkUser) -> None:
        heard.append(user.nick)

    simulator.sign_in(client, "zhang")
    cookie = client.get_cookie("session")
    assert cookie is not None
    with user_logged_out.connected_to(listen):
        simulator.sign_in(client, "li")
    copy = app.test_client()
    copy.set_cookie("session", cookie.value)
    assert copy.get("/").text == "nobody"
    assert heard == ["张三"]


def test_a_refusal_by_the_site_counts_as_a_failed_sign_in(
    dingtalk: DingTalk, client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """``login_failed``, with whatever was raised."""
    heard: list[Any] = []

    @dingtalk.on_login
    def refuse(user: DingTalkUser, token: DingTalkToken) -> None:
        abort(410)

    def listen(sender: Flask, error: Any) -> None:
        heard.append(error.code)

    with login_failed.connected_to(listen):
        simulator.sign_in(client, "zhang")
    assert heard == [410]


# --- What a refusal leaves behind: nothing -------------------------------------------------------


class Account(flask_login.UserMixin):  # type: ignore[misc]
    """An account of the site's own, of everybody's."""

    id = "account-of-the-site"


@pytest.fixture
def portal(app: Flask) -> Flask:
    """Build a site whose pages go by its own session keys and by Flask-Login."""
    manager = flask_login.LoginManager(app)
    manager.user_loader(lambda account_id: Account())

    @app.get("/portal")
    def show() -> dict[str, Any]:
        user = flask_login.current_user
        return {
            "account": user.get_id() if user.is_authenticated else None,
            "session": {key: value for key, value in session.items() if key[0] != "_"},
            "permanent": session.permanent,
            "messages": get_flashed_messages(),
        }

    @app.after_request
    def tell_what_g_holds(response: Response) -> Response:
        response.headers["X-In-G"] = ", ".join(name for name in g if name != "_login_user")
        return response

    return app


def leave_everything(user: DingTalkUser, token: DingTalkToken | None) -> None:
    """Do what a hook may do before another one, or its own next line, refuses."""

    @after_this_request
    def set_cookie(response: Response) -> Response:
        response.set_cookie("account", "7")
        return response

    flask_login.login_user(Account(), remember=True)
    session["account"] = 7
    session["basket"].append("pears")
    session["settings"]["theme"]["colours"] = "dark"
    session.pop("language")
    session.permanent = True
    flash("Welcome!")
    g.account = 7


def abort_403() -> Any:
    """Abort, the usual way."""
    abort(403)


def raise_ours() -> Any:
    """Raise an error of this package."""
    raise NotPermitted("no account here")


def have_a_bug() -> Any:
    """Fail."""
    raise ZeroDivisionError


def fill_the_cookie() -> Any:
    """Put more into the session than a cookie holds."""
    session["noise"] = random.Random(1).randbytes(2400).hex()


REFUSALS = [
    pytest.param(abort_403, 403, id="abort"),
    pytest.param(lambda: abort(redirect("/", 401)), 401, id="abort with a response"),
    pytest.param(raise_ours, 403, id="an error of ours"),
    pytest.param(have_a_bug, 500, id="a bug"),
    pytest.param(lambda: ("blocked", 403), 403, id="a tuple"),
    pytest.param(lambda: ({"error": "blocked"}, 409), 409, id="JSON"),
    pytest.param(lambda: Response("blocked", 400), 400, id="a response"),
    pytest.param(lambda: make_response("down", 503), 503, id="a response of the site's fault"),
    pytest.param(fill_the_cookie, 500, id="a session too big for its cookie"),
]


def with_a_session(app: Flask) -> FlaskClient:
    """Open a browser whose visitor has been here for a while."""
    app.testing = False
    client = app.test_client()
    with client.session_transaction() as kept:
        kept.update(basket=["apples"], settings={"theme": {"colours": "light"}}, language="zh")
    return client


@pytest.mark.parametrize(("refuse", "status"), REFUSALS)
@pytest.mark.parametrize("in_another_hook", [False, True], ids=["same hook", "second hook"])
def test_a_refused_sign_in_leaves_nothing_behind(
    portal: Flask,
    dingtalk: DingTalk,
    simulator: DingTalkSimulator,
    refuse: Callable[[], Any],
    status: int,
    in_another_hook: bool,
) -> None:
    """Session, nested or not, Flask-Login's cookie, the site's cookies and ``g`` are as before."""

    @dingtalk.on_login
    def first(user: DingTalkUser, token: DingTalkToken | None) -> Any:
        leave_everything(user, token)
        return None if in_another_hook else refuse()

    @dingtalk.on_login
    def second(user: DingTalkUser, token: DingTalkToken | None) -> Any:
        return refuse() if in_another_hook else None

    client = with_a_session(portal)
    before = client.get("/portal").json
    response = sign_in_with(client, simulator.authorization_code("zhang"))
    assert response.status_code == status
    assert response.headers["X-In-G"] == ""
    cookies = [cookie.partition("=")[0] for cookie in response.headers.getlist("Set-Cookie")]
    assert cookies == ["session"]
    assert client.get("/portal").json == before
    assert client.get("/").text == "nobody"


@pytest.mark.parametrize(("refuse", "status"), REFUSALS)
def test_a_refused_sign_in_leaves_who_was_signed_in_before(
    portal: Flask,
    dingtalk: DingTalk,
    simulator: DingTalkSimulator,
    refuse: Callable[[], Any],
    status: int,
) -> None:
    """And signs nobody out, whatever the hook did to the session."""
    client = with_a_session(portal)
    sign_in_with(client, simulator.authorization_code("zhang"))
    copy = copy_browser(client)

    @dingtalk.on_login
    def begin_afresh(user: DingTalkUser, token: DingTalkToken | None) -> Any:
        session.clear()
        return refuse()

    assert sign_in_with(client, simulator.authorization_code("li")).status_code == status
    for browser in (client, copy):
        assert browser.get("/").text == "张三"


def test_what_hooks_leave_behind_stays_where_nobody_refuses(
    portal: Flask, dingtalk: DingTalk, simulator: DingTalkSimulator
) -> None:
    """Session, cookies and Flask-Login's user: it is the way to link an account."""
    dingtalk.on_login(leave_everything)
    client = with_a_session(portal)
    response = sign_in_with(client, simulator.authorization_code("zhang"))
    cookies = {cookie.partition("=")[0] for cookie in response.headers.getlist("Set-Cookie")}
    assert cookies == {"session", "account", "remember_token"}
    portal_page = client.get("/portal").json
    assert portal_page == {
        "account": "account-of-the-site",
        "session": {
            "account": 7,
            "basket": ["apples", "pears"],
            "settings": {"theme": {"colours": "dark"}},
        },
        "permanent": True,
        "messages": ["Welcome!"],
    }


def test_the_response_that_refuses_keeps_its_own_headers(
    dingtalk: DingTalk, client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """A cookie in it as well: that is what the site answers."""

    @dingtalk.on_login
    def refuse(user: DingTalkUser, token: DingTalkToken | None) -> Response:
        response = make_response("Ask for an account first.", 403)
        response.headers["X-Reason"] = "no account"
        response.set_cookie("asked", "1")
        return response

    response = sign_in_with(client, simulator.authorization_code("zhang"))
    assert (response.status_code, response.text) == (403, "Ask for an account first.")
    assert response.headers["X-Reason"] == "no account"
    assert client.get_cookie("asked") is not None
    assert client.get("/").text == "nobody"


@pytest.mark.parametrize("status", [200, 204, 302, 399])
def test_a_response_below_400_is_no_refusal(
    dingtalk: DingTalk, client: FlaskClient, simulator: DingTalkSimulator, status: int
) -> None:
    """It is sent in place of the redirect."""

    @dingtalk.on_login
    def answer(user: DingTalkUser, token: DingTalkToken | None) -> Response:
        return Response("", status)

    response = sign_in_with(client, simulator.authorization_code("zhang"))
    assert response.status_code == status
    assert client.get("/").text == "张三"


def test_a_later_hook_may_refuse_although_an_earlier_one_has_answered(
    dingtalk: DingTalk, client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Each has its say."""

    @dingtalk.on_login
    def welcome(user: DingTalkUser, token: DingTalkToken | None) -> str:
        return "Welcome!"

    @dingtalk.on_login
    def refuse(user: DingTalkUser, token: DingTalkToken | None) -> ResponseReturnValue:
        return "blocked", 403

    response = sign_in_with(client, simulator.authorization_code("zhang"))
    assert (response.status_code, response.text) == (403, "blocked")
    assert client.get("/").text == "nobody"


def test_a_refusal_by_a_response_counts_as_a_failed_sign_in(
    app: Flask, dingtalk: DingTalk, client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """As one by raising does."""
    heard: list[Any] = []

    def listen(sender: Flask, error: Any) -> None:
        heard.append(error.error_code)

    dingtalk.on_login(lambda user, token: ("blocked", 403))
    with login_failed.connected_to(listen, app):
        sign_in_with(client, simulator.authorization_code("zhang"))
    assert heard == ["not_permitted"]


def test_the_code_of_a_refused_sign_in_is_of_no_use_any_more(
    dingtalk: DingTalk, client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The visitor has to go through DingTalk again."""
    refusals = iter([("blocked", 403), None])
    dingtalk.on_login(lambda user, token: next(refusals))
    state, code = start(client), simulator.authorization_code("zhang")
    assert come_back(client, state, code).status_code == 403
    assert come_back(client, state, code).status_code == 400
    assert client.get("/").text == "nobody"
