"""The promised names, and what importing them costs."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files

import pytest
from flask import Blueprint, Flask, render_template_string
from flask.testing import FlaskClient

import flask_dingtalk
from flask_dingtalk import DingTalk
from flask_dingtalk.testing import DingTalkSimulator

from .helpers import AppFactory


def test_the_package_exports_what_is_promised_and_nothing_else() -> None:
    """A star import gets just these."""
    assert set(flask_dingtalk.__all__) == {
        "DingTalk", "current_dingtalk_user", "login_required", "DingTalkUser", "DingTalkToken",
        "Employee", "Role",
        "DingTalkError", "InvalidState", "AccessDenied", "InvalidCode", "LoginRequired",
        "OrganisationNotAllowed", "NotPermitted", "ConfigurationError", "RateLimited",
        "DingTalkUnavailable", "DingTalkAPIError", "StoreUnavailable",
        "user_logged_in", "user_logged_out", "login_failed", "token_refreshed",
        "event_received",
    }  # fmt: skip
    assert all(hasattr(flask_dingtalk, name) for name in flask_dingtalk.__all__)


def test_the_extension_takes_what_is_promised() -> None:
    """An app by position, the rest by name."""
    assert str(inspect.signature(DingTalk)) == (
        "(app: 'Flask | None' = None, *, url_prefix: 'str' = '/dingtalk', "
        "register_blueprint: 'bool' = True, store: 'RedisClient | None' = None) -> 'None'"
    )


def test_the_app_knows_its_extension(app: Flask) -> None:
    """Under the promised key, with the promised blueprint and endpoints."""
    dingtalk = app.extensions["dingtalk"]
    assert isinstance(dingtalk, DingTalk)
    assert isinstance(dingtalk.blueprint, Blueprint)
    assert dingtalk.blueprint.name == "dingtalk"
    assert {"dingtalk.login", "dingtalk.callback", "dingtalk.logout"} <= app.view_functions.keys()


def test_the_package_says_that_it_is_typed() -> None:
    """PEP 561."""
    assert files("flask_dingtalk").joinpath("py.typed").is_file()


@pytest.fixture(scope="module")
def loaded_at_start() -> set[str]:
    """Return the modules that there are in a new process after it has built an app."""
    program = """
import sys
from flask import Flask
from flask_dingtalk import DingTalk
app = Flask(__name__)
app.config.update(SECRET_KEY="k", DINGTALK_CLIENT_ID="a", DINGTALK_CLIENT_SECRET="b")
DingTalk(app)
print(*sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module", ["requests", "authlib", "cryptography", "flask_dingtalk.testing"]
)
def test_starting_an_app_does_not_load_what_only_a_sign_in_needs(
    module: str, loaded_at_start: set[str]
) -> None:
    """Every process would spend the time."""
    assert "flask_dingtalk" in loaded_at_start
    assert module not in loaded_at_start


def test_by_the_time_a_callback_comes_everything_is_loaded() -> None:
    """``…/login`` loads it after sending its answer."""
    program = """
import sys
from flask import Flask
from flask_dingtalk import DingTalk
app = Flask(__name__)
app.config.update(SECRET_KEY="k", DINGTALK_CLIENT_ID="a", DINGTALK_CLIENT_SECRET="b")
DingTalk(app)
app.test_client().get("/dingtalk/login").close()
sys.exit(not {"requests", "authlib", "cryptography"} <= sys.modules.keys())
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_fixture_runs_a_simulator(dingtalk_simulator: DingTalkSimulator) -> None:
    """Users ask for it by this name."""
    app = Flask(__name__)
    app.config.update(dingtalk_simulator.settings, SECRET_KEY="k")
    DingTalk(app)
    assert dingtalk_simulator.sign_in(app.test_client(), "zhang", next="/x").location == "/x"


def test_a_button_leads_to_the_sign_in(client: FlaskClient, app: Flask) -> None:
    """It is in the visitor's language and carries ``next``."""

    @app.get("/button")
    def button() -> str:
        return render_template_string("{{ dingtalk_button(next='/report?a=1&b=2') }}")

    english = client.get("/button").text
    chinese = client.get("/button", headers={"Accept-Language": "zh-CN"}).text
    assert 'href="/dingtalk/login?next=/report?a%3D1%26b%3D2"' in english
    assert "Sign in with DingTalk" in english
    assert "使用钉钉登录" in chinese
    assert "<svg" in english


INSIDE = {"User-Agent": "Mozilla/5.0 (Linux; Android 14) AliApp(DingTalk/7.6.50)"}


@pytest.fixture
def page_with_a_button(make_app: AppFactory) -> Callable[..., str]:
    """Return what a page with a button holds, on a site with given settings."""

    def load(headers: dict[str, str], **settings: object) -> str:
        app = make_app(**settings)
        app.add_url_rule(
            "/button", view_func=lambda: render_template_string("{{ dingtalk_button() }}")
        )
        return app.test_client().get("/button", headers=headers).text

    return load


def test_a_button_leads_past_the_sign_in_page(page_with_a_button: Callable[..., str]) -> None:
    """People who use it have already decided to sign in."""
    text = page_with_a_button({}, DINGTALK_LOGIN_PAGE=True)
    assert 'href="/dingtalk/login?via=redirect"' in text


def test_inside_the_client_a_button_leads_to_the_sign_in_there(
    page_with_a_button: Callable[..., str],
) -> None:
    """A sign-in page makes no difference."""
    settings = {"DINGTALK_LOGIN_PAGE": True, "DINGTALK_CORP_ID": "ding1"}
    text = page_with_a_button(INSIDE, DINGTALK_IN_APP_LOGIN=True, **settings)
    assert 'href="/dingtalk/login"' in text
    text = page_with_a_button(INSIDE, **settings)
    assert 'href="/dingtalk/login?via=redirect"' in text


def test_the_way_out_of_the_page_inside_the_client_does_not_lead_back_to_it(
    make_app: AppFactory,
) -> None:
    """If scripts cannot run, the button goes to DingTalk's pages."""
    app = make_app(DINGTALK_IN_APP_LOGIN=True, DINGTALK_CORP_ID="ding1")
    text = app.test_client().get("/dingtalk/login?next=/report", headers=INSIDE).text
    assert 'href="/dingtalk/login?next=/report&amp;via=redirect"' in text
