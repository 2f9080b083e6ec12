"""Mistakes of set-up are named in the log, with what to do about them.

Each test does what somebody did.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from functools import wraps
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Blueprint, Flask, abort, redirect, session, views
from flask.sessions import SecureCookieSessionInterface
from flask.testing import FlaskClient
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_dingtalk import (
    ConfigurationError,
    DingTalk,
    DingTalkToken,
    DingTalkUser,
    login_required,
)
from flask_dingtalk.testing import DingTalkSimulator

from .helpers import AppFactory, query_of, start

CREDENTIALS = {"DINGTALK_CLIENT_ID": "ding1", "DINGTALK_CLIENT_SECRET": "secret-of-ding1"}
DECIDED = CREDENTIALS | {"SECRET_KEY": "k", "DINGTALK_MEMBERS_ONLY": False}
#: A text as long as DingTalk's Client Secrets, and one that looks like its Client IDs.
LONG, SHORT = "Xy0-" * 16, "dingabcdefgh01234567"


def new_app(**config: Any) -> Flask:
    """Make an app that gives no cause for a warning, but is not set up yet."""
    app = Flask(__name__)
    app.config.update(DECIDED | config)
    return app


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged as a warning or worse."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# --- At start: credentials and the environment ---------------------------------------------------


def test_a_name_without_the_prefix_in_the_environment_is_pointed_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``from_prefixed_env`` leaves DINGTALK_CLIENT_ID alone."""
    monkeypatch.setenv("DINGTALK_CLIENT_ID", "ding1")
    app = Flask(__name__)
    app.config.update(SECRET_KEY="k")
    app.config.from_prefixed_env()
    with pytest.raises(ConfigurationError, match="call it FLASK_DINGTALK_CLIENT_ID"):
        DingTalk(app)


def test_an_environment_that_was_not_read_is_pointed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody forgot ``from_prefixed_env``."""
    monkeypatch.setenv("FLASK_DINGTALK_CLIENT_ID", "ding1")
    app = Flask(__name__)
    app.config.update(SECRET_KEY="k")
    with pytest.raises(ConfigurationError, match=r"from_prefixed_env\(\) reads: call it before"):
        DingTalk(app)


@pytest.mark.parametrize("prefix", ["", "FLASK_"])
def test_a_rule_that_is_only_in_the_environment_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise a site would be open to everybody without its developer knowing."""
    monkeypatch.setenv(f"{prefix}DINGTALK_ALLOWED_CORP_IDS", "ding1")
    DingTalk(new_app())
    (warning,) = warnings(caplog)
    assert "DINGTALK_ALLOWED_CORP_IDS is in the environment" in warning
    assert "FLASK_DINGTALK_ALLOWED_CORP_IDS" in warning


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        pytest.param({"DINGTALK_CLIENT_ID": "123456789"}, "AgentId", id="digits alone"),
        pytest.param({"DINGTALK_CLIENT_ID": LONG}, "as long as a Client Secret", id="a secret"),
        pytest.param({"DINGTALK_CLIENT_SECRET": SHORT}, "looks like a Client ID", id="an id"),
        pytest.param({"DINGTALK_CLIENT_SECRET": "ding1"}, "the same text", id="one twice"),
        pytest.param({"DINGTALK_CORP_ID": "ding1"}, "organisation's id", id="a corp id"),
    ],
)
def test_credentials_in_the_wrong_place_are_a_warning_that_shows_none(
    settings: dict[str, str], named: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It says where to copy them from."""
    DingTalk(new_app(**settings))
    (warning,) = warnings(caplog)
    assert named in warning
    assert "凭证与基础信息" in warning
    assert LONG not in warning


def test_real_looking_credentials_are_no_matter(caplog: pytest.LogCaptureFixture) -> None:
    """As the console shows them."""
    DingTalk(new_app(DINGTALK_CLIENT_ID=SHORT, DINGTALK_CLIENT_SECRET=LONG))
    assert warnings(caplog) == []


# --- At start: the redirect URL ------------------------------------------------------------------

CALLBACK = "https://portal.example.com/dingtalk/callback"
ELSEWHERE = "https://portal.example.com/auth/dingtalk"


def mounted(app: Flask) -> None:
    """Set up an app in one line."""
    DingTalk(app)


def mounted_by_hand(app: Flask) -> None:
    """Set up an app and mount the routes then."""
    dingtalk = DingTalk(app, register_blueprint=False)
    app.register_blueprint(dingtalk.blueprint, url_prefix="/dingtalk")


def mounted_first(app: Flask) -> None:
    """Mount the routes before the app is set up."""
    dingtalk = DingTalk(register_blueprint=False)
    app.register_blueprint(dingtalk.blueprint, url_prefix="/dingtalk")
    dingtalk.init_app(app)


WAYS_TO_MOUNT = pytest.mark.parametrize("mount", [mounted, mounted_by_hand, mounted_first])


@WAYS_TO_MOUNT
def test_a_redirect_uri_that_is_no_callback_of_the_app_is_a_warning_at_start(
    mount: Callable[[Flask], None], caplog: pytest.LogCaptureFixture
) -> None:
    """People would get 404 after a complete sign-in."""
    mount(new_app(DINGTALK_REDIRECT_URI=ELSEWHERE))
    (warning,) = warnings(caplog)
    assert "/auth/dingtalk, which is not the callback of this app" in warning
    assert "end with /dingtalk/callback" in warning


@WAYS_TO_MOUNT
@pytest.mark.parametrize("path", ["/dingtalk/callback", "/portal/dingtalk/callback?from=dingtalk"])
def test_a_redirect_uri_that_is_the_callback_is_no_matter(
    mount: Callable[[Flask], None], path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where the site is mounted below a path, and with a query."""
    mount(new_app(DINGTALK_REDIRECT_URI=f"https://portal.example.com{path}"))
    assert warnings(caplog) == []


@pytest.mark.parametrize(("uri", "warned"), [("/acme/auth/callback", 0), ("/acme/callback", 1)])
def test_a_prefix_with_a_variable_counts_as_whatever_it_may_be(
    uri: str, warned: int, caplog: pytest.LogCaptureFixture
) -> None:
    """As a site for several customers has it."""
    DingTalk(
        new_app(DINGTALK_REDIRECT_URI=f"https://portal.example.com{uri}"),
        url_prefix="/<customer>/auth",
    )
    assert len(warnings(caplog)) == warned


# --- At the first request: guards that guard nothing ---------------------------------------------


def first_request(app: Flask) -> None:
    """Ask for a page that does not exist, which is enough."""
    app.test_client().get("/no-such-page")


def test_a_guard_above_the_route_is_named_at_the_first_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The view is open, and nothing else would say so."""
    app = new_app()
    DingTalk(app)

    @login_required
    @app.get("/salaries")
    def salaries() -> str:
        return "all of them"

    @login_required(check=lambda user: False)
    @app.get("/secrets")
    async def secrets() -> str:
        return "no secret"

    first_request(app)
    first_request(app)
    named = warnings(caplog)
    assert len(named) == 2
    assert "'salaries' is open to everybody" in named[0]
    assert "'secrets' is open to everybody" in named[1]
    assert "put the route first" in named[0]
    assert app.test_client().get("/salaries").text == "all of them"


def test_a_guard_above_a_route_of_a_blueprint_is_named_as_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By its endpoint."""
    app = new_app()
    DingTalk(app)
    pages = Blueprint("pages", __name__)

    @login_required
    @pages.get("/salaries")
    def salaries() -> str:
        return "all of them"

    app.register_blueprint(pages)
    first_request(app)
    (warning,) = warnings(caplog)
    assert "'pages.salaries'" in warning


def timed(view: Callable[..., Any]) -> Callable[..., Any]:
    """Put a site's own decorator around a view."""

    @wraps(view)
    def timing(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    return timing


def test_a_guard_above_the_route_is_found_behind_other_decorators(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Frameworks wrap the view before they register it."""
    app = new_app()
    DingTalk(app)

    def route(view: Callable[..., Any]) -> Callable[..., Any]:
        app.add_url_rule("/salaries", "salaries", timed(view))
        return view

    @login_required
    @route
    def salaries() -> str:
        return "all of them"

    first_request(app)
    (warning,) = warnings(caplog)
    assert "'salaries' is open to everybody" in warning


def test_guards_in_their_place_are_no_matter(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever else is around a view, and also if it is mounted twice, open and guarded."""
    app = new_app()
    DingTalk(app)

    def report() -> str:
        return "report"

    class Report(views.MethodView):
        decorators = [login_required]  # noqa: RUF012

        def get(self) -> str:
            return "report"

    app.add_url_rule("/a", view_func=login_required(report))
    app.add_url_rule("/b", "b", timed(login_required(timed(report))))
    app.add_url_rule("/c", "c", login_required(login_required(check=bool)(report)))
    app.add_url_rule("/d", view_func=Report.as_view("d"))
    app.add_url_rule("/summary", "summary", report)
    app.add_url_rule("/e", "e", Report().get)
    first_request(app)
    assert warnings(caplog) == []


def test_a_guard_that_is_made_anew_at_each_request_is_not_kept() -> None:
    """Some frameworks put their decorators around a method each time."""
    import gc
    import weakref

    def view() -> str:
        return "view"

    guards = [weakref.ref(login_required(view)) for _ in range(10)]
    gc.collect()
    assert not any(guard() for guard in guards)


# --- At the first request: a proxy that is not trusted -------------------------------------------

BEHIND_TLS = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}


def test_a_proxy_with_tls_and_no_proxy_fix_is_named_at_the_first_request(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """DingTalk would send people back over plain http."""
    client = make_app(DINGTALK_MEMBERS_ONLY=False).test_client()
    for path in ("/", "/", "/dingtalk/login"):
        client.get(path, headers=BEHIND_TLS)
    (warning,) = warnings(caplog)
    assert "people see this site at https://localhost, but the app sees http://localhost" in warning
    assert "x_proto=1" in warning


def test_a_proxy_is_also_noticed_when_the_first_request_did_not_pass_through_it(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """A health check comes first."""
    client = make_app(DINGTALK_MEMBERS_ONLY=False).test_client()
    client.get("/")
    assert warnings(caplog) == []
    for _ in range(2):
        client.get("/dingtalk/login", headers=BEHIND_TLS)
    assert len(warnings(caplog)) == 1


def test_a_proxy_that_tells_the_host_is_named_by_it(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """Only the proxy knows how people call the site."""
    client = make_app(DINGTALK_MEMBERS_ONLY=False).test_client()
    client.get("/", headers={"X-Forwarded-Host": "portal.example.com, backend"})
    (warning,) = warnings(caplog)
    assert "http://portal.example.com" in warning


def test_a_proxy_that_the_app_trusts_is_no_matter(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """With ProxyFix, the app sees what people see."""
    app = make_app(DINGTALK_MEMBERS_ONLY=False)
    app.wsgi_app = ProxyFix(app.wsgi_app, x_host=1)  # type: ignore[method-assign]
    headers = BEHIND_TLS | {"X-Forwarded-Host": "portal.example.com"}
    location = app.test_client().get("/dingtalk/login", headers=headers).location or ""
    assert query_of(location)["redirect_uri"] == "https://portal.example.com/dingtalk/callback"
    assert warnings(caplog) == []


def test_a_redirect_uri_of_its_own_makes_the_proxy_no_matter(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """Then the sign-in does not depend on what the app sees."""
    client = make_app(DINGTALK_MEMBERS_ONLY=False, DINGTALK_REDIRECT_URI=CALLBACK).test_client()
    client.get("/", headers=BEHIND_TLS)
    assert warnings(caplog) == []


# --- Where a sign-in begins ----------------------------------------------------------------------


def test_localhost_is_sent_to_the_host_of_the_redirect_uri_first(
    make_app: AppFactory, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise the callback would not know the session in which the sign-in began."""
    app = make_app(
        DINGTALK_MEMBERS_ONLY=False,
        DINGTALK_REDIRECT_URI="http://127.0.0.1:5000/dingtalk/callback",
    )
    client = app.test_client()
    sent = client.get("/dingtalk/login?next=/report?a%3D1", base_url="http://localhost:5000")
    assert sent.status_code == 302
    assert (sent.location or "").startswith("http://127.0.0.1:5000/dingtalk/login?next=/report")
    response = simulator.sign_in(client, "zhang", next="/report", base_url="http://localhost:5000")
    assert response.location == "/report"
    assert client.get("/", base_url="http://127.0.0.1:5000").text == "张三"
    assert warnings(caplog) == []


def test_a_visitor_is_sent_to_another_host_once(
    make_app: AppFactory, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """A proxy may write localhost where the browser says 127.0.0.1."""
    app = make_app(
        DINGTALK_MEMBERS_ONLY=False, DINGTALK_REDIRECT_URI="http://127.0.0.1:5000/dingtalk/callback"
    )
    client = app.test_client()
    behind = "http://localhost:5000"  # what the proxy makes of each address
    sent = urlsplit(client.get("/dingtalk/login", base_url=behind).location)
    again = client.get(f"{sent.path}?{sent.query}", base_url=behind)
    assert (again.location or "").startswith(simulator.url)
    state = query_of(again.location or "")["state"]
    query = {"code": simulator.authorization_code("li"), "state": state}
    callback = client.get("/dingtalk/callback", query_string=query, base_url=behind)
    assert callback.status_code == 302
    assert warnings(caplog) == []


@pytest.mark.parametrize(
    "asked",
    ["https://evil.example/x", "//evil.example/x", "/\\evil.example", "http://evil.example:5000/"],
)
def test_the_way_over_another_host_leads_to_no_other_site(make_app: AppFactory, asked: str) -> None:
    """A ``next`` is looked at before it is passed on, and after."""
    app = make_app(DINGTALK_REDIRECT_URI="http://127.0.0.1:5000/dingtalk/callback")
    sent = app.test_client().get(
        "/dingtalk/login", query_string={"next": asked}, base_url="http://localhost:5000"
    )
    assert sent.location == "http://127.0.0.1:5000/dingtalk/login?host=home"


def test_the_way_over_another_host_knows_where_the_site_is_mounted_there(
    make_app: AppFactory,
) -> None:
    """A proxy may have put the site below a path."""
    app = make_app(DINGTALK_REDIRECT_URI="http://127.0.0.1/portal/dingtalk/callback")
    sent = app.test_client().get("/dingtalk/login?next=/report", base_url="http://localhost")
    assert sent.location == "http://127.0.0.1/portal/dingtalk/login?next=/portal/report&host=home"


@pytest.mark.parametrize("page", [False, True])
def test_a_sign_in_page_is_shown_on_the_host_of_the_redirect_uri(
    make_app: AppFactory, page: bool
) -> None:
    """DingTalk's QR code works on no other origin."""
    app = make_app(
        DINGTALK_LOGIN_PAGE=page, DINGTALK_REDIRECT_URI="http://127.0.0.1:5000/dingtalk/callback"
    )
    client = app.test_client()
    sent = client.get("/dingtalk/login", base_url="http://localhost:5000")
    assert (sent.location or "").startswith("http://127.0.0.1:5000/")


def is_answered(client: FlaskClient, base_url: str) -> bool:
    """Tell whether a site with a SERVER_NAME answers another host; before Flask 3.1, none does."""
    is_old = tuple(map(int, version("flask").split(".")[:2])) < (3, 1)
    assert (client.get("/", base_url=base_url).status_code == 404) is is_old
    return not is_old


@pytest.mark.filterwarnings("ignore:Current server name")
def test_a_server_name_is_where_a_sign_in_begins(
    make_app: AppFactory, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Flask derives the callback's address from it, whatever host was visited."""
    simulator.application.redirect_urls.append("http://portal.example.com/dingtalk/callback")
    app = make_app(DINGTALK_MEMBERS_ONLY=False, SERVER_NAME="portal.example.com")
    client, home = app.test_client(), "http://portal.example.com"
    visited = "http://www.example.com" if is_answered(client, "http://www.example.com") else home
    response = simulator.sign_in(client, "zhang", next="/report", base_url=visited)
    assert response.location == "/report"
    assert client.get("/", base_url=home).text == "张三"
    assert warnings(caplog) == []


@pytest.mark.filterwarnings("ignore:Current server name")
def test_hosts_that_share_the_session_cookie_sign_in_where_they_are(
    make_app: AppFactory, simulator: DingTalkSimulator
) -> None:
    """SESSION_COOKIE_DOMAIN says so."""
    app = make_app(SERVER_NAME="portal.example.com", SESSION_COOKIE_DOMAIN="example.com")
    client = app.test_client()
    if is_answered(client, "http://www.example.com"):
        location = client.get("/dingtalk/login", base_url="http://www.example.com").location
        assert (location or "").startswith(simulator.url)


@pytest.mark.parametrize("uri", [CALLBACK, "http://127.0.0.1:5173/dingtalk/callback"])
def test_a_proxy_that_rewrites_the_host_is_no_matter_with_a_redirect_uri(
    make_app: AppFactory, simulator: DingTalkSimulator, uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The browser is at the right host; only the app does not see it."""
    app = make_app(DINGTALK_MEMBERS_ONLY=False, DINGTALK_REDIRECT_URI=uri)
    client = app.test_client()
    location = client.get("/dingtalk/login?next=/report").location or ""
    assert location.startswith(simulator.url)
    query = {"code": simulator.authorization_code("li"), "state": query_of(location)["state"]}
    assert client.get("/dingtalk/callback", query_string=query).location == "/report"
    assert warnings(caplog) == []


def test_a_sign_in_that_came_back_to_another_host_is_named_when_it_fails(
    make_app: AppFactory, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Only then is it certain that it was a mistake."""
    app = make_app(DINGTALK_MEMBERS_ONLY=False, DINGTALK_REDIRECT_URI=CALLBACK)
    client = app.test_client()
    state = query_of(client.get("/dingtalk/login", base_url="http://10.0.0.5").location or "")
    query = {"code": simulator.authorization_code("li"), "state": state["state"]}
    portal = "https://portal.example.com"
    assert client.get("/dingtalk/callback", query_string=query, base_url=portal).status_code == 400
    (warning,) = warnings(caplog)
    assert "began at http://10.0.0.5 and came back to https://portal.example.com" in warning
    assert "under the host of DINGTALK_REDIRECT_URI" in warning


def test_a_host_with_an_underscore_is_named(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """Docker names hosts so, and Werkzeug takes such a host for none."""
    app = make_app(DINGTALK_MEMBERS_ONLY=False)
    response = app.test_client().get("/dingtalk/login", base_url="http://my_app:8000")
    assert response.status_code == 500
    (error,) = warnings(caplog)
    assert "'my_app:8000', is not a host name" in error
    assert "no underscore" in error


def test_a_host_with_an_underscore_works_with_a_redirect_uri(
    make_app: AppFactory, simulator: DingTalkSimulator
) -> None:
    """Then nothing of the sign-in is derived from it."""
    uri = "http://my_app:8000/dingtalk/callback"
    simulator.application.redirect_urls.append(uri)
    app = make_app(DINGTALK_REDIRECT_URI=uri)
    client = app.test_client()
    response = simulator.sign_in(client, "zhang", next="/report", base_url="http://my_app:8000")
    assert response.location == "/report"


@pytest.mark.parametrize("host", ["localhost:99999", "localhost:x", "[::1", "a b", "", "中文"])
def test_a_host_that_is_nonsense_is_no_failure_of_the_site(
    make_app: AppFactory, simulator: DingTalkSimulator, host: str
) -> None:
    """Anybody can send one."""
    app = make_app(DINGTALK_REDIRECT_URI="http://127.0.0.1:5000/dingtalk/callback")
    environ = {"HTTP_HOST": host.encode().decode("latin-1"), "HTTP_ACCEPT": "text/html"}
    response = app.test_client().get("/dingtalk/login", environ_overrides=environ)
    assert response.status_code == 302
    assert (response.location or "").startswith((simulator.url, "http://127.0.0.1:5000/"))
    derived = make_app().test_client().get("/dingtalk/login", environ_overrides=environ)
    assert derived.status_code in (302, 400)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/dingtalk/login"), ("GET", "/dingtalk/callback"), ("POST", "/dingtalk/logout")],
)
def test_a_query_that_is_nonsense_is_no_failure_of_the_site(
    client: FlaskClient, method: str, path: str
) -> None:
    """A client can send raw bytes that do not decode as UTF-8."""
    raw = {"QUERY_STRING": "next=/\xff&state=\xff"}
    response = client.open(path, method=method, environ_overrides=raw)
    assert response.status_code == 400
    assert response.headers["Cache-Control"] == "no-store"


# --- A state that is not known -------------------------------------------------------------------


def callback(client: FlaskClient, query: dict[str, str], **options: Any) -> int:
    """Load the callback; return the status of the answer."""
    return client.get("/dingtalk/callback", query_string=query, **options).status_code


@pytest.fixture
def decided(make_app: AppFactory) -> Flask:
    """Build a site that gives no cause for a warning at start."""
    return make_app(DINGTALK_MEMBERS_ONLY=False)


def test_a_callback_opened_by_hand_is_named(
    decided: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    """With where a sign-in begins."""
    assert callback(decided.test_client(), {}) == 400
    (warning,) = warnings(caplog)
    assert "the callback was opened by itself" in warning
    assert "a sign-in begins at /dingtalk/login" in warning


@pytest.mark.parametrize("state", [{}, {"state": "STATE"}], ids=["no state", "one of its own"])
def test_a_home_page_that_is_the_authorisation_url_is_named(
    decided: Flask,
    simulator: DingTalkSimulator,
    state: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """DingTalk then calls back with a code, although nobody began a sign-in here."""
    query = {"code": simulator.authorization_code("li"), **state}
    assert callback(decided.test_client(), query) == 400
    (warning,) = warnings(caplog)
    assert "the sign-in did not begin at this site" in warning
    assert "网页应用 > 首页地址" in warning
    assert simulator.calls == []


def test_processes_with_different_keys_are_named(
    decided: Flask,
    make_app: AppFactory,
    simulator: DingTalkSimulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A key that each process makes for itself, say."""
    state = start(make_app(DINGTALK_MEMBERS_ONLY=False, SECRET_KEY="another").test_client())
    query = {"code": simulator.authorization_code("li"), "state": state}
    assert callback(decided.test_client(), query) == 400
    (warning,) = warnings(caplog)
    assert "sealed with another key" in warning
    assert "the same SECRET_KEY" in warning


def test_another_app_with_the_same_cookie_name_is_named(
    decided: Flask, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Cookies know no ports: an app on another one replaces this one's."""
    other = Flask("other")
    other.secret_key = "key of the other app"

    @other.get("/")
    def visit() -> str:
        session["visits"] = 1
        return "hello"

    visitor = other.test_client()
    visitor.get("/")
    foreign = visitor.get_cookie("session")
    assert foreign is not None
    client = decided.test_client()
    query = {"code": simulator.authorization_code("li"), "state": start(client)}
    client.set_cookie("session", foreign.value)
    assert callback(client, query) == 400
    (warning,) = warnings(caplog)
    assert "the cookie 'session' that came back cannot be read here" in warning
    assert "SESSION_COOKIE_NAME of its own" in warning


def test_another_app_below_a_path_of_this_host_is_named(
    decided: Flask, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Then the browser sends both cookies."""
    query = {"code": simulator.authorization_code("li"), "state": start(decided.test_client())}
    client = decided.test_client(use_cookies=False)
    assert callback(client, query, headers={"Cookie": "session=one; session=two"}) == 400
    (warning,) = warnings(caplog)
    assert "2 cookies 'session' came back" in warning
    assert "SESSION_COOKIE_NAME of its own" in warning


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        pytest.param({}, "began in one browser and ended in another", id="another browser"),
        pytest.param({"SESSION_COOKIE_SECURE": True}, "SESSION_COOKIE_SECURE is on", id="Secure"),
    ],
)
def test_a_session_cookie_that_does_not_come_back_is_named(
    make_app: AppFactory,
    simulator: DingTalkSimulator,
    settings: dict[str, Any],
    named: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With the cause where the settings show it."""
    client = make_app(DINGTALK_MEMBERS_ONLY=False, **settings).test_client(use_cookies=False)
    query = {"code": simulator.authorization_code("li"), "state": start(client)}
    assert callback(client, query) == 400
    (warning,) = warnings(caplog)
    assert "no session cookie ('session') came back" in warning
    assert named in warning


def test_a_sign_in_that_this_browser_does_not_know_any_more_is_named(
    decided: Flask, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """The sixth sign-in pushed it out."""
    client = decided.test_client()
    query = {"code": simulator.authorization_code("li"), "state": start(client)}
    for _ in range(5):
        start(client)
    assert callback(client, query) == 400
    (warning,) = warnings(caplog)
    assert "more than five sign-ins were begun since" in warning


# --- A long address ------------------------------------------------------------------------------

#: Too long for a state, and not to be compressed.
LONG_TARGET = "/report?q=" + random.Random(1).randbytes(1500).hex()


def test_a_long_address_is_kept_where_there_is_room(
    decided: Flask,
    simulator: DingTalkSimulator,
    session_settings: Callable[[Flask], Flask],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In a session on the server; from a cookie it is lost with a warning."""
    client = session_settings(decided).test_client()
    location = simulator.sign_in(client, "zhang", next=LONG_TARGET).location
    if isinstance(decided.session_interface, SecureCookieSessionInterface):
        assert location == "/"
        (warning,) = warnings(caplog)
        assert "too long to come back from DingTalk" in warning
        assert "server-side sessions" in warning
    else:
        assert location == LONG_TARGET
        assert warnings(caplog) == []
    with client.session_transaction() as kept:
        assert "_dingtalk_targets" not in kept


@pytest.mark.parametrize("session_settings", ["files"], indirect=True)
def test_several_long_addresses_are_kept_apart_and_forgotten_with_their_sign_ins(
    decided: Flask, simulator: DingTalkSimulator, session_settings: Callable[[Flask], Flask]
) -> None:
    """Each leads where it was going; what is pushed out leaves nothing behind."""
    client = session_settings(decided).test_client()
    states = [start(client, next=f"{LONG_TARGET}{number}") for number in range(7)]
    with client.session_transaction() as kept:
        assert kept["_dingtalk_targets"].count(".") == 4
    for number in (3, 6):
        query = {"code": simulator.authorization_code("li"), "state": states[number]}
        answer = client.get("/dingtalk/callback", query_string=query)
        assert answer.location == f"{LONG_TARGET}{number}"
    client.post("/dingtalk/logout")
    with client.session_transaction() as kept:
        assert not [key for key in kept if key.startswith("_dingtalk")]


def test_an_address_that_no_server_takes_is_ignored_with_a_warning(
    decided: Flask, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not passed over in silence."""
    location = simulator.sign_in(decided.test_client(), "zhang", next="/" + "x" * 9000).location
    assert location == "/"
    (warning,) = warnings(caplog)
    assert "a next of 9001 characters is ignored" in warning


# --- A record that is cut, and a hook that sends people elsewhere --------------------------------


def test_whatever_a_cookie_has_no_room_for_is_named(
    make_app: AppFactory, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Also what DingTalk sends beyond the fields of Employee."""
    membership = simulator.users["zhang"].memberships[simulator.application.corp_id]
    membership.extension = random.Random(2).randbytes(900).hex()
    simulator.application.permissions.add("fieldEmail")
    client = make_app(DINGTALK_MEMBERS_ONLY=True, DINGTALK_EMPLOYEE_PROFILE=True).test_client()
    simulator.sign_in(client, "zhang")
    (warning,) = warnings(caplog)
    assert "no room for" in warning
    assert "extension" in warning
    assert "leader_in_dept" in warning
    assert "server-side sessions" in warning


def test_a_hook_may_send_people_elsewhere_and_knows_where_they_wanted_to_go(
    decided: Flask, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says where the hook sent them."""
    dingtalk: DingTalk = decided.extensions["dingtalk"]

    @dingtalk.on_login
    def ask_for_the_account(user: DingTalkUser, token: DingTalkToken | None) -> None:
        abort(redirect(f"/bind?next={dingtalk.next_url}"))

    client = decided.test_client()
    response = simulator.sign_in(client, "zhang", next="/report")
    assert (response.status_code, response.location) == (302, "/bind?next=/report")
    assert client.get("/").text == "nobody"
    assert warnings(caplog) == ["DingTalk sign-in failed: the site answered 302 to /bind"]
    with decided.test_request_context("/"):
        assert dingtalk.next_url is None
    assert dingtalk.next_url is None


def test_a_hook_finds_the_landing_page_where_nobody_asked_for_another(
    make_app: AppFactory, simulator: DingTalkSimulator
) -> None:
    """DINGTALK_LOGIN_REDIRECT, below the mount."""
    app = make_app(DINGTALK_LOGIN_REDIRECT="/welcome")
    seen: list[str | None] = []
    dingtalk: DingTalk = app.extensions["dingtalk"]
    dingtalk.on_login(lambda user, token: seen.append(dingtalk.next_url))
    simulator.sign_in(app.test_client(), "zhang", base_url="http://localhost/portal/")
    assert seen == ["/portal/welcome"]
