"""GET /oauth2/auth: what a login link may contain."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from .helpers import CALLBACK, Http, page_refusal


@pytest.mark.parametrize(
    "scope", [pytest.param("openid", id="openid"), pytest.param("openid corpid", id="corpid")]
)
def test_login_takes_two_clicks(http: Http, own: str, scope: str) -> None:
    """Choosing a person and agreeing leads back with code, authCode and state."""
    callback = http.consent("zhang", scope=scope)
    assert set(callback) == {"code", "authCode", "state"}
    assert callback["code"] == callback["authCode"]
    assert callback["state"] == ["s t/ä"]
    token = http.user_token(code=callback["code"][0]).json()
    assert token.get("corpId") == (own if scope == "openid corpid" else None)
    assert http.me(token["accessToken"]).json()["nick"] == "张三"


def test_plus_in_the_scope_is_a_space(http: Http) -> None:
    """The scope may be form-encoded."""
    query = http.query(scope=None) + "&scope=openid+corpid"
    assert http.get(f"/oauth2/auth?{query}").status_code == 200


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "response_type", "scope", "prompt"])
@pytest.mark.parametrize("value", [None, ""], ids=["absent", "empty"])
def test_required_parameters_are_checked(http: Http, name: str, value: str | None) -> None:
    """A parameter that is absent or empty is named on the page."""
    page = http.authorize(**{name: value})
    assert page_refusal(page) == "missing"
    assert name in page.text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("response_type", "token", id="response-type"),
        pytest.param("scope", "openid profile", id="scope"),
        pytest.param("scope", "corpid openid", id="scope-order"),
        pytest.param("scope", "openid+corpid", id="scope-literal-plus"),
        pytest.param("org_type", "all", id="org-type"),
    ],
)
def test_unknown_values_are_refused(http: Http, name: str, value: str) -> None:
    """The page shows a value that is not accepted."""
    page = http.authorize(**{name: value})
    assert page_refusal(page) == "value"
    assert value in page.text


def test_repeated_parameter_is_refused(http: Http) -> None:
    """A parameter must not come twice."""
    assert page_refusal(http.get(f"/oauth2/auth?{http.query()}&state=x")) == "repeated"


def test_prompt_check_can_be_switched_off(http: Http) -> None:
    """With requires_prompt=False, prompt may be missing."""
    http.simulator.application.requires_prompt = False
    assert http.authorize(prompt=None).status_code == 200


def test_who_agreed_once_may_be_spared_the_consent_page(http: Http) -> None:
    """With asks_for_consent_once; not in an organisation that has yet to be chosen."""
    http.simulator.application.asks_for_consent_once = True
    first = http.consent("zhang", state="one")
    answer = http.authorize(state="two")
    assert answer.status_code == 302
    second = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert second["state"] == ["two"]
    assert second["authCode"] != first["authCode"]
    assert http.user_token(code=second["authCode"][0]).status_code == 200
    assert http.authorize(scope="openid corpid").status_code == 200


@pytest.mark.parametrize("prompt", ["login", "login consent", "none"])
def test_any_prompt_does(http: Http, prompt: str) -> None:
    """Only its absence is known to make a difference."""
    assert http.authorize(prompt=prompt).status_code == 200


def test_callback_has_no_state_if_none_was_sent(http: Http) -> None:
    """The state is optional."""
    assert set(http.consent("li", state=None)) == {"code", "authCode"}


@pytest.mark.parametrize(
    ("length", "status"), [pytest.param(1024, 200, id="1K"), pytest.param(1025, 400, id="more")]
)
def test_state_may_have_one_kilobyte(http: Http, length: int, status: int) -> None:
    """A state of 1024 bytes is accepted, a longer one is refused."""
    page = http.authorize(state="x" * length)
    assert page.status_code == status
    if status == 400:
        assert page_refusal(page) == "state"


def test_unknown_application_is_refused(http: Http) -> None:
    """An unknown Client ID ends on a page, and nobody is called back."""
    page = http.authorize(client_id="dingother")
    assert page_refusal(page) == "application"
    assert "900103" in page.text


def test_unreleased_application_is_refused(http: Http) -> None:
    """An unreleased application ends on a page."""
    http.simulator.application.released = False
    assert page_refusal(http.authorize()) == "unreleased"


@pytest.mark.parametrize(
    ("registered", "sent"),
    [
        pytest.param("https://app.example.com/a", "https://app.example.com/b", id="path"),
        pytest.param("https://app.example.com", "https://app.example.com:443/b", id="default"),
        pytest.param("http://127.0.0.1", "http://127.0.0.1:49152/callback", id="loopback"),
        pytest.param("http://[::1]/", "http://[::1]:5000/callback", id="loopback-v6"),
        pytest.param("http://localhost:5000/", "http://localhost:5000/x?y=z", id="port"),
    ],
)
def test_registered_redirect_url_is_accepted(http: Http, registered: str, sent: str) -> None:
    """Scheme, host and port must match; a loopback host without a port allows any port."""
    http.simulator.application.redirect_urls = [registered]
    assert http.authorize(redirect_uri=sent).status_code == 200


@pytest.mark.parametrize(
    ("registered", "sent"),
    [
        pytest.param("https://app.example.com/", "http://app.example.com/", id="scheme"),
        pytest.param("https://app.example.com/", "https://example.com/", id="host"),
        pytest.param("https://app.example.com/", "https://app.example.com:8443/", id="port"),
        pytest.param("http://localhost:5000/", "http://localhost:5001/", id="loopback-port"),
        pytest.param("http://localhost/", "http://127.0.0.1/", id="loopback-name"),
        pytest.param("http://localhost/", "http://localhost@example.com/", id="user"),
        pytest.param("http://localhost/", "http://localhost/#x", id="fragment"),
        pytest.param("http://localhost/", "http://localhost\\@example.com/", id="backslash"),
        pytest.param("http://localhost/", "http://localhost:x/", id="no-port"),
        pytest.param("http://localhost/", "http://[localhost/", id="no-host"),
        pytest.param("http://localhost/", "/dingtalk/callback", id="relative"),
        pytest.param("javascript:alert(1)", "javascript:alert(1)", id="script"),
    ],
)
def test_unregistered_redirect_url_gets_no_redirect(http: Http, registered: str, sent: str) -> None:
    """The page shows what was sent and what is registered."""
    http.simulator.application.redirect_urls = [registered]
    page = http.authorize(redirect_uri=sent)
    assert page_refusal(page) == "redirect_uri"
    assert "Location" not in page.headers
    assert sent in page.text
    assert registered in page.text


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_unregistered_redirect_url_has_dingtalks_words(http: Http, language: str) -> None:
    """The page has the text of DingTalk's own page in both languages."""
    query = http.query(redirect_uri="https://example.com/")
    page = http.get(f"/oauth2/auth?{query}", headers={"Accept-Language": language})
    assert "redirect_uri参数错误" in page.text


def test_query_of_the_redirect_url_is_kept(http: Http) -> None:
    """The redirect URL may have its own query."""
    callback = http.consent("li", redirect_uri=f"{CALLBACK}?tenant=1")
    assert callback["tenant"] == ["1"]
    assert "code" in callback


def test_declining_calls_back_with_an_error(http: Http) -> None:
    """A person who declines goes back with an error and the state."""
    callback = http.consent("li", decision="decline")
    assert callback == {"error": ["access_denied"], "state": ["s t/ä"]}
