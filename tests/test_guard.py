"""``login_required``, ``protect`` and ``current_dingtalk_user``."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import unquote

import flask_login
import pytest
from flask import Blueprint, Flask, Response, render_template_string, session
from flask.testing import FlaskClient
from flask.typing import ResponseReturnValue
from flask.views import MethodView, View

from flask_dingtalk import (
    DingTalk,
    DingTalkError,
    DingTalkUser,
    NotPermitted,
    current_dingtalk_user,
    login_required,
)
from flask_dingtalk.testing import DingTalkSimulator, signed_in

from .helpers import AppFactory, Later, query_of

USER = DingTalkUser(union_id="union-of-zhang", nick="张三", corp_id="ding1")


def guarded_view(app: Flask) -> Callable[..., Any]:
    """Guard a plain view."""

    @login_required
    def view() -> str:
        return "inside"

    return view


def guarded_with_parentheses(app: Flask) -> Callable[..., Any]:
    """Guard a plain view, with parentheses."""

    @login_required()
    def view() -> str:
        return "inside"

    return view


def guarded_async_view(app: Flask) -> Callable[..., Any]:
    """Guard an async view."""

    @login_required
    async def view() -> str:
        return "inside"

    return view


def guarded_class(app: Flask) -> Callable[..., Any]:
    """Guard a class-based view through its decorators."""

    class Page(View):
        decorators = [login_required]  # noqa: RUF012  # as Flask's documents have it

        def dispatch_request(self) -> str:
            return "inside"

    return Page.as_view("page")


def guarded_method_view(app: Flask) -> Callable[..., Any]:
    """Guard a method view through its decorators, with a rule."""

    class Page(MethodView):
        decorators = [login_required(corp_ids=["ding1"])]  # noqa: RUF012

        def get(self) -> str:
            return "inside"

    return Page.as_view("page")


@pytest.fixture(
    params=[
        guarded_view,
        guarded_with_parentheses,
        guarded_async_view,
        guarded_class,
        guarded_method_view,
    ],
    ids=lambda make: make.__name__,
)
def guarded(request: pytest.FixtureRequest, app: Flask) -> FlaskClient:
    """Open a browser on a site whose ``/inside`` is guarded in each possible way."""
    app.add_url_rule("/inside", "inside", request.param(app))
    return app.test_client()


def test_nobody_gets_into_a_guarded_view(guarded: FlaskClient) -> None:
    """A page navigation is sent to sign in and comes back to where it was going."""
    response = guarded.get("/inside?month=5")
    assert response.status_code == 302
    assert response.headers["Location"].startswith("/dingtalk/login?")
    assert query_of(response.headers["Location"]) == {"next": "/inside?month=5"}
    assert "inside" not in response.text


def test_whoever_is_signed_in_gets_into_a_guarded_view(guarded: FlaskClient) -> None:
    """The view itself answers."""
    assert signed_in(guarded, USER).get("/inside").text == "inside"


#: What Chromium sends when it opens a page, in short.
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        pytest.param("GET", {"Sec-Fetch-Mode": "cors", "Accept": "*/*"}, id="fetch"),
        pytest.param("GET", {"Accept": "*/*"}, id="fetch over http"),
        pytest.param("GET", {"Accept": "application/json, text/plain, */*"}, id="axios over http"),
        pytest.param("GET", {"Accept": "image/avif,image/webp,*/*;q=0.8"}, id="image over http"),
        pytest.param("GET", {"Accept": "text/event-stream"}, id="event stream over http"),
        pytest.param("GET", {"Accept": "text/css,*/*;q=0.1"}, id="style sheet over http"),
        pytest.param("GET", {"Accept": "text/html;q=0, */*"}, id="refuses HTML"),
        pytest.param("GET", {"Sec-Fetch-Mode": "cors", "Accept": BROWSER}, id="fetch of a page"),
        pytest.param("GET", {"Sec-Fetch-Mode": "no-cors"}, id="image or script"),
        pytest.param("GET", {"Accept": "application/json"}, id="prefers JSON"),
        pytest.param("GET", {"Accept": "text/html;q=0.5, application/json"}, id="ranks JSON above"),
        pytest.param("GET", {"Accept": "application/*"}, id="any application type"),
        pytest.param("GET", {"Accept": "APPLICATION/JSON"}, id="in capitals"),
        pytest.param("GET", {"Accept": "text/html;q=0.5, */*"}, id="ranks anything above"),
        pytest.param(
            "GET", {"X-Requested-With": "XMLHttpRequest", "Accept": BROWSER}, id="XMLHttpRequest"
        ),
        pytest.param("POST", {}, id="POST"),
        pytest.param("DELETE", {"Sec-Fetch-Mode": "navigate"}, id="DELETE"),
    ],
)
def test_what_is_no_page_navigation_gets_401_as_json(
    app: Flask, method: str, headers: dict[str, str]
) -> None:
    """A script cannot follow a redirect to a sign-in page."""
    app.add_url_rule("/inside", "inside", guarded_view(app), methods=["GET", "POST", "DELETE"])
    response = app.test_client().open("/inside", method=method, headers=headers)
    assert response.status_code == 401
    assert response.mimetype == "application/json"
    assert response.json == {"error": "login_required", "login_url": "/dingtalk/login"}


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        pytest.param("GET", {}, id="says nothing"),
        pytest.param("HEAD", {}, id="HEAD"),
        pytest.param("GET", {"Accept": ""}, id="names no type"),
        pytest.param("GET", {"Sec-Fetch-Mode": "navigate", "Accept": BROWSER}, id="browser"),
        pytest.param("GET", {"Accept": BROWSER}, id="browser over http"),
        pytest.param("HEAD", {"Accept": BROWSER}, id="HEAD of a browser"),
        pytest.param(
            "GET",
            {"X-Requested-With": "com.alibaba.android.rimet", "Accept": BROWSER},
            id="Android web view",
        ),
        pytest.param("GET", {"Accept": "text/html, application/json"}, id="JSON is no better"),
        pytest.param("GET", {"Accept": "TEXT/HTML;level=1"}, id="HTML with a parameter"),
        pytest.param("GET", {"Accept": "application/json;q=0.5, text/html"}, id="HTML is better"),
    ],
)
def test_a_page_navigation_is_redirected(app: Flask, method: str, headers: dict[str, str]) -> None:
    """Whatever kind of browser it is."""
    assert app.test_client().open("/report", method=method, headers=headers).status_code == 302


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("/page/中文?q=%E4%B8%AD&r=a+b", id="Chinese"),
        pytest.param("/page/a%20b%26c%3Fd%23e", id="encoded characters"),
        pytest.param("/page/it's(fine)!*~", id="marks"),
        pytest.param("/page/x?a=1&a=2&b=", id="query"),
    ],
)
def test_a_sign_in_leads_back_to_the_very_address_that_was_asked_for(
    app: Flask, simulator: DingTalkSimulator, address: str
) -> None:
    """With every character as the view saw it."""

    @app.get("/page/<name>")
    @login_required
    def page(name: str) -> str:
        from flask import request

        return f"{name} {sorted(request.args.items(multi=True))}"

    client = app.test_client()
    asked = query_of(client.get(address).headers["Location"])["next"]
    landed = simulator.sign_in(client, "zhang", next=asked).headers["Location"]
    assert client.get(landed).text == client.get(address).text


def test_a_site_below_a_path_sends_back_to_that_path(app: Flask) -> None:
    """SCRIPT_NAME is part of the address."""
    response = app.test_client().get("/report", base_url="http://localhost/portal/")
    assert response.headers["Location"] == "/portal/dingtalk/login?next=/portal/report"


@pytest.mark.parametrize(
    "prefix", ["/<language>/dingtalk", "/钉钉"], ids=["with a variable", "not ASCII"]
)
def test_the_routes_may_stand_below_any_prefix(simulator: DingTalkSimulator, prefix: str) -> None:
    """A redirect to the sign-in finds them."""
    app = Flask(__name__)
    app.config.update(simulator.settings, SECRET_KEY="k")
    dingtalk = DingTalk(app, register_blueprint=False)
    app.register_blueprint(dingtalk.blueprint, url_prefix=prefix, url_defaults={"language": "zh"})
    app.add_url_rule("/inside", "inside", guarded_view(app))
    location = app.test_client().get("/inside").headers["Location"]
    assert query_of(location)["next"] == "/inside"
    assert unquote(location).startswith(prefix.replace("<language>", "zh") + "/login?")


def test_on_a_subdomain_a_redirect_to_the_sign_in_names_the_host_that_has_it() -> None:
    """The routes stand on one host alone."""
    app = Flask(__name__, subdomain_matching=True)
    app.config.update(
        SECRET_KEY="k",
        SERVER_NAME="example.com",
        DINGTALK_CLIENT_ID="ding1",
        DINGTALK_CLIENT_SECRET="s",
    )
    DingTalk(app)
    app.add_url_rule("/inside", "inside", guarded_view(app), subdomain="api")
    response = app.test_client().get("/inside", base_url="http://api.example.com")
    assert response.headers["Location"] == "http://example.com/dingtalk/login?next=/inside"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Accept": "text/html"}, 302, id="a page"),
        pytest.param({"Accept": "*/*"}, 401, id="a script"),
    ],
)
@pytest.mark.parametrize("is_signed_in", [False, True], ids=["nobody", "not admitted"])
@pytest.mark.parametrize("address", ["/guarded", "/refusal"])
def test_the_guards_answers_are_the_apps_and_have_a_body(
    app: Flask, address: str, is_signed_in: bool, headers: dict[str, str], status: int
) -> None:
    """Some frameworks look at the kind of a response, and some servers send none without a body."""
    dingtalk: DingTalk = app.extensions["dingtalk"]
    answers = []

    class OwnResponse(Response):
        pass

    @app.after_request
    def keep(response: Response) -> Response:
        answers.append(response)
        return response

    @app.get("/guarded")
    @login_required(check=lambda user: False)
    def guarded() -> str:
        return "inside"

    @app.get("/refusal")
    def refusal() -> ResponseReturnValue:
        return dingtalk.refusal(check=lambda user: False) or "inside"

    app.response_class = OwnResponse
    client = signed_in(app.test_client(), USER) if is_signed_in else app.test_client()
    answers.clear()
    response = client.get(address, headers=headers)
    assert response.status_code == (403 if is_signed_in else status)
    assert type(answers[0]) is OwnResponse
    assert response.data


@pytest.fixture
def on_two_hosts(simulator: DingTalkSimulator) -> Callable[..., Flask]:
    """Build a site with the routes on one host and a guarded page on another."""

    def build(**settings: object) -> Flask:
        simulator.application.redirect_urls = ["http://example.com/dingtalk/callback"]
        app = Flask(__name__, subdomain_matching=True)
        app.config.update(simulator.settings, SECRET_KEY="k", SERVER_NAME="example.com")
        app.config.update(settings, SESSION_COOKIE_DOMAIN="example.com")
        DingTalk(app)
        app.add_url_rule("/inside", "inside", guarded_view(app), subdomain="api")
        return app

    return build


def test_from_a_trusted_subdomain_a_sign_in_leads_back_to_it(
    on_two_hosts: Callable[..., Flask], simulator: DingTalkSimulator
) -> None:
    """A path alone would be one of the host that has the routes."""
    client = on_two_hosts(DINGTALK_TRUSTED_ORIGINS="http://api.example.com").test_client()
    page = "http://api.example.com/inside?month=5"
    asked = client.get("/inside?month=5", base_url="http://api.example.com").headers["Location"]
    assert query_of(asked)["next"] == page
    state = query_of(client.get(asked, base_url="http://example.com").headers["Location"])["state"]
    landed = client.get(
        "/dingtalk/callback",
        query_string={"state": state, "code": simulator.authorization_code("zhang")},
        base_url="http://example.com",
    )
    assert landed.headers["Location"] == page
    assert client.get("/inside", base_url="http://api.example.com").status_code == 200


def test_from_a_trusted_subdomain_a_sign_out_leads_back_to_it(
    on_two_hosts: Callable[..., Flask],
) -> None:
    """As the sign-in does."""
    app = on_two_hosts(DINGTALK_TRUSTED_ORIGINS="http://api.example.com")

    @app.get("/", subdomain="api")
    def home() -> str:
        return render_template_string("{{ dingtalk_logout_button(next='/bye') }}")

    page = app.test_client().get("/", base_url="http://api.example.com").text
    assert 'action="http://example.com/dingtalk/logout"' in page
    assert 'value="http://api.example.com/bye"' in page


def test_a_subdomain_that_no_sign_in_leads_back_to_is_named(
    on_two_hosts: Callable[..., Flask], caplog: pytest.LogCaptureFixture
) -> None:
    """Once; it has to be trusted first."""
    client = on_two_hosts().test_client()
    for _ in range(2):
        client.get("/inside", base_url="http://api.example.com")
    lines = [line for line in caplog.messages if "DINGTALK_TRUSTED_ORIGINS" in line]
    assert len(lines) == 1
    assert "the routes stand on another host than http://api.example.com" in lines[0]


# --- Rules ---------------------------------------------------------------------------------------


def test_corp_ids_refuses_who_signed_in_as_another_organisation(app: Flask) -> None:
    """With 403, since a redirect would go round in circles."""
    app.add_url_rule("/board", "board", login_required(corp_ids=["ding2"])(lambda: "inside"))
    response = signed_in(app.test_client(), USER).get("/board")
    assert response.status_code == 403
    assert "organisation_not_allowed" in response.text
    assert 'href="/dingtalk/login?next=/board"' in response.text


def test_corp_ids_refuses_who_has_no_organisation_and_tells_the_developer_why(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    """The scope openid yields none."""
    app.add_url_rule("/board", "board", login_required(corp_ids=["ding2"])(lambda: "inside"))
    client = signed_in(app.test_client(), DingTalkUser(union_id="u"))
    assert client.get("/board").status_code == 403
    assert "openid corpid" in caplog.text


def test_check_admits_by_the_sites_own_rule(app: Flask) -> None:
    """It is asked about the user, and true lets them in."""
    only_zhang = login_required(check=lambda user: user.nick == "张三")
    app.add_url_rule("/board", "board", only_zhang(lambda: "inside"))
    assert signed_in(app.test_client(), USER).get("/board").text == "inside"


def test_check_refuses_with_403_in_the_usual_forms(app: Flask) -> None:
    """A page, or JSON for who prefers it."""
    nobody = login_required(check=lambda user: False)
    app.add_url_rule("/board", "board", nobody(lambda: "inside"))
    client = signed_in(app.test_client(), USER)
    page = client.get("/board")
    answer = client.get("/board", headers={"Accept": "application/json"})
    assert (page.status_code, page.mimetype) == (403, "text/html")
    assert answer.status_code == 403
    assert answer.json is not None
    assert answer.json["error"] == "not_permitted"


def test_an_error_in_a_view_is_not_taken_for_the_guards(app: Flask) -> None:
    """The view runs once and its exception is its own."""
    calls: list[int] = []

    @app.get("/broken")
    @login_required
    def broken() -> str:
        calls.append(1)
        raise AttributeError("of the view")

    client = signed_in(app.test_client(), USER)
    with pytest.raises(AttributeError, match="of the view"):
        client.get("/broken")
    assert calls == [1]


def test_the_guard_keeps_the_views_name_and_documentation() -> None:
    """Flask names endpoints by it."""

    @login_required
    def monthly_report() -> None:
        """Show the month."""

    assert monthly_report.__name__ == "monthly_report"
    assert monthly_report.__doc__ == "Show the month."


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        pytest.param({"corp_ids": []}, ValueError, id="empty list"),
        pytest.param({"corp_ids": "ding1"}, TypeError, id="one text"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused_where_it_is_written(
    arguments: dict[str, Any], error: type[Exception]
) -> None:
    """Not at the first request."""
    with pytest.raises(error, match="corp_ids"):
        login_required(**arguments)


def test_an_async_check_is_refused_where_it_is_written() -> None:
    """Its coroutine would be true for everybody."""

    async def nobody(user: DingTalkUser) -> bool:
        return False

    with pytest.raises(TypeError, match="async"):
        login_required(check=nobody)  # type: ignore[arg-type]


class AsyncRule:
    """A rule that has to be awaited, although it does not look so."""

    async def __call__(self, user: DingTalkUser) -> bool:
        """Admit nobody."""
        return False


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize("rule", [AsyncRule(), lambda user: AsyncRule()(user)])
def test_a_check_that_has_to_be_awaited_admits_nobody(app: Flask, rule: Any) -> None:
    """What it answers is true for everybody, so it is an error."""
    app.add_url_rule("/board", "board", login_required(check=rule)(lambda: "inside"))
    with pytest.raises(TypeError, match="await"):
        signed_in(app.test_client(), USER).get("/board")
    gc.collect()


def test_the_log_of_a_refusal_shows_the_address_on_one_line(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever is refused chose it."""

    @app.get("/doc/<path:name>")
    @login_required(check=lambda user: False)
    def doc(name: str) -> str:
        return name

    signed_in(app.test_client(), USER).get("/doc/a%0dCRITICAL forged%1b[2J")
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.isprintable()


def test_a_list_in_place_of_the_view_is_refused_where_it_is_written() -> None:
    """The organisations go by name."""
    with pytest.raises(TypeError, match="corp_ids"):
        login_required(["ding1"])  # type: ignore[call-overload]


# --- protect -------------------------------------------------------------------------------------


@pytest.fixture
def protected(make_app: AppFactory) -> Flask:
    """Build a site of which every view is guarded."""
    app = make_app()
    app.extensions["dingtalk"].protect(app)
    return app


def test_protect_guards_every_view_of_an_app(protected: Flask) -> None:
    """Also those without a decorator."""
    client = protected.test_client()
    assert client.get("/").headers["Location"] == "/dingtalk/login?next=/"
    assert signed_in(client, USER).get("/").text == "张三"


def test_protect_leaves_the_way_to_sign_in_open(
    protected: Flask, simulator: DingTalkSimulator
) -> None:
    """Otherwise nobody could."""
    client = protected.test_client()
    assert simulator.sign_in(client, "zhang", next="/").status_code == 302
    assert client.get("/").text == "张三"


def test_protect_leaves_static_files_open(simulator: DingTalkSimulator, tmp_path: Any) -> None:
    """Style sheets and pictures of an app and of its blueprints."""
    (tmp_path / "style.css").write_text("body {}")
    app = Flask(__name__, static_folder=tmp_path, static_url_path="/static")
    app.config.update(simulator.settings, SECRET_KEY="k")
    blueprint = Blueprint(
        "shop", __name__, static_folder=tmp_path, static_url_path="/static", url_prefix="/shop"
    )
    app.register_blueprint(blueprint)
    DingTalk(app).protect(app)
    client = app.test_client()
    for address in ("/static/style.css", "/shop/static/style.css"):
        with client.get(address) as response:
            assert response.get_data(as_text=True) == "body {}"


def test_protect_guards_a_view_that_only_calls_itself_static(make_app: AppFactory) -> None:
    """The exception is for files, not for a name."""
    app = make_app()
    blueprint = Blueprint("shop", __name__, url_prefix="/shop")
    blueprint.add_url_rule("/static", "static", lambda: "inside")
    app.register_blueprint(blueprint)
    app.extensions["dingtalk"].protect(app)
    assert app.test_client().get("/shop/static").status_code == 302


def test_protect_answers_404_for_what_is_not_there(protected: Flask) -> None:
    """There is no view to guard."""
    assert protected.test_client().get("/nowhere").status_code == 404


def test_protect_lets_a_browser_ask_which_methods_there_are(protected: Flask) -> None:
    """CORS asks without cookies."""
    assert protected.test_client().options("/").status_code == 200


def test_protect_guards_one_blueprint_and_its_children_alone(make_app: AppFactory) -> None:
    """The rest of the site stays as it is."""
    app = make_app()
    admin = Blueprint("admin", __name__, url_prefix="/admin")
    users = Blueprint("users", __name__, url_prefix="/users")
    admin.add_url_rule("/", "index", lambda: "inside")
    users.add_url_rule("/", "index", lambda: "inside")
    admin.register_blueprint(users)
    app.extensions["dingtalk"].protect(admin)
    app.register_blueprint(admin)
    client = app.test_client()
    assert client.get("/").status_code == 200
    assert client.get("/admin/").status_code == 302
    assert client.get("/admin/users/").status_code == 302


def test_protect_takes_the_rules_of_login_required(make_app: AppFactory) -> None:
    """``corp_ids`` and ``check``."""
    app = make_app()
    app.extensions["dingtalk"].protect(app, corp_ids=["ding2"])
    assert signed_in(app.test_client(), USER).get("/").status_code == 403


# --- current_dingtalk_user -----------------------------------------------------------------------


def test_nobody_is_false_and_has_no_identity(app: Flask) -> None:
    """Every field is None, so that templates need not ask first."""
    with app.test_request_context():
        assert not current_dingtalk_user
        assert current_dingtalk_user.is_authenticated is False
        assert current_dingtalk_user.is_anonymous is True
        assert current_dingtalk_user.is_active is False
        assert current_dingtalk_user.get_id() is None
        for name in ("union_id", "nick", "corp_id", "user_id", "phone_number", "employee"):
            assert getattr(current_dingtalk_user, name) is None
        assert repr(current_dingtalk_user) == "<AnonymousUser>"


def test_a_user_of_one_app_is_nobody_in_the_next_that_gets_the_same_request(
    app: Flask, simulator: DingTalkSimulator
) -> None:
    """Several apps may stand in a row and hand a request on."""
    other = Flask("other")
    other.config.update(simulator.settings, SECRET_KEY="another", DINGTALK_CLIENT_ID="dingother")
    DingTalk(other)
    other.add_url_rule("/inside", "inside", guarded_view(other))

    @app.get("/inside")
    def hand_on() -> Any:
        assert current_dingtalk_user.nick == "张三"
        return other

    response = signed_in(app.test_client(), USER).get("/inside")
    assert response.status_code == 302


def test_who_clears_the_session_signs_the_user_out_at_once(app: Flask) -> None:
    """A home-made sign-out takes effect within the request."""

    @app.get("/clear")
    def clear() -> str:
        assert current_dingtalk_user.is_authenticated
        session.clear()
        return str(current_dingtalk_user.is_authenticated)

    assert signed_in(app.test_client(), USER).get("/clear").text == "False"


def test_outside_a_request_nobody_is_signed_in() -> None:
    """A background job may read the proxy."""
    assert not current_dingtalk_user


def test_an_app_without_the_extension_is_told_what_it_forgot() -> None:
    """By name of the call that is missing."""
    app = Flask(__name__)
    app.secret_key = "k"
    with app.test_request_context():
        session["_dingtalk"] = "whatever"
        with pytest.raises(RuntimeError, match="init_app"):
            _ = current_dingtalk_user.nick


def test_the_user_is_in_every_template(app: Flask) -> None:
    """Also in macros that were imported without context."""
    with app.test_request_context():
        assert render_template_string("{{ current_dingtalk_user.is_authenticated }}") == "False"


def test_a_guard_without_the_routes_names_what_is_missing(simulator: DingTalkSimulator) -> None:
    """The blueprint was never registered."""
    app = Flask(__name__)
    app.config.update(simulator.settings, SECRET_KEY="k")
    DingTalk(app, register_blueprint=False)
    app.add_url_rule("/inside", "inside", guarded_view(app))
    response = app.test_client().get("/inside")
    assert response.status_code == 500
    assert "configuration_error" in response.text


# --- Rules that must not fail open ---------------------------------------------------------------


class LikeNumpy:
    """A truth value of another library, such as ``numpy.bool_``."""

    def __bool__(self) -> bool:
        """Be true."""
        return True


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda: (False, "no manager"), id="a tuple"),
        pytest.param(lambda: Response("blocked", 403), id="a response"),
        pytest.param(lambda: NotPermitted("no manager"), id="an exception"),
        pytest.param(lambda: NotPermitted, id="an exception's class"),
        pytest.param(lambda: (admits for admits in [False]), id="a generator"),
        pytest.param(lambda: None, id="nothing"),
        pytest.param(lambda: 1, id="1"),
        pytest.param(lambda: 0, id="0"),
        pytest.param(lambda: "no", id="a text"),
        pytest.param(list, id="an empty list"),
        pytest.param(LikeNumpy, id="a truth value of another library"),
    ],
)
@pytest.mark.parametrize("how", ["login_required", "protect", "refusal"])
def test_a_check_that_answers_neither_true_nor_false_admits_nobody(
    app: Flask, caplog: pytest.LogCaptureFixture, answer: Callable[[], Any], how: str
) -> None:
    """It is the site's mistake: 500, and the log names what came instead."""
    app.testing = False
    dingtalk: DingTalk = app.extensions["dingtalk"]

    def check(user: DingTalkUser) -> Any:
        return answer()

    def board() -> Any:
        return (how == "refusal" and dingtalk.refusal(check=check)) or "inside"

    if how == "protect":
        dingtalk.protect(app, check=check)
    view = login_required(check=check)(board) if how == "login_required" else board
    app.add_url_rule("/board", "board", view)
    response = signed_in(app.test_client(), USER).get("/board")
    assert (response.status_code, "inside" in response.text) == (500, False)
    assert "check has to return True or False" in caplog.text


# --- One truth in one request --------------------------------------------------------------------


def add_truth(app: Flask) -> Flask:
    """Add a guarded page that tells who is here by each way to ask, and an open one."""
    dingtalk: DingTalk = app.extensions["dingtalk"]
    seen_by_the_rule: list[Any] = []

    def remember(user: DingTalkUser) -> bool:
        seen_by_the_rule[:] = [user.nick, user.employee and user.employee.title]
        return True

    def truth() -> dict[str, Any]:
        user, token = current_dingtalk_user, dingtalk.token
        template = (
            "{{ current_dingtalk_user.nick }} "
            "{{ current_dingtalk_user.employee and current_dingtalk_user.employee.title }}"
        )
        return {
            "rule": " ".join(map(str, seen_by_the_rule)),
            "view": f"{user.nick} {user.employee and user.employee.title}",
            "template": render_template_string(template),
            "token is good": token is not None and not token.is_expired(),
            "call": dingtalk.get("/v1.0/contact/users/me").json()["nick"],
        }

    app.add_url_rule("/truth", "truth", login_required(check=remember)(truth))
    app.add_url_rule("/open", "open", truth)
    return app


@pytest.mark.parametrize(
    ("endpoint", "failure"),
    [
        pytest.param("userAccessToken", None, id="all is well"),
        pytest.param("userAccessToken", {"reset": True}, id="the refresh fails"),
        pytest.param(
            "userAccessToken",
            {"status": 400, "code": "invalidParameter.authCode.notFound"},
            id="the refresh is refused",
        ),
        pytest.param("userAccessToken", {"throttled": True}, id="the refresh is throttled"),
        pytest.param("users/me", {"nonsense": True, "times": 1}, id="the profile is nonsense"),
    ],
)
def test_guard_view_template_and_token_agree_after_a_check(
    make_app: AppFactory,
    simulator: DingTalkSimulator,
    later: Later,
    endpoint: str,
    failure: dict[str, Any] | None,
) -> None:
    """Also where parts of the check fail: a new title counts for all of them, or for none."""
    app = add_truth(
        make_app(
            DINGTALK_MEMBERS_ONLY=True,
            DINGTALK_EMPLOYEE_PROFILE=True,
            DINGTALK_REVALIDATE_AFTER=900,
        )
    )
    client = app.test_client()
    simulator.sign_in(client, "zhang")
    membership = simulator.users["zhang"].memberships[simulator.application.corp_id]
    membership.title = "新来的"
    later(901)
    if failure is not None:
        simulator.fail(endpoint, **{"times": None, **failure})
    expected = {
        **dict.fromkeys(("rule", "view", "template"), "张三 新来的"),
        "token is good": True,
        "call": "张三",
    }
    assert client.get("/truth").json == expected
    assert client.get("/open").json == expected
    assert client.get("/truth").json == expected


def test_guard_and_view_agree_on_somebody_who_is_signed_out_by_the_check(
    make_app: AppFactory, simulator: DingTalkSimulator, later: Later
) -> None:
    """What runs after the guard finds nobody, without waiting for the next request."""
    app = make_app(DINGTALK_MEMBERS_ONLY=True, DINGTALK_REVALIDATE_AFTER=900)

    @app.after_request
    def tell(response: Response) -> Response:
        response.headers["X-Who"] = str(current_dingtalk_user.union_id)
        return response

    client = app.test_client()
    simulator.sign_in(client, "zhang")
    simulator.leave("zhang")
    later(901)
    response = client.get("/report")
    assert (response.status_code, response.headers["X-Who"]) == (302, "None")


# --- refusal -------------------------------------------------------------------------------------


@pytest.fixture
def asking(app: Flask) -> Flask:
    """Build a site with a page that asks ``refusal`` for each rule and sends what it returns."""
    dingtalk: DingTalk = app.extensions["dingtalk"]
    rules: dict[str, dict[str, Any]] = {
        "anybody": {},
        "of-another": {"corp_ids": ["ding2"]},
        "nobody": {"check": lambda user: False},
        "all": {"corp_ids": ["ding1"], "check": lambda user: True},
    }

    @app.get("/ask/<rule>")
    def ask(rule: str) -> ResponseReturnValue:
        response = dingtalk.refusal(**rules[rule])
        assert response is None or isinstance(response, app.response_class)
        return "let in" if response is None else response

    return app


def test_refusal_is_none_for_who_may_go_on(asking: Flask) -> None:
    """By each rule that they keep."""
    client = signed_in(asking.test_client(), USER)
    assert [client.get(f"/ask/{rule}").text for rule in ("anybody", "all")] == ["let in"] * 2


def test_refusal_sends_a_navigation_to_sign_in(asking: Flask) -> None:
    """And back to the same page."""
    response = asking.test_client().get("/ask/anybody")
    assert response.status_code == 302
    assert response.headers["Location"] == "/dingtalk/login?next=/ask/anybody"


def test_refusal_tells_a_script_where_the_sign_in_is(asking: Flask) -> None:
    """With 401, as the guard does."""
    response = asking.test_client().get("/ask/anybody", headers={"Accept": "application/json"})
    assert response.status_code == 401
    assert response.json == {"error": "login_required", "login_url": "/dingtalk/login"}


@pytest.mark.parametrize(
    ("rule", "error"), [("of-another", "organisation_not_allowed"), ("nobody", "not_permitted")]
)
def test_refusal_returns_403_and_does_not_raise_it(asking: Flask, rule: str, error: str) -> None:
    """Flask-Admin's ``is_accessible`` would not know what to do with an exception."""
    client = signed_in(asking.test_client(), USER)
    page = client.get(f"/ask/{rule}")
    answer = client.get(f"/ask/{rule}", headers={"Accept": "application/json"})
    assert (page.status_code, page.mimetype) == (403, "text/html")
    assert (answer.status_code, answer.json and answer.json["error"]) == (403, error)


def test_refusal_returns_also_where_flask_is_to_trap_http_errors(asking: Flask) -> None:
    """That setting is for those that are raised."""
    asking.config["TRAP_HTTP_EXCEPTIONS"] = True
    assert signed_in(asking.test_client(), USER).get("/ask/nobody").status_code == 403


def test_refusal_speaks_through_the_sites_own_handler(asking: Flask) -> None:
    """As a raised error would."""

    @asking.errorhandler(DingTalkError)
    def own_page(error: DingTalkError) -> ResponseReturnValue:
        return f"our own page: {error.error_code}", 418

    response = signed_in(asking.test_client(), USER).get("/ask/nobody")
    assert (response.status_code, response.text) == (418, "our own page: not_permitted")


def test_refusal_checks_with_dingtalk_when_that_is_due(
    make_app: AppFactory, simulator: DingTalkSimulator, later: Later
) -> None:
    """Somebody who left is refused."""
    app = make_app(DINGTALK_MEMBERS_ONLY=True, DINGTALK_REVALIDATE_AFTER=900)
    app.add_url_rule("/ask", "ask", lambda: app.extensions["dingtalk"].refusal() or "let in")
    client = app.test_client()
    simulator.sign_in(client, "zhang")
    assert client.get("/ask").text == "let in"
    simulator.leave("zhang")
    later(901)
    assert client.get("/ask").status_code == 302


def test_refusal_guards_from_a_before_request_function(app: Flask) -> None:
    """What it returns there is what the visitor gets."""
    admin = Blueprint("admin", __name__, url_prefix="/admin")
    admin.before_request(
        lambda: app.extensions["dingtalk"].refusal(check=lambda user: user.nick == "张三")
    )
    admin.add_url_rule("/", "index", lambda: "inside")
    app.register_blueprint(admin)
    assert app.test_client().get("/admin/").status_code == 302
    assert signed_in(app.test_client(), USER).get("/admin/").text == "inside"
    other = DingTalkUser(union_id="union-of-li", nick="李四")
    assert signed_in(app.test_client(), other).get("/admin/").status_code == 403


def test_refusal_serves_a_view_that_asks_two_functions(app: Flask) -> None:
    """Flask-Admin asks ``is_accessible``, and then ``inaccessible_callback`` for the response."""
    dingtalk: DingTalk = app.extensions["dingtalk"]

    class AdminView(View):
        def is_accessible(self) -> bool:
            return dingtalk.refusal(corp_ids=["ding1"]) is None

        def inaccessible_callback(self) -> Any:
            return dingtalk.refusal(corp_ids=["ding1"])

        def dispatch_request(self) -> Any:
            return "inside" if self.is_accessible() else self.inaccessible_callback()

    app.add_url_rule("/admin", view_func=AdminView.as_view("admin"))
    assert app.test_client().get("/admin").status_code == 302
    assert signed_in(app.test_client(), USER).get("/admin").text == "inside"
    other = DingTalkUser(union_id="u", corp_id="ding2")
    assert signed_in(app.test_client(), other).get("/admin").status_code == 403


# --- Flask-Login, as docs/how-to/user-table.md has it --------------------------------------------


class Account(flask_login.UserMixin):  # type: ignore[misc]
    """An account in the site's own table."""

    def __init__(self, union_id: str, name: str | None) -> None:
        self.id, self.name = union_id, name


@pytest.fixture
def with_flask_login(make_app: AppFactory) -> Flask:
    """Build a site for members whose pages go by Flask-Login, which asks the guard."""
    app = make_app(DINGTALK_MEMBERS_ONLY=True, DINGTALK_REVALIDATE_AFTER=900)
    dingtalk: DingTalk = app.extensions["dingtalk"]
    accounts: dict[str | None, Account] = {}
    login_manager = flask_login.LoginManager(app)
    login_manager.login_view = "dingtalk.login"
    login_manager.login_message = None

    @dingtalk.on_login
    def keep_account(user: DingTalkUser, token: Any) -> None:
        accounts[user.union_id] = Account(user.union_id, user.nick)

    @login_manager.request_loader  # type: ignore[untyped-decorator]
    def load_account(request: Any) -> Account | None:
        if dingtalk.refusal() is not None:
            return None
        return accounts.get(current_dingtalk_user.union_id)

    @app.get("/account")
    @flask_login.login_required  # type: ignore[untyped-decorator]
    def account() -> str:
        return str(flask_login.current_user.name)

    return app


def test_flask_login_finds_who_signed_in(
    with_flask_login: Flask, simulator: DingTalkSimulator
) -> None:
    """And sends everybody else to sign in."""
    client = with_flask_login.test_client()
    asked = client.get("/account").headers["Location"]
    assert asked == "/dingtalk/login?next=%2Faccount"
    assert simulator.sign_in(client, "zhang", next="/account").headers["Location"] == "/account"
    assert client.get("/account").text == "张三"


def test_flask_login_does_not_know_a_leaver_any_more(
    with_flask_login: Flask, simulator: DingTalkSimulator, later: Later
) -> None:
    """Weeks later DingTalk is asked."""
    client = with_flask_login.test_client()
    simulator.sign_in(client, "zhang")
    simulator.leave("zhang")
    later(29 * 86_400)
    assert client.get("/account").status_code == 302
    assert client.get("/").text == "nobody"


def test_flask_login_does_not_know_who_signed_out(
    with_flask_login: Flask, simulator: DingTalkSimulator
) -> None:
    """There is one sign-out for both."""
    client = with_flask_login.test_client()
    simulator.sign_in(client, "zhang")
    client.post("/dingtalk/logout")
    assert client.get("/account").status_code == 302


def test_a_loader_with_a_rule_may_be_asked_by_the_page_of_its_refusal(app: Flask) -> None:
    """Most base templates show ``current_user``, those of error pages as well."""
    dingtalk: DingTalk = app.extensions["dingtalk"]
    manager = flask_login.LoginManager(app)

    @manager.request_loader  # type: ignore[untyped-decorator]
    def load_account(request: Any) -> Account | None:
        refused = dingtalk.refusal(check=lambda user: user.nick == "李四")
        return None if refused is not None else Account("u", "李四")

    @app.errorhandler(DingTalkError)
    def own_page(error: DingTalkError) -> ResponseReturnValue:
        return render_template_string("{{ current_user.is_authenticated }}"), error.code or 500

    @app.get("/who")
    def who() -> str:
        return str(flask_login.current_user.is_authenticated)

    assert signed_in(app.test_client(), USER).get("/who").text == "False"


# --- exempt --------------------------------------------------------------------------------------


def exempt_function(dingtalk: DingTalk) -> Any:
    """Exempt a function."""
    return dingtalk.exempt(lambda: "open")


def exempt_beneath_another_decorator(dingtalk: DingTalk) -> Any:
    """Exempt a function that another decorator wraps, as that is usually written."""

    @dingtalk.exempt
    def view() -> str:
        return "open"

    @wraps(view)
    def wrapper() -> str:
        return view()

    return wrapper


def exempt_class(dingtalk: DingTalk) -> Any:
    """Exempt a class of methods."""

    @dingtalk.exempt
    class Page(MethodView):
        def get(self) -> str:
            return "open"

    return Page.as_view("page")


def exempt_by_decorators(dingtalk: DingTalk) -> Any:
    """Exempt a class through its ``decorators``."""

    class Page(MethodView):
        decorators = [dingtalk.exempt]  # noqa: RUF012

        def get(self) -> str:
            return "open"

    return Page.as_view("page")


def exempt_as_view(dingtalk: DingTalk) -> Any:
    """Exempt what ``as_view`` returned."""

    class Page(View):
        def dispatch_request(self) -> str:
            return "open"

    return dingtalk.exempt(Page.as_view("page"))


@pytest.mark.parametrize(
    "exempt",
    [
        exempt_function,
        exempt_beneath_another_decorator,
        exempt_class,
        exempt_by_decorators,
        exempt_as_view,
    ],
    ids=lambda make: make.__name__,
)
@pytest.mark.parametrize("place", ["app", "blueprint"])
def test_an_exempt_view_stays_open(
    app: Flask, exempt: Callable[[DingTalk], Any], place: str
) -> None:
    """Beside it, everything is guarded."""
    dingtalk: DingTalk = app.extensions["dingtalk"]
    shop = Blueprint("shop", __name__, url_prefix="/shop")
    shop.add_url_rule("/open", "open", exempt(dingtalk))
    shop.add_url_rule("/closed", "closed", lambda: "inside")
    dingtalk.protect(app if place == "app" else shop)
    app.register_blueprint(shop)
    client = app.test_client()
    assert client.get("/shop/open").text == "open"
    assert client.get("/shop/closed").status_code == 302


def test_an_exempt_class_leaves_its_subclasses_guarded(app: Flask) -> None:
    """A page that inherits from an open one need not be open itself."""
    dingtalk: DingTalk = app.extensions["dingtalk"]

    @dingtalk.exempt
    class Open(MethodView):
        def get(self) -> str:
            return "inside"

    class Closed(Open):
        """Guarded."""

    dingtalk.protect(app)
    app.add_url_rule("/open", view_func=Open.as_view("open"))
    app.add_url_rule("/closed", view_func=Closed.as_view("closed"))
    client = app.test_client()
    assert client.get("/open").text == "inside"
    assert client.get("/closed").status_code == 302


def test_what_is_exempt_from_protect_keeps_its_own_guard(app: Flask) -> None:
    """``login_required`` on it still counts."""
    dingtalk: DingTalk = app.extensions["dingtalk"]
    app.add_url_rule("/both", "both", dingtalk.exempt(login_required(lambda: "inside")))
    dingtalk.protect(app)
    assert app.test_client().get("/both").status_code == 302
