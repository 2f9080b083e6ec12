"""HTTP to DingTalk: code to token, refresh, profile, any call as the user.

Authlib's ``OAuth2Session`` does the OAuth, bent to DingTalk's dialect where it offers to be bent: a
client authentication method that writes the JSON body, a token placement in DingTalk's header, and
the hook and method that read an answer. The only module that imports requests and Authlib, which
cost 90 ms: whoever needs it imports it late.
"""

from __future__ import annotations

import io
import json
import os
import ssl
import threading
import zlib
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import requests
from authlib.integrations.requests_client import OAuth2Auth, OAuth2Session
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import Retry
from urllib3.exceptions import HTTPError as TransportError
from urllib3.exceptions import ReadTimeoutError
from urllib3.util.ssl_ import create_urllib3_context

from . import wire
from .error_codes import error_in
from .errors import DingTalkAPIError, DingTalkError, DingTalkUnavailable, InvalidCode
from .models import DingTalkToken, DingTalkUser

if TYPE_CHECKING:
    from authlib.oauth2.auth import ClientAuth

    from .settings import Settings

#: No answer is read beyond this, compressed or not.
MAX_RESPONSE_BYTES: Final = 2 * 1024 * 1024
#: Connections kept alive for one host: as many as a busy worker has threads.
_POOL_SIZE: Final = 40
_CHUNK_BYTES: Final = 64 * 1024
#: What may be repeated when a connection breaks: nothing is spent by it (RFC 9110, section 9.2.2).
_SAFE_METHODS: Final = ("GET", "HEAD")
_UNREACHABLE: Final = (
    "see whether this server reaches DingTalk: DNS, proxy, firewall, TLS certificates"
)
_NONSENSE: Final = (
    "something else than DingTalk answered (a proxy, a wrong DINGTALK_API_BASE_URL), or DingTalk "
    "banned this server's address for five minutes"
)


class Client:
    """DingTalk's new API for one application; shared by all threads, keeps nothing of any user."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._http = _DingTalkSession(settings)

    def exchange(self, code: str) -> DingTalkToken:
        """Spend a code for a user's tokens. [obtain-user-token]

        Never repeated once DingTalk may have seen it, as a code works once. Raises ``InvalidCode``
        and the other errors of the table.
        """
        return self._token(None, grant_type=wire.GRANT_AUTHORIZATION_CODE, code=code)

    def refresh(self, token: DingTalkToken) -> DingTalkToken:
        """Spend a refresh token for a new pair; the old one is dead then. [obtain-user-token]

        Raises ``DingTalkAPIError`` if DingTalk does not know the refresh token any more.
        """
        try:
            return self._token(
                token.corp_id,
                grant_type=wire.GRANT_REFRESH_TOKEN,
                refresh_token=token.refresh_token,
            )
        except InvalidCode as error:
            raise DingTalkAPIError(
                "DingTalk does not know the refresh token any more",
                hint="it was used elsewhere or ended after 30 days; sign in again",
                dingtalk_code=error.dingtalk_code,
                dingtalk_message=error.dingtalk_message,
                request_id=error.request_id,
            ) from error

    def user(self, token: DingTalkToken) -> DingTalkUser:
        """Ask who the user of ``token`` is. [dingtalk-retrieve-user-information]"""
        response = self.request("GET", wire.USERS_ME_PATH, token)
        try:
            return DingTalkUser.from_wire(_json_object(response), corp_id=token.corp_id)
        except ValueError as error:
            raise DingTalkUnavailable(
                f"the profile makes no sense: {error}", hint=_NONSENSE
            ) from None

    def request(
        self, method: str, path: str, token: DingTalkToken, **kwargs: Any
    ) -> requests.Response:
        """Call the API host with the user's token; the answer is complete and reports no error.

        ``kwargs`` are those of ``requests.request``. A connection that breaks is replaced and the
        call repeated once, but only for methods that change nothing.
        """
        method = method.upper()
        kwargs.setdefault("timeout", self._settings.timeout)
        auth = _HeaderTokenAuth({"access_token": token.access_token})
        url = self._settings.api_base_url + path
        attempts = 2 if method in _SAFE_METHODS else 1
        while True:
            attempts -= 1
            try:
                response: requests.Response = self._http.request(
                    method, url, auth=auth, allow_redirects=False, **kwargs
                )
                break
            except requests.RequestException as error:
                if attempts and _connection_broke(error):
                    continue
                raise _unreachable(error) from error
        _raise_for_error(response, self._settings.client_id, _secrets_of(token))
        if response.headers.get("Content-Type", "").lower().startswith("text/html"):
            # No API answers with a page; a ban of this address may, with status 200.
            raise DingTalkUnavailable("DingTalk answered with a web page", hint=_NONSENSE)
        return response

    def warm_up(self) -> None:
        """Parse the CA bundle (26 ms) before somebody has to wait for it."""
        self._http.load_certificates(self._settings.api_base_url)

    def _token(self, corp_id: str | None, **grant: str | None) -> DingTalkToken:
        try:
            answer = self._http.fetch_token(
                self._settings.api_base_url + wire.USER_ACCESS_TOKEN_PATH,
                timeout=self._settings.timeout,
                allow_redirects=False,
                **grant,
            )
        except requests.RequestException as error:
            raise _unreachable(error) from error
        try:
            return DingTalkToken.from_wire(answer, corp_id=corp_id)
        except ValueError as error:
            raise DingTalkUnavailable(
                f"the token makes no sense: {error}", hint=_NONSENSE
            ) from None


class _DingTalkSession(OAuth2Session):  # type: ignore[misc]
    """Authlib's session, speaking DingTalk's dialect and safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            client_id=settings.client_id,
            client_secret=settings.client_secret,
            token_endpoint_auth_method=_write_json_body,
        )
        self._dingtalk_client_id = settings.client_id
        self.register_compliance_hook("access_token_response", self._check_token_response)
        self._adapter = _Adapter()
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

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Follow no redirect; requests would at least look where it leads, and trip over it."""

    def parse_response_token(self, resp: requests.Response) -> dict[str, Any]:
        """Return the answer; unlike the base, keep no token on an object that threads share."""
        return _json_object(resp)

    def _check_token_response(self, response: requests.Response) -> requests.Response:
        sent = json.loads(response.request.body or b"{}")
        spent = (wire.TOKEN_CLIENT_SECRET, wire.TOKEN_CODE, wire.TOKEN_REFRESH_TOKEN)
        secrets = [sent[name] for name in spent if name in sent]
        _raise_for_error(response, self._dingtalk_client_id, secrets)
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


class _HeaderTokenAuth(OAuth2Auth):  # type: ignore[misc]
    """Authlib's token placement, with DingTalk's header for ``Authorization: Bearer``."""

    SIGN_METHODS: Final = {"bearer": _place_in_header}


class _Adapter(HTTPAdapter):
    """One connection pool and one TLS context; every answer is read whole, up to a bound."""

    def __init__(self) -> None:
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._contexts_lock = threading.Lock()
        # connect=1 alone: before there is a connection, nothing can have been processed.
        retry = Retry(total=1, connect=1, read=False, redirect=0, status=0, other=0)
        super().__init__(pool_maxsize=_POOL_SIZE, max_retries=retry)

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        kwargs["stream"] = True
        response = super().send(request, **kwargs)
        body = _read(response)
        # A plain file: requests reads it as it reads any answer.
        response.raw = io.BytesIO(body)
        return response

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        host: Any
        tls: Any
        host, tls = super().build_connection_pool_key_attributes(request, verify, cert)
        if host["scheme"] == "https":
            tls = {"ssl_context": self.tls_context(verify)}
        return host, tls

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        # The base would have each new connection parse the whole CA bundle again (26 ms); the
        # context of the pool holds it already, and requires a valid certificate.
        conn.cert_reqs = "CERT_REQUIRED"

    def tls_context(self, verify: bool | str) -> ssl.SSLContext:
        # requests passes the path that REQUESTS_CA_BUNDLE names, or True.
        path = verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH
        with self._contexts_lock:
            if path not in self._contexts:
                context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
                where = {"capath": path} if os.path.isdir(path) else {"cafile": path}  # noqa: PTH112
                context.load_verify_locations(**where)
                self._contexts[path] = context
            return self._contexts[path]


def _read(response: requests.Response) -> bytes:
    """Read a whole body within the bound, then hand the connection back to the pool."""
    parts: list[bytes] = []
    size = 0
    try:
        while chunk := response.raw.read(_CHUNK_BYTES, decode_content=False):
            parts.append(chunk)
            size += len(chunk)
            if size > MAX_RESPONSE_BYTES:
                raise requests.exceptions.ContentDecodingError("the answer is too long")
    except ReadTimeoutError as error:
        raise requests.exceptions.ReadTimeout(error) from error
    except (TransportError, OSError) as error:
        if isinstance(error, requests.RequestException):
            response.close()
            raise
        raise requests.exceptions.ChunkedEncodingError(error) from error
    response.raw.release_conn()
    body = b"".join(parts)
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    return body if encoding in ("", "identity") else _decompress(body)


def _decompress(body: bytes) -> bytes:
    # We ask for plain answers; a proxy may compress all the same.
    decompressor = zlib.decompressobj(zlib.MAX_WBITS | 32)  # zlib or gzip, by the first bytes
    try:
        plain = decompressor.decompress(body, MAX_RESPONSE_BYTES)
    except zlib.error as error:
        raise requests.exceptions.ContentDecodingError(error) from error
    if not decompressor.eof:
        raise requests.exceptions.ContentDecodingError("the answer is too long, or cut off")
    return plain


def _connection_broke(error: requests.RequestException) -> bool:
    return isinstance(
        error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError
    ) and not isinstance(error, requests.Timeout)


def _unreachable(error: requests.RequestException) -> DingTalkError | requests.RequestException:
    if isinstance(error, requests.Timeout):
        return DingTalkUnavailable(
            "DingTalk did not answer in time", timed_out=True, hint=_UNREACHABLE
        )
    if isinstance(error, requests.exceptions.ContentDecodingError):
        return DingTalkUnavailable(f"DingTalk's answer cannot be read: {error}", hint=_NONSENSE)
    if isinstance(error, ValueError | requests.exceptions.InvalidJSONError):
        # Arguments that requests cannot send: the caller's mistake, not DingTalk's.
        return error
    return DingTalkUnavailable(
        f"DingTalk cannot be reached ({type(error).__name__})", hint=_UNREACHABLE
    )


def _json(response: requests.Response) -> object:
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        return None


def _json_object(response: requests.Response) -> dict[str, Any]:
    content = _json(response)
    if not isinstance(content, dict):
        raise DingTalkUnavailable("DingTalk did not answer with a JSON object", hint=_NONSENSE)
    return content


def _raise_for_error(response: requests.Response, client_id: str, secrets: list[str]) -> None:
    if 300 <= response.status_code < 400:
        raise DingTalkUnavailable(
            f"DingTalk answered HTTP {response.status_code}, a redirect", hint=_NONSENSE
        )
    error = error_in(response.status_code, _json(response), client_id=client_id)
    if error is None:
        return
    # An error text may quote what was sent.
    for secret in secrets:
        for name in ("dingtalk_code", "dingtalk_message", "request_id"):
            said = getattr(error, name)
            if said is not None:
                setattr(error, name, said.replace(secret, "***"))
    raise error


def _secrets_of(token: DingTalkToken) -> list[str]:
    return [secret for secret in (token.access_token, token.refresh_token) if secret]
