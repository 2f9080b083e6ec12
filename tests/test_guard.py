"""``login_required``, ``protect`` and ``current_dingtalk_user``."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
from flask import Blueprint, Flask, render_template_string, session
from flask.testing import FlaskClient
from flask.views import MethodView, View

from flask_dingtalk import DingTalk, DingTalkUser, current_dingtalk_user, login_required
from flask_dingtalk.testing import DingTalkSimulator, signed_in

from .helpers import AppFactory, query_of

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
