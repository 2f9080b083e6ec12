"""A plain HTTP client of the simulator, and what its answers mean."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import requests

from flask_dingtalk.testing import DingTalkSimulator

CALLBACK = "http://localhost/dingtalk/callback"
TOKEN = "x-acs-dingtalk-access-token"
JSON = "application/json;charset=utf-8"


@dataclass
class Http:
    """Speaks plain HTTP with a simulator, both as a site and as a browser."""

    simulator: DingTalkSimulator
    session: requests.Session

    def get(self, path: str, **how: Any) -> requests.Response:
        """Send a GET; redirects are not followed."""
        how = {"timeout": 10, "allow_redirects": False, **how}
        return self.session.get(self.simulator.url + path, **how)

    def post(self, path: str, **how: Any) -> requests.Response:
        """Send a POST; redirects are not followed."""
        how = {"timeout": 10, "allow_redirects": False, **how}
        return self.session.post(self.simulator.url + path, **how)

    # --- As a site ---

    def user_token(self, **changes: Any) -> requests.Response:
        """Call userAccessToken; fields that are None are left out."""
        application = self.simulator.application
        body = {
            "clientId": application.client_id,
            "clientSecret": application.client_secret,
            "grantType": "refresh_token" if "refreshToken" in changes else "authorization_code",
            **changes,
        }
        body = {key: value for key, value in body.items() if value is not None}
        return self.post("/v1.0/oauth2/userAccessToken", json=body)

    def tokens(self, user: str = "zhang", corp_id: str | None = None) -> Any:
        """Log `user` in and return the answer of userAccessToken."""
        code = self.simulator.authorization_code(user, corp_id=corp_id)
        return self.user_token(code=code).json()

    def me(self, token: str, union_id: str = "me") -> requests.Response:
        """Call users/me."""
        return self.get(f"/v1.0/contact/users/{union_id}", headers={TOKEN: token})

    def profile(self, user: str = "zhang") -> Any:
        """Log `user` in and return the profile."""
        return self.me(self.tokens(user)["accessToken"]).json()

    def app_token(self, **changes: str) -> requests.Response:
        """Call accessToken."""
        application = self.simulator.application
        body = {"appKey": application.client_id, "appSecret": application.client_secret}
        return self.post("/v1.0/oauth2/accessToken", json={**body, **changes})

    def oapi(self, path: str, **data: str) -> Any:
        """Call the old API as documented: the token in the query, parameters in a form."""
        query = {"access_token": self.app_token().json()["accessToken"]}
        return self.post(path, params=query, data=data).json()

    # --- As a browser ---

    def query(self, **changes: str | None) -> str:
        """Build the query of a login link; parameters that are None are left out."""
        parameters: dict[str, str | None] = {
            "client_id": self.simulator.application.client_id,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid",
            "state": "s t/ä",
            "prompt": "consent",
            **changes,
        }
        sent = {key: value for key, value in parameters.items() if value is not None}
        return urlencode(sent, quote_via=quote)

    def authorize(self, **changes: str | None) -> requests.Response:
        """Open a login link."""
        return self.get("/oauth2/auth?" + self.query(**changes))

    def submit(self, page: requests.Response, path: str, **fields: str) -> requests.Response:
        """Submit the form of a page that is sent to `path`."""
        form = re.search(rf'action="({path}[^"]*)">\s*<input[^>]*value="([^"]*)"', page.text)
        assert form is not None, page.text
        action = form[1].replace("&amp;", "&")
        return self.post(action, data={"form_token": form[2], **fields})

    def choose(self, user: str, **changes: str | None) -> requests.Response:
        """Log in as `user`; return the page after that."""
        chosen = self.submit(self.authorize(**changes), "/oauth2/login", person=user)
        assert chosen.status_code == 303
        return self.get(chosen.headers["Location"])

    def consent(self, user: str, decision: str = "agree", **changes: str | None) -> Any:
        """Log in and decide; return the query of the callback."""
        page = self.choose(user, **changes)
        offered = re.findall(r'name="organisation" value="([^"]*)" checked', page.text)
        fields = {"organisation": offered[0]} if offered else {}
        answer = self.submit(page, "/oauth2/consent", decision=decision, **fields)
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith(CALLBACK)
        return parse_qs(urlsplit(answer.headers["Location"]).query)


def api_error(answer: requests.Response) -> tuple[int, str]:
    """Check the form of a refusal by the new API; return its status and code."""
    body = answer.json()
    assert answer.headers["Content-Type"] == JSON
    assert set(body) - {"accessdenieddetail"} == {"code", "message", "requestid"}
    assert re.fullmatch(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}", body["requestid"])
    return answer.status_code, body["code"]


def page_refusal(page: requests.Response) -> str:
    """Check that a page refuses; return the reason."""
    found = re.search(r'data-refused="(\w+)"', page.text)
    assert found is not None, page.text
    assert page.status_code in (400, 403, 404)
    return found[1]


def speak(simulator: DingTalkSimulator, data: bytes) -> bytes:
    """Send raw bytes; return what comes until the connection is closed."""
    parts = urlsplit(simulator.url)
    assert parts.hostname is not None
    with socket.create_connection((parts.hostname, parts.port or 0), timeout=60) as connection:
        connection.sendall(data)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer
