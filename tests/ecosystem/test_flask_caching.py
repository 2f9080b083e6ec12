"""Beside Flask-Caching, no page of one person is shown to another one, whatever the order."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest
from flask import Flask, render_template_string
from flask_caching import Cache

from flask_dingtalk import DingTalk, current_dingtalk_user, login_required
from flask_dingtalk.testing import DingTalkSimulator

from ..helpers import SECRET_KEY
from .conftest import Build
from .walk import InProcess, sign_in, sign_out


@pytest.fixture
def cache(simulator: DingTalkSimulator) -> Cache:
    """Return the cache of a site."""
    app = Flask("site")
    app.config.update(simulator.settings, SECRET_KEY=SECRET_KEY, DINGTALK_MEMBERS_ONLY=False)
    DingTalk(app)
    return Cache(app, config={"CACHE_TYPE": "SimpleCache"})


def test_with_the_person_in_the_key_everybody_gets_their_own_page(
    documented: Build, simulator: DingTalkSimulator
) -> None:
    """As the page has it; and the guard is asked each time."""
    app, _ = documented("with_flask_caching.py")
    zhang, li = InProcess(app.test_client()), InProcess(app.test_client())
    sign_in(zhang, simulator, "zhang")
    sign_in(li, simulator, "li")
    for _ in range(2):
        assert zhang.get("/report").text == "Report for 张三"
        assert li.get("/report").text == "Report for 李四"
    sign_out(zhang)
    assert zhang.get("/report").status == 302
    assert li.get("/menu").text == "Rice"


def shared_page(cache: Cache) -> Callable[[], str]:
    """Show a page without a guard that shows the person, kept for everybody."""
    return cache.cached(60)(lambda: f"Hello {current_dingtalk_user.nick or 'visitor'}")


def shared_page_below_the_guard(cache: Cache) -> Callable[[], str]:
    """Guard a page that shows the person and is kept for everybody."""
    return login_required(cache.cached(60)(lambda: current_dingtalk_user.nick))


def shared_fragment(cache: Cache) -> Callable[[], str]:
    """Keep a part of a page for everybody."""
    text = "{% cache 60, 'head' %}{{ current_dingtalk_user.nick }}{% endcache %}"
    return lambda: render_template_string(text)


def shared_function(cache: Cache) -> Callable[[], str]:
    """Keep for everybody what a function finds out about the person."""

    @cache.memoize(60)
    def profile(detail: str) -> Any:
        dingtalk: DingTalk = cache.app.extensions["dingtalk"]
        return dingtalk.get("/v1.0/contact/users/me").json()["nick"]

    return lambda: profile("nick")


def page_of_a_person(cache: Cache) -> Callable[[], str]:
    """Show a page whose path, and with it its key, holds somebody's id by chance."""
    return cache.cached(60)(lambda: f"{current_dingtalk_user.nick} looks at this")


@pytest.mark.parametrize(
    "kind",
    [
        shared_page,
        shared_page_below_the_guard,
        shared_fragment,
        shared_function,
        page_of_a_person,
    ],
)
def test_what_shows_one_person_is_not_kept_for_others(
    cache: Cache,
    simulator: DingTalkSimulator,
    kind: Callable[[Cache], Callable[[], str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is refused at its first request; the log says what to do."""
    path = f"/of/{simulator.users['zhang'].union_id}"
    cache.app.add_url_rule(path, "view", kind(cache))
    cache.app.add_url_rule("/report", "report", login_required(lambda: current_dingtalk_user.nick))
    zhang, li = InProcess(cache.app.test_client()), InProcess(cache.app.test_client())
    sign_in(zhang, simulator, "zhang")
    sign_in(li, simulator, "li")
    for browser, nick in ((zhang, "张三"), (li, "李四"), (zhang, "张三")):
        answer = browser.get(path)
        assert answer.status == 500
        assert nick not in answer.text
    assert "Let the cache key hold current_dingtalk_user.union_id" in caplog.text


def test_what_a_function_is_given_may_be_the_key(
    cache: Cache, simulator: DingTalkSimulator
) -> None:
    """One that is kept by its arguments, with the person among them."""
    dingtalk: DingTalk = cache.app.extensions["dingtalk"]

    @cache.memoize(60)
    def profile(union_id: str) -> Any:
        return dingtalk.get("/v1.0/contact/users/me").json()["nick"]

    @cache.app.get("/report")
    @login_required
    def report() -> str:
        return str(profile(current_dingtalk_user.union_id))

    zhang, li = InProcess(cache.app.test_client()), InProcess(cache.app.test_client())
    sign_in(zhang, simulator, "zhang")
    sign_in(li, simulator, "li")
    simulator.calls.clear()
    assert [each.get("/report").text for each in (zhang, li)] == ["张三", "李四"]
    assert simulator.calls == []


def test_a_part_of_a_page_may_vary_on_the_person(
    cache: Cache, simulator: DingTalkSimulator
) -> None:
    """As Flask-Caching's tag has it."""
    text = (
        "{% cache 60, 'head', current_dingtalk_user.union_id %}"
        "{{ current_dingtalk_user.nick }}{% endcache %}"
    )
    view = login_required(lambda: render_template_string(text))
    cache.app.add_url_rule("/report", "report", view)
    zhang, li = InProcess(cache.app.test_client()), InProcess(cache.app.test_client())
    sign_in(zhang, simulator, "zhang")
    sign_in(li, simulator, "li")
    assert [each.get("/report").text for each in (zhang, li)] == ["张三", "李四"]


def test_visitors_without_a_sign_in_share_what_is_kept(cache: Cache) -> None:
    """Whatever a page makes of nobody is the same for everybody."""
    cache.app.add_url_rule("/", "home", shared_page(cache))
    browser = cache.app.test_client()
    assert [browser.get("/").text for _ in range(2)] == ["Hello visitor"] * 2


def guard_below(app: Flask, cache: Cache) -> None:
    """Decorate in the wrong order."""
    app.add_url_rule("/kept", "kept", cache.cached(60)(login_required(lambda: "Report")))


def guard_below_async(app: Flask, cache: Cache) -> None:
    """Decorate an async view in the wrong order, with something in between."""

    @login_required
    async def report() -> str:
        return "Report"

    @wraps(report)
    def between() -> Any:
        return app.ensure_sync(report)()

    app.add_url_rule("/kept", "kept", cache.cached(60)(between))


def guard_by_hand(app: Flask, cache: Cache) -> None:
    """Ask in the view."""
    dingtalk: DingTalk = app.extensions["dingtalk"]
    app.add_url_rule("/kept", "kept", cache.cached(60)(lambda: dingtalk.refusal() or "Report"))


def guard_of_a_person(app: Flask, cache: Cache) -> None:
    """Decorate in the wrong order, with a key for each person."""
    kept = cache.cached(60, make_cache_key=lambda: current_dingtalk_user.union_id or "nobody")
    app.add_url_rule("/kept", "kept", kept(login_required(lambda: "Report")))


@pytest.mark.parametrize("how", [guard_below, guard_below_async, guard_by_hand, guard_of_a_person])
def test_what_a_guard_answers_is_not_kept(
    cache: Cache,
    simulator: DingTalkSimulator,
    how: Callable[[Flask, Cache], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither its yes nor its no, for anybody."""
    app = cache.app
    how(app, cache)
    app.add_url_rule("/report", "report", login_required(lambda: current_dingtalk_user.nick))
    stranger, zhang = InProcess(app.test_client()), InProcess(app.test_client())
    assert stranger.get("/kept").status == 500
    sign_in(zhang, simulator)
    assert zhang.get("/kept").status == 500
    assert stranger.get("/kept").status == 500
    assert "Put @login_required above @cache.cached" in caplog.text


def test_an_async_view_may_be_kept_below_its_guard(
    cache: Cache, simulator: DingTalkSimulator
) -> None:
    """As a plain one."""

    @cache.app.get("/report")
    @login_required
    @cache.cached(60, make_cache_key=lambda: current_dingtalk_user.union_id)
    async def report() -> str:
        return str(current_dingtalk_user.nick)

    browser = InProcess(cache.app.test_client())
    sign_in(browser, simulator)
    assert browser.get("/report").text == "张三"


def test_a_cache_may_ask_whether_to_keep_anything(
    cache: Cache, simulator: DingTalkSimulator
) -> None:
    """What it is told not to keep may be anybody's."""
    dingtalk: DingTalk = cache.app.extensions["dingtalk"]
    kept = cache.cached(60, unless=lambda: True)
    view = kept(login_required(lambda: current_dingtalk_user.nick))
    cache.app.add_url_rule("/report", "report", view)
    shop = cache.cached(60, unless=lambda: dingtalk.refusal() is None)
    cache.app.add_url_rule("/shop", "shop", shop(lambda: current_dingtalk_user.nick or "Welcome"))
    zhang, stranger = InProcess(cache.app.test_client()), InProcess(cache.app.test_client())
    sign_in(zhang, simulator)
    assert zhang.get("/shop").text == "张三"
    assert stranger.get("/shop").text == "Welcome"
    assert zhang.get("/shop").text == "张三"
