"""Authlib's OAuth 2.0 client, speaking DingTalk's dialect.

Bent where Authlib offers to be bent: a client authentication method that writes the JSON body, a
token placement in DingTalk's header, and the hook and method that read an answer.
"""

from __future__ import annotations

import json
import os
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from authlib.integrations.requests_client import OAuth2Auth, OAuth2Session

from . import wire
from .adapter import Adapter
from .answers import json_object, raise_for_error

if TYPE_CHECKING:
    import requests
    from authlib.oauth2.auth import ClientAuth

    from ..settings import Settings


#: What requests asks the environment for, in both spellings.
_ENVIRONMENT: Final = (
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)


class DingTalkSession(OAuth2Session):  # type: ignore[misc]
    """Authlib's session, speaking DingTalk's dialect and safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            client_id=settings.client_id,
            client_secret=settings.client_secret,
            token_endpoint_auth_method=_write_json_body,
        )
        self._dingtalk_client_id = settings.client_id
        self.register_compliance_hook("access_token_response", self._check_token_response)
        #: What the environment was, and what that meant for an address.
        self._environment: dict[str, tuple[tuple[str | None, ...], dict[str, Any]]] = {}
        self._adapter = Adapter()
        self.mount("https://", self._adapter)
        self.mount("http://", self._adapter)
        # Cookies of one user's call must not go out with the next user's.
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self.headers.update(
            {
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": "Flask-DingTalk",
            }
        )

    def load_certificates(self, url: str) -> None:
        """Prepare the TLS context that a request to ``url`` will use."""
        if url.startswith("https:"):
            chosen = self.merge_environment_settings(url, {}, None, None, None)
            self._adapter.tls_context(chosen["verify"])

    def merge_environment_settings(
        self, url: str, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> dict[str, Any]:
        """Return proxies and certificates for ``url``, found anew only if the environment changed.

        The base goes through all of it for each request (0.3 ms a sign-in). A call has no proxies
        or certificates of its own here.
        """
        host = "/".join(url.split("/", 3)[:3])
        present = tuple(map(os.environ.get, _ENVIRONMENT))
        known = self._environment.get(host)
        if known is None or known[0] != present:
            found = super().merge_environment_settings(url, {}, None, None, None)
            known = self._environment[host] = present, found
        return {**known[1], "stream": stream}

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Follow no redirect; requests would at least look where it leads, and trip over it."""

    def parse_response_token(self, resp: requests.Response) -> dict[str, Any]:
        """Return the answer; unlike the base, keep no token on an object that threads share."""
        return json_object(resp)

    def _check_token_response(self, response: requests.Response) -> requests.Response:
        body = response.request.body
        sent = json.loads(body) if isinstance(body, bytes) else {}
        spent = (wire.TOKEN_CLIENT_SECRET, wire.TOKEN_CODE, wire.TOKEN_REFRESH_TOKEN)
        secrets = [sent[name] for name in spent if name in sent]
        raise_for_error(response, self._dingtalk_client_id, secrets)
        return response


def _write_json_body(
    client: ClientAuth, method: str, uri: str, headers: Any, body: str
) -> tuple[str, Any, bytes]:
    """Authenticate the client as DingTalk has it: everything in one JSON body, in camelCase."""
    names = {
        "grant_type": wire.TOKEN_GRANT_TYPE,
        "code": wire.TOKEN_CODE,
        "refresh_token": wire.TOKEN_REFRESH_TOKEN,
    }
    content = {
        wire.TOKEN_CLIENT_ID: client.client_id,
        wire.TOKEN_CLIENT_SECRET: client.client_secret,
    }
    content |= {names[name]: value for name, value in parse_qsl(body)}
    headers["Content-Type"] = "application/json"
    return uri, headers, json.dumps(content).encode()


def _place_in_header(
    token: str, uri: str, headers: Any, body: Any, placement: str
) -> tuple[str, Any, Any]:
    headers[wire.ACCESS_TOKEN_HEADER] = token
    return uri, headers, body


class HeaderTokenAuth(OAuth2Auth):  # type: ignore[misc]
    """Authlib's token placement, with DingTalk's header for ``Authorization: Bearer``."""

    SIGN_METHODS: Final = {"bearer": _place_in_header}
