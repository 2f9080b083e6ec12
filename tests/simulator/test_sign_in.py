"""`DingTalkSimulator.sign_in` takes a test client through a whole login."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask, redirect, request

from flask_dingtalk.testing import DingTalkSimulator, SimulatorError

from .helpers import CALLBACK, Http


def site(simulator: DingTalkSimulator, **changes: str) -> Flask:
    """Build the smallest site that signs in; its callback answers with its query."""
    app = Flask("site")

    @app.get("/dingtalk/login")
    def login() -> Any:
        parameters = {
            "client_id": simulator.application.client_id,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid",
            "state": request.args.get("next", ""),
            "prompt": "consent",
            **changes,
        }
        return redirect(f"{simulator.url}/oauth2/auth?{urlencode(parameters)}")

    @app.get("/dingtalk/callback")
    def callback() -> Any:
        return {"host": request.host, **request.args}

    @app.get("/plain")
    def plain() -> str:
        return "no redirect"

    return app


def test_callback_receives_code_and_state(http: Http) -> None:
    """The callback gets a code of that person, and the state of the login."""
    simulator = http.simulator
    response = simulator.sign_in(site(simulator).test_client(), "li", next="/report")
    assert response.status_code == 200
    answer = response.get_json()
    assert (answer["host"], answer["state"]) == ("localhost", "/report")
    token = http.user_token(code=answer["authCode"]).json()["accessToken"]
    assert http.me(token).json()["nick"] == "李四"


def test_pages_are_not_recorded_as_calls(http: Http) -> None:
    """Visits of pages are recorded apart from API calls."""
    http.simulator.sign_in(site(http.simulator).test_client(), "li")
    assert http.simulator.calls == []
    visits = [(each.endpoint, each.status) for each in http.simulator.page_visits]
    expected = [("authorize", 200), ("login", 303), ("authorize", 200), ("consent", 302)]
    assert visits == expected


@pytest.mark.parametrize("chosen", [None, 0, 1], ids=["default", "first", "second"])
def test_organisation_is_chosen(http: Http, chosen: int | None) -> None:
    """It is the first one offered unless another one is passed."""
    simulator = http.simulator
    corp_ids = list(simulator.organisations)
    client = site(simulator, scope="openid corpid").test_client()
    corp_id = None if chosen is None else corp_ids[chosen]
    code = simulator.sign_in(client, "zhang", corp_id=corp_id).get_json()["code"]
    assert http.user_token(code=code).json()["corpId"] == corp_ids[chosen or 0]


def test_preselected_organisation_is_followed(http: Http, other: str) -> None:
    """A corpId of the site decides."""
    simulator = http.simulator
    client = site(simulator, scope="openid corpid", corpId=other).test_client()
    code = simulator.sign_in(client, simulator.users["zhang"]).get_json()["code"]
    assert http.user_token(code=code).json()["corpId"] == other


def test_exclusive_login_enters_the_organisation_code(simulator: DingTalkSimulator) -> None:
    """A person in no organisation cannot do that, and the error says so."""
    client = site(simulator, exclusiveLogin="true").test_client()
    assert "code" in simulator.sign_in(client, "wang").get_json()
    simulator.add_user("free", nick="自由人", corp_ids=())
    with pytest.raises(SimulatorError, match="'free' is not in any organisation"):
        simulator.sign_in(client, "free")


def test_person_can_decline(simulator: DingTalkSimulator) -> None:
    """The callback then receives an error."""
    response = simulator.sign_in(site(simulator).test_client(), "li", decline=True)
    assert response.get_json()["error"] == "access_denied"


def test_injected_error_reaches_the_callback(simulator: DingTalkSimulator) -> None:
    """fail("authorize", code=...) sends the browser back at once."""
    simulator.fail("authorize", code="temporarily_unavailable")
    response = simulator.sign_in(site(simulator).test_client(), "li", next="/x")
    answer = response.get_json()
    assert (answer["error"], answer["state"]) == ("temporarily_unavailable", "/x")


def test_application_root_is_respected(simulator: DingTalkSimulator) -> None:
    """A site below a path gets its callback there."""
    app = site(simulator, redirect_uri="http://localhost/app/dingtalk/callback")
    app.config["APPLICATION_ROOT"] = "/app"
    assert "code" in simulator.sign_in(app.test_client(), "li").get_json()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(
            lambda application: setattr(application, "redirect_urls", []),
            "redirect URL is not registered.*redirect_urls.*http://localhost/dingtalk",
            id="redirect-url",
        ),
        pytest.param(
            lambda application: setattr(application, "released", False),
            "not released",
            id="unreleased",
        ),
        pytest.param(
            lambda application: setattr(application, "admits_outsiders", False),
            "王五 is not a member of 示例科技",
            id="outsider",
        ),
    ],
)
def test_refusal_is_quoted(
    simulator: DingTalkSimulator, spoil: Callable[[Any], None], words: str
) -> None:
    """The exception has the text of the page."""
    spoil(simulator.application)
    with pytest.raises(SimulatorError, match=words):
        simulator.sign_in(site(simulator).test_client(), "wang")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        pytest.param("/plain", "answered 200 OK", id="no-redirect"),
        pytest.param("/dingtalk/callback", "simulator.settings", id="other-page"),
        pytest.param("/nothing", "answered 404 NOT FOUND", id="no-page"),
    ],
)
def test_site_that_does_not_redirect_is_reported(
    simulator: DingTalkSimulator, path: str, words: str
) -> None:
    """The exception has the answer of the login view."""
    with pytest.raises(SimulatorError, match=words):
        simulator.sign_in(site(simulator).test_client(), "li", login_path=path)


def test_organisation_that_is_not_offered_is_reported(
    simulator: DingTalkSimulator, own: str
) -> None:
    """The exception names the scope that the site has to ask for."""
    with pytest.raises(SimulatorError, match="openid corpid"):
        simulator.sign_in(site(simulator).test_client(), "li", corp_id=own)


def test_person_who_is_not_offered_is_reported(simulator: DingTalkSimulator, other: str) -> None:
    """A person without an exclusive account cannot use an exclusive login."""
    client = site(simulator, exclusiveLogin="true", exclusiveCorpId=other).test_client()
    with pytest.raises(SimulatorError, match="does not offer 'li'"):
        simulator.sign_in(client, "li")


def test_page_without_a_form_is_reported(simulator: DingTalkSimulator) -> None:
    """The exception has the status of the page."""
    simulator.fail("authorize", status=502)
    with pytest.raises(SimulatorError, match="answered with status 502 and without a form"):
        simulator.sign_in(site(simulator).test_client(), "li")


def https_site(simulator: DingTalkSimulator) -> Flask:
    """Build a site that redirects http to https, as Flask-Talisman does."""
    app = site(simulator, redirect_uri="https://localhost/dingtalk/callback")
    simulator.application.redirect_urls.append("https://localhost/dingtalk/callback")

    @app.before_request
    def force_https() -> Any:
        if request.is_secure:
            return None
        return redirect(request.url.replace("http://", "https://", 1))

    return app


def test_base_url_is_used_for_each_request(simulator: DingTalkSimulator) -> None:
    """A site that insists on https can be logged in to at an https address."""
    client = https_site(simulator).test_client()
    response = simulator.sign_in(client, "li", base_url="https://localhost")
    assert response.request.base_url == "https://localhost/dingtalk/callback"
    assert "code" in response.get_json()


def test_base_url_may_have_a_path(simulator: DingTalkSimulator) -> None:
    """The path of the base URL is the one below which the site is mounted."""
    app = site(simulator, redirect_uri="http://localhost/app/dingtalk/callback")
    response = simulator.sign_in(app.test_client(), "li", base_url="http://localhost/app/")
    assert response.request.root_path == "/app"
    assert "code" in response.get_json()


def test_redirect_to_https_is_explained(simulator: DingTalkSimulator) -> None:
    """Without a base URL, the exception says which one to pass."""
    client = https_site(simulator).test_client()
    with pytest.raises(SimulatorError, match='pass base_url="https://localhost" to sign_in'):
        simulator.sign_in(client, "li")


def test_waiting_page_of_the_callback_is_returned(simulator: DingTalkSimulator) -> None:
    """A callback that answers 503 is not called again."""
    app = site(simulator)
    visits = []

    @app.before_request
    def wait() -> Any:
        if request.path != "/dingtalk/callback":
            return None
        visits.append(request.path)
        return "Please wait.", 503, {"Retry-After": "1", "Refresh": "1"}

    response = simulator.sign_in(app.test_client(), "li")
    assert (response.status_code, response.text) == (503, "Please wait.")
    assert visits == ["/dingtalk/callback"]
