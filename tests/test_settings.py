"""Settings that cannot work fail when the app is set up, by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask

from flask_dingtalk import ConfigurationError, DingTalk

from .helpers import AppFactory

CREDENTIALS = {"DINGTALK_CLIENT_ID": "ding1", "DINGTALK_CLIENT_SECRET": "secret-of-ding1"}


def build(**config: Any) -> Flask:
    """Set up an app with these settings, and credentials unless they say otherwise."""
    app = Flask(__name__)
    app.config.update({"SECRET_KEY": "k"} | CREDENTIALS | config)
    DingTalk(app)
    return app


def settings_of(app: Flask) -> Any:
    """Look at what was understood."""
    return app.extensions["_dingtalk_state"].settings


REFUSED = [
    ("DINGTALK_CLIENT_ID", None),
    ("DINGTALK_CLIENT_ID", ""),
    ("DINGTALK_CLIENT_ID", " ding1"),
    ("DINGTALK_CLIENT_ID", "ding 1"),
    ("DINGTALK_CLIENT_ID", "钉钉"),
    ("DINGTALK_CLIENT_ID", b"ding1"),
    ("DINGTALK_CLIENT_SECRET", None),
    ("DINGTALK_CLIENT_SECRET", "two\nlines"),
    ("DINGTALK_CLIENT_SECRET", 1.5),
    ("DINGTALK_CLIENT_SECRET", True),
    ("DINGTALK_SCOPE", "openid,corpid"),
    ("DINGTALK_SCOPE", "openid corpId"),
    ("DINGTALK_SCOPE", "corpid openid"),
    ("DINGTALK_SCOPE", "openid email"),
    ("DINGTALK_SCOPE", ""),
    ("DINGTALK_SCOPE", ["openid"]),
    ("DINGTALK_REDIRECT_URI", "/dingtalk/callback"),
    ("DINGTALK_REDIRECT_URI", "portal.example.com/callback"),
    ("DINGTALK_REDIRECT_URI", "https://portal.example.com/#callback"),
    ("DINGTALK_REDIRECT_URI", "https://user@portal.example.com/"),
    ("DINGTALK_REDIRECT_URI", "https://portal.example.com:port/"),
    ("DINGTALK_REDIRECT_URI", "https://portal example.com/"),
    ("DINGTALK_REDIRECT_URI", "ftp://portal.example.com/"),
    ("DINGTALK_REDIRECT_URI", "https:///callback"),
    ("DINGTALK_REDIRECT_URI", "https://[::1/"),
    ("DINGTALK_CORP_ID", ""),
    ("DINGTALK_CORP_ID", ["ding1"]),
    ("DINGTALK_ORG_TYPE", "all"),
    ("DINGTALK_EXCLUSIVE_LOGIN", "yes please"),
    ("DINGTALK_EXCLUSIVE_LOGIN", 2),
    ("DINGTALK_EXCLUSIVE_CORP_ID", "ding1"),
    ("DINGTALK_ALLOWED_CORP_IDS", []),
    ("DINGTALK_ALLOWED_CORP_IDS", ""),
    ("DINGTALK_ALLOWED_CORP_IDS", " , "),
    ("DINGTALK_ALLOWED_CORP_IDS", [""]),
    ("DINGTALK_ALLOWED_CORP_IDS", [None]),
    ("DINGTALK_ALLOWED_CORP_IDS", {"ding1": True}),
    ("DINGTALK_ALLOWED_CORP_IDS", 7),
    ("DINGTALK_ALLOWED_CORP_IDS", ["ding 1"]),
    ("DINGTALK_LOGIN_REDIRECT", "report"),
    ("DINGTALK_LOGIN_REDIRECT", "//evil.example"),
    ("DINGTALK_LOGIN_REDIRECT", "javascript:alert(1)"),
    ("DINGTALK_LOGOUT_REDIRECT", ""),
    ("DINGTALK_STATE_LIFETIME", 0),
    ("DINGTALK_STATE_LIFETIME", -1),
    ("DINGTALK_STATE_LIFETIME", "ten minutes"),
    ("DINGTALK_STATE_LIFETIME", float("nan")),
    ("DINGTALK_STATE_LIFETIME", float("inf")),
    ("DINGTALK_STATE_LIFETIME", True),
    ("DINGTALK_MEMBERS_ONLY", "perhaps"),
    ("DINGTALK_EMPLOYEE_PROFILE", 3),
    ("DINGTALK_REVALIDATE_AFTER", 0),
    ("DINGTALK_REVALIDATE_AFTER", True),
    ("DINGTALK_REVALIDATE_AFTER", "daily"),
    ("DINGTALK_REVALIDATE_GRACE", -1),
    ("DINGTALK_REVALIDATE_GRACE", False),
    ("DINGTALK_TIMEOUT", 0),
    ("DINGTALK_TIMEOUT", (1, 2, 3)),
    ("DINGTALK_TIMEOUT", (3, None)),
    ("DINGTALK_TIMEOUT", "soon"),
    ("DINGTALK_TIMEOUT", ()),
    ("DINGTALK_TIMEOUT", 1e12),
    ("DINGTALK_CORP_ID", "ding1,ding2"),
    ("DINGTALK_AUTHORIZE_URL", "http://login.dingtalk.com/oauth2/auth"),
    ("DINGTALK_API_BASE_URL", "http://api.dingtalk.com"),
    ("DINGTALK_API_BASE_URL", "http://127.0.0.1.evil.example"),
    ("DINGTALK_API_BASE_URL", "https://api.dingtalk.com?x=1"),
    ("DINGTALK_API_BASE_URL", "api.dingtalk.com"),
    ("DINGTALK_OAPI_BASE_URL", "http://10.0.0.1"),
]


@pytest.mark.parametrize(
    ("name", "value"), REFUSED, ids=[f"{name}={value!a}" for name, value in REFUSED]
)
def test_a_setting_that_cannot_work_is_refused_by_name(name: str, value: Any) -> None:
    """The hint says what would work."""
    with pytest.raises(ConfigurationError, match=name) as caught:
        build(**{name: value})
    assert caught.value.hint


@pytest.mark.parametrize("value", ["se cret", 1.5, "秘密"], ids=ascii)
def test_the_error_does_not_show_a_secret(value: Any) -> None:
    """Errors are logged and quoted in bug reports."""
    with pytest.raises(ConfigurationError) as caught:
        build(DINGTALK_CLIENT_SECRET=value)
    assert str(value) not in str(caught.value)


UNDERSTOOD = [
    ("DINGTALK_CLIENT_SECRET", "client_secret", 1234567890, "1234567890"),
    ("DINGTALK_SCOPE", "scope", "openid corpid", "openid corpid"),
    ("DINGTALK_EXCLUSIVE_LOGIN", "exclusive_login", "True", True),
    ("DINGTALK_EXCLUSIVE_LOGIN", "exclusive_login", "False", False),
    ("DINGTALK_EXCLUSIVE_LOGIN", "exclusive_login", 1, True),
    ("DINGTALK_ALLOWED_CORP_IDS", "allowed_corp_ids", "dinga,dingb", {"dinga", "dingb"}),
    ("DINGTALK_ALLOWED_CORP_IDS", "allowed_corp_ids", " dinga , dingb, ", {"dinga", "dingb"}),
    ("DINGTALK_ALLOWED_CORP_IDS", "allowed_corp_ids", ["dinga"], {"dinga"}),
    ("DINGTALK_ALLOWED_CORP_IDS", "allowed_corp_ids", {"dinga"}, {"dinga"}),
    ("DINGTALK_TIMEOUT", "timeout", [3.05, 10], (3.05, 10)),
    ("DINGTALK_TIMEOUT", "timeout", 5, (5, 5)),
    ("DINGTALK_TIMEOUT", "timeout", "3.05, 10", (3.05, 10)),
    ("DINGTALK_STATE_LIFETIME", "state_lifetime", "300", 300),
    (
        "DINGTALK_API_BASE_URL",
        "api_base_url",
        "https://api.dingtalk.io/",
        "https://api.dingtalk.io",
    ),
    ("DINGTALK_API_BASE_URL", "api_base_url", "http://127.0.0.1:8765", "http://127.0.0.1:8765"),
    ("DINGTALK_API_BASE_URL", "api_base_url", "http://[::1]:8765", "http://[::1]:8765"),
    ("DINGTALK_API_BASE_URL", "api_base_url", "http://localhost:1", "http://localhost:1"),
    ("DINGTALK_REDIRECT_URI", "redirect_uri", "http://portal/cb?x=1", "http://portal/cb?x=1"),
    ("DINGTALK_LOGIN_REDIRECT", "login_redirect", "https://a.example/", "https://a.example/"),
    ("DINGTALK_CORP_ID", "corp_id", None, None),
    ("DINGTALK_MEMBERS_ONLY", "members_only", "true", True),
    ("DINGTALK_REVALIDATE_AFTER", "revalidate_after", 900, 900),
    ("DINGTALK_REVALIDATE_GRACE", "revalidate_grace", 0, 0),
    ("DINGTALK_REVALIDATE_GRACE", "revalidate_grace", "0", 0),
]


@pytest.mark.parametrize(
    ("name", "field", "value", "expected"),
    UNDERSTOOD,
    ids=[f"{name}={value!a}" for name, _, value, _ in UNDERSTOOD],
)
def test_each_form_that_a_setting_may_take_is_understood(
    name: str, field: str, value: Any, expected: Any
) -> None:
    """Python values and those of ``from_prefixed_env`` are accepted."""
    assert getattr(settings_of(build(**{name: value})), field) == expected


def test_settings_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through Flask's own parsing of JSON."""
    environment = {
        "SECRET_KEY": "k",
        "DINGTALK_CLIENT_ID": "ding1",
        "DINGTALK_CLIENT_SECRET": "0123456789",
        "DINGTALK_TIMEOUT": "[1, 2]",
        "DINGTALK_ALLOWED_CORP_IDS": json.dumps(["dinga"]),
        "DINGTALK_EXCLUSIVE_LOGIN": "False",
    }
    for name, value in environment.items():
        monkeypatch.setenv(f"FLASK_{name}", value)
    app = Flask(__name__)
    app.config.from_prefixed_env()
    DingTalk(app)
    settings = settings_of(app)
    assert (settings.client_secret, settings.timeout) == ("0123456789", (1, 2))
    assert (settings.allowed_corp_ids, settings.exclusive_login) == ({"dinga"}, False)


def test_defaults_lead_to_the_real_dingtalk() -> None:
    """As documented."""
    settings = settings_of(build())
    assert settings.authorize_url == "https://login.dingtalk.com/oauth2/auth"
    assert settings.api_base_url == "https://api.dingtalk.com"
    assert settings.oapi_base_url == "https://oapi.dingtalk.com"
    assert (settings.scope, settings.state_lifetime) == ("openid", 600)
    assert (settings.timeout, settings.login_redirect) == ((3.05, 10), "/")


def test_the_repr_of_the_settings_shows_no_secret() -> None:
    """A ``repr`` may be logged."""
    assert "secret-of-ding1" not in repr(settings_of(build()))


def test_sign_in_inside_the_client_needs_an_organisation() -> None:
    """The client issues codes for one organisation."""
    with pytest.raises(ConfigurationError, match=r"DINGTALK_IN_APP_LOGIN needs DINGTALK_CORP_ID"):
        build(DINGTALK_IN_APP_LOGIN=True)
    build(DINGTALK_IN_APP_LOGIN=True, DINGTALK_CORP_ID="ding1")


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        pytest.param({"DINGTALK_SCOPE": "openid corpid"}, "DINGTALK_CORP_ID"),
        pytest.param({"DINGTALK_ALLOWED_CORP_IDS": "ding1"}, "DINGTALK_CORP_ID"),
        pytest.param({"DINGTALK_EXCLUSIVE_LOGIN": True}, "DINGTALK_EXCLUSIVE_CORP_ID"),
    ],
)
def test_a_sign_in_page_without_what_its_qr_code_needs_is_refused(
    settings: dict[str, Any], missing: str
) -> None:
    """DingTalk's script would only say that it failed."""
    with pytest.raises(ConfigurationError, match=f"DINGTALK_LOGIN_PAGE .* wants {missing}"):
        build(DINGTALK_LOGIN_PAGE=True, **settings)
    build(**settings)


def test_a_sign_in_page_for_an_organisation_needs_its_id_alone() -> None:
    """DingTalk's QR code works without ``org_type``."""
    build(DINGTALK_LOGIN_PAGE=True, DINGTALK_ALLOWED_CORP_IDS="ding1", DINGTALK_CORP_ID="ding1")


@pytest.mark.parametrize("name", ["DINGTALK_QR_SCRIPT_URL", "DINGTALK_JSAPI_URL"])
def test_a_script_comes_from_no_address_that_anybody_could_answer(name: str) -> None:
    """The script runs in the site's pages, so it must not come over plain http."""
    with pytest.raises(ConfigurationError, match=name):
        build(**{name: "http://scripts.example.com/script.js"})
    build(**{name: "http://127.0.0.1:8000/script.js"})


def test_an_organisation_to_preselect_has_to_be_an_allowed_one() -> None:
    """Otherwise people would be refused after signing in with it."""
    with pytest.raises(ConfigurationError, match="DINGTALK_CORP_ID"):
        build(DINGTALK_CORP_ID="ding1", DINGTALK_ALLOWED_CORP_IDS=["ding2"])


@pytest.mark.parametrize("value", [False, "false", 0, None])
def test_a_rule_that_is_switched_off_is_no_matter(value: Any) -> None:
    """In each form that a flag may take."""
    build(DINGTALK_IN_APP_LOGIN=value)


def test_a_secret_key_of_digits_is_told_apart_from_none() -> None:
    """``from_prefixed_env`` turns it into a number."""
    with pytest.raises(ConfigurationError, match="number"):
        build(SECRET_KEY=12345678)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        pytest.param("DINGTALK_ALLOWED_CORP_ID", "DINGTALK_ALLOWED_CORP_IDS", id="a letter less"),
        pytest.param("DINGTALK_MEMBER_ONLY", "DINGTALK_MEMBERS_ONLY", id="singular"),
        pytest.param("DINGTALK_REDIRECT_URL", "DINGTALK_REDIRECT_URI", id="another letter"),
        pytest.param("DINGTALK_ONLY_MEMBERS", "DINGTALK_MEMBERS_ONLY", id="another order"),
        pytest.param("DINGTALK_SECRET", "DINGTALK_CLIENT_SECRET", id="a word less"),
        pytest.param("DINGTALK_REVALIDATE", "DINGTALK_REVALIDATE_AFTER", id="no end"),
        pytest.param("DINGTALK_APP_CLIENT_ID", "DINGTALK_CLIENT_ID", id="a word more"),
        pytest.param("DINGTALK_MEMBERSONLY", "DINGTALK_MEMBERS_ONLY", id="words run together"),
    ],
)
def test_a_name_that_resembles_a_setting_is_refused(name: str, meant: str) -> None:
    """The error names the setting that was probably meant."""
    with pytest.raises(ConfigurationError, match=rf"{name} .*{meant} resembles it"):
        build(**{name: "x"})


@pytest.mark.parametrize(
    "name", ["DINGTALK_ROBOT_WEBHOOK", "DINGTALK_AGENT_ID", "DINGTALK_APP_KEY", "DINGTALK_OA_HOST"]
)
def test_any_other_name_is_the_sites_own_business(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A site may have a robot."""
    build(**{name: "x"}, DINGTALK_MEMBERS_ONLY=False)
    assert caplog.text == ""


@pytest.mark.parametrize(
    "settings",
    [
        {"DINGTALK_MEMBERS_ONLY": False},
        {"DINGTALK_MEMBERS_ONLY": True},
        {"DINGTALK_ALLOWED_CORP_IDS": ["ding1"]},
    ],
    ids=["everybody is welcome", "members", "organisations"],
)
def test_a_site_that_decided_who_may_come_in_starts_without_a_warning(
    settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Deciding to admit everybody counts as well."""
    build(**settings)
    assert caplog.text == ""


def test_a_site_that_is_open_to_all_is_told_so_once(caplog: pytest.LogCaptureFixture) -> None:
    """DingTalk stops nobody; the warning names both settings."""
    build()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "DINGTALK_MEMBERS_ONLY" in record.getMessage()
    assert "DINGTALK_ALLOWED_CORP_IDS" in record.getMessage()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"SESSION_COOKIE_SAMESITE": "Strict"}, "Lax"),
        ({"DINGTALK_CLIENT_ID": "123456789"}, "AgentId"),
    ],
    ids=["SameSite=Strict", "digits alone"],
)
def test_a_setting_that_cannot_be_meant_is_a_warning_at_start(
    settings: dict[str, Any], named: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning says what to do."""
    build(**settings, DINGTALK_MEMBERS_ONLY=False)
    assert named in caplog.text


def test_a_failed_set_up_leaves_the_app_untouched() -> None:
    """The next try finds it as it was."""
    app = Flask(__name__)
    app.config.update(SECRET_KEY="k")
    dingtalk = DingTalk()
    with pytest.raises(ConfigurationError):
        dingtalk.init_app(app)
    assert (app.extensions, app.blueprints) == ({}, {})
    app.config.update(CREDENTIALS)
    dingtalk.init_app(app)
    assert app.extensions["dingtalk"] is dingtalk


def test_setting_an_app_up_twice_is_an_error_that_says_so() -> None:
    """Two extensions on one app would conflict."""
    app = build()
    with pytest.raises(RuntimeError, match="before"):
        DingTalk(app)


def test_settings_are_read_once(make_app: AppFactory) -> None:
    """A later change of the config has no effect."""
    app = make_app(DINGTALK_LOGIN_REDIRECT="/a")
    app.config["DINGTALK_SCOPE"] = "nonsense"
    assert "scope=openid&" in app.test_client().get("/dingtalk/login").headers["Location"]


def test_one_object_may_serve_several_apps(make_app: AppFactory) -> None:
    """Each app keeps its own settings."""
    dingtalk = DingTalk()
    apps = []
    for client_id in ("ding1", "ding2"):
        app = Flask(client_id)
        app.config.update(CREDENTIALS, SECRET_KEY="k", DINGTALK_CLIENT_ID=client_id)
        dingtalk.init_app(app)
        apps.append(app)
    for app in apps:
        location = app.test_client().get("/dingtalk/login").headers["Location"]
        assert f"client_id={app.name}&" in location
