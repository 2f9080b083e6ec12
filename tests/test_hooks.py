"""``on_login`` and the signals: the site's own word at each sign-in."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, abort, redirect, session
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

from .helpers import come_back, start


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
