"""The frame with the QR code that DTFrameLogin opens."""

from __future__ import annotations

import html
import json
import re
from typing import Any
from urllib.parse import quote

import pytest
import requests

from .helpers import CALLBACK, Http, page_refusal

SCRIPT = "/dingding/h5-dingtalk-login/0.21.0/ddlogin.js"


def open_frame(
    http: Http, embedder: str = "http://localhost", **changes: str | None
) -> requests.Response:
    """Load the frame as the script does."""
    return http.get(f"/oauth2/qr?origin={quote(embedder, safe='')}&{http.query(**changes)}")


def scan(http: Http, page: requests.Response, user: str) -> requests.Response:
    """Submit the form of a page: scan its code, or confirm the login."""
    ticket = re.search(r'name="ticket" value="([^"]+)"', page.text)
    assert ticket is not None, page.text
    action = re.search(r'action="([^"]+)"', page.text)
    assert action is not None
    return http.post(
        html.unescape(action[1]),
        data={"ticket": ticket[1], "person": user, "decision": "agree"},
    )


def posted_message(page: requests.Response) -> tuple[dict[str, Any], str, str] | None:
    """Return message, target origin and number of the messages that a page posts."""
    found = re.search(r'data-message="(.*?)" data-target="(.*?)" data-times="(\d)"', page.text)
    return found and (json.loads(html.unescape(found[1])), found[2], found[3])


def test_script_is_served_to_any_site(http: Http) -> None:
    """The script has the same path as at DingTalk."""
    answer = http.get(SCRIPT)
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "window.DTFrameLogin = " in answer.text


def test_frame_may_be_embedded(http: Http) -> None:
    """Any site may frame it, only its own script runs, and no cookie is set."""
    answer = open_frame(http)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'nonce-")
    assert re.search(r"base-uri 'none'; script-src 'nonce-[\w-]+'; form-action 'self'$", policy)
    assert "Set-Cookie" not in answer.headers


def test_success_is_posted_to_the_page(http: Http) -> None:
    """Callback, code and state go only to the origin of the redirect URL."""
    done = scan(http, scan(http, open_frame(http, state="s t"), "li"), "li")
    posted = posted_message(done)
    assert posted is not None
    message, target, times = posted
    code = message["authCode"]
    assert message == {
        "success": True,
        "redirectUrl": f"{CALLBACK}?code={code}&authCode={code}&state=s%20t",
        "authCode": code,
        "state": "s t",
    }
    assert (target, times) == ("http://localhost", "1")
    token = http.user_token(code=code).json()
    assert "corpId" not in token
    assert http.me(token["accessToken"]).json()["nick"] == "李四"


def test_code_is_for_the_organisation_asked_for(http: Http, own: str) -> None:
    """The code yields the corpId that the page passed."""
    page = open_frame(http, scope="openid corpid", corpId=own, state=None)
    posted = posted_message(scan(http, scan(http, page, "zhang"), "zhang"))
    assert posted is not None
    assert set(posted[0]) == {"success", "redirectUrl", "authCode"}
    assert http.user_token(code=posted[0]["authCode"]).json()["corpId"] == own


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "response_type", "scope", "prompt"])
def test_required_parameters_are_checked(http: Http, name: str) -> None:
    """The page is told the name of a missing parameter, as a text."""
    changes: dict[str, Any] = {name: None}
    page = open_frame(http, **changes)
    assert page_refusal(page) == "missing"
    posted = posted_message(page)
    assert posted is not None
    assert posted[0] == {"success": False, "errorMsg": f"The sign-in link has no {name}."}


def test_organisation_can_be_limited_to_managed_ones(http: Http, own: str) -> None:
    """With org_type=management, only people who manage the organisation may confirm."""
    page = open_frame(http, scope="openid corpid", org_type="management", corpId=own)
    assert page_refusal(scan(http, page, "li")) == "not_member"
    assert posted_message(scan(http, scan(http, page, "zhang"), "zhang")) is not None


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        pytest.param("corpId", {"scope": "openid corpid"}, id="without-corp-id"),
        pytest.param("exclusiveCorpId", {"exclusiveLogin": "true"}, id="without-exclusive"),
    ],
)
def test_frame_needs_more_than_a_link(http: Http, name: str, changes: dict[str, str]) -> None:
    """Organisations need a corpId and exclusive logins an exclusiveCorpId."""
    page = open_frame(http, **changes)
    assert page_refusal(page) == "missing"
    assert f"The sign-in link has no {name}." in page.text


def test_redirect_uri_must_be_encoded_once(http: Http) -> None:
    """An unencoded one is refused, and one encoded twice is not registered."""
    query = http.query(redirect_uri=None)
    page = http.get(f"/oauth2/qr?origin=http%3A%2F%2Flocalhost&{query}&redirect_uri={CALLBACK}")
    assert page_refusal(page) == "unencoded"
    assert page_refusal(open_frame(http, redirect_uri=quote(CALLBACK, safe=""))) == "redirect_uri"


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        pytest.param({"client_id": "x"}, 900103, "应用不存在", id="application"),
        pytest.param(
            {"redirect_uri": "http://localhost:0/"},
            50001,
            "redirect_uri未授权",
            id="redirect-uri",
        ),
    ],
)
def test_known_errors_have_dingtalks_codes(
    http: Http, changes: dict[str, Any], code: int, text: str
) -> None:
    """The page is told an object with DingTalk's code and text."""
    posted = posted_message(open_frame(http, **changes))
    assert posted is not None
    assert posted[0] == {"success": False, "errorCode": code, "errorMsg": text}


@pytest.mark.parametrize("preselected", [False, True], ids=["owner", "preselected"])
def test_outsiders_are_told_11055(http: Http, own: str, preselected: bool) -> None:
    """A person outside the organisation gets DingTalk's code for that."""
    http.simulator.application.admits_outsiders = preselected
    changes = {"scope": "openid corpid", "corpId": own}
    page = scan(http, open_frame(http, **(changes if preselected else {})), "wang")
    posted = posted_message(page)
    assert posted is not None
    assert posted[0] == {
        "success": False,
        "errorCode": 11055,
        "errorMsg": "操作失败，你不在组织内",
    }


@pytest.mark.parametrize(
    "embedder",
    [
        pytest.param("https://localhost", id="scheme"),
        pytest.param("http://127.0.0.1", id="host"),
        pytest.param("http://localhost:5000", id="port"),
        pytest.param("nonsense", id="none"),
        pytest.param("", id="empty"),
    ],
)
def test_wrong_origin_gets_nothing(http: Http, embedder: str) -> None:
    """A hint says why; the page is told neither a code nor an error."""
    page = open_frame(http, embedder)
    assert 'data-hint="origin"' in page.text
    issued = http.simulator.secrets
    done = scan(http, scan(http, page, "li"), "li")
    assert posted_message(done) is None
    assert http.simulator.secrets == issued
    assert posted_message(open_frame(http, embedder, client_id="dingother")) is None


@pytest.mark.parametrize(
    ("callback", "embedder"),
    [
        pytest.param("http://LOCALHOST:80/x", "http://localhost", id="normal"),
        pytest.param("https://localhost:443/x", "https://localhost", id="tls"),
        pytest.param("http://[::1]:5000/x", "http://[::1]:5000", id="v6"),
    ],
)
def test_origins_are_compared_as_browsers_write_them(
    http: Http, callback: str, embedder: str
) -> None:
    """Default ports and capital letters make no difference."""
    http.simulator.application.redirect_urls = [callback]
    page = open_frame(http, embedder, redirect_uri=callback)
    assert "data-hint" not in page.text


def test_code_expires(http: Http) -> None:
    """A code works for three minutes, and the page reloads when they are over."""
    page = open_frame(http)
    expired = re.search(r'data-lifetime="180" data-expired="([^"]+)"', page.text)
    assert expired is not None
    assert "data-expired" in http.get(html.unescape(expired[1])).text
    http.simulator.advance(179)
    confirm = scan(http, page, "li")
    assert "data-expired" not in confirm.text
    http.simulator.advance(1)
    assert "data-expired" in scan(http, confirm, "li").text
    assert "data-expired" in scan(http, page, "li").text


def test_code_works_once(http: Http) -> None:
    """A code that has been confirmed cannot be confirmed again."""
    confirm = scan(http, open_frame(http), "li")
    scan(http, confirm, "li")
    assert "data-expired" in scan(http, confirm, "li").text


def test_only_eligible_people_have_a_phone(http: Http, other: str) -> None:
    """An exclusive login offers and accepts only people of that organisation."""
    page = open_frame(http, exclusiveLogin="true", exclusiveCorpId=other)
    assert ("王五" in page.text, "李四" in page.text) == (True, False)
    assert page_refusal(scan(http, page, "li")) == "form"
    assert page_refusal(scan(http, open_frame(http), "nobody")) == "form"


def test_frame_says_if_nobody_has_an_account(http: Http) -> None:
    """An organisation may have no accounts."""
    http.simulator.add_organisation("dingnew", "新公司")
    page = open_frame(http, exclusiveLogin="true", exclusiveCorpId="dingnew")
    assert "There are no accounts here." in page.text
