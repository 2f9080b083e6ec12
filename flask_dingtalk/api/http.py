"""HTTP as DingTalk wants it, on top of requests and Authlib.

Two halves. `DingTalkSession` builds requests: Authlib's OAuth 2.0 client, bent where Authlib offers
to be bent, since DingTalk wants JSON in camelCase and its own header. `Adapter` carries them:
one connection pool, one TLS context, a `Deadline`, and every answer read up to a bound.
"""

from __future__ import annotations

import copy
import io
import json
import os
import socket
import ssl
import sys
import threading
import time
import zlib
from functools import partial
from http.client import HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import parse_qsl

import requests
from authlib.integrations.requests_client import OAuth2Auth, OAuth2Session
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import PoolManager, Retry, Timeout
from urllib3.exceptions import HTTPError as TransportError
from urllib3.exceptions import ReadTimeoutError
from urllib3.util.ssl_ import create_urllib3_context

from . import wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from authlib.oauth2.auth import ClientAuth

    from ..settings import Settings

#: No answer is read beyond this, compressed or not.
MAX_RESPONSE_BYTES: Final = 2 * 1024 * 1024
#: Connections kept alive for one host: as many as a busy worker has threads.
_POOL_SIZE: Final = 40
_CHUNK_BYTES: Final = 64 * 1024
#: Seconds. A socket with a timeout of 0 would not wait at all, and report something else.
_SHORTEST_TIMEOUT: Final = 0.001


# --- Requests ------------------------------------------------------------------------------------


class DingTalkSession(OAuth2Session):  # type: ignore[misc]
    """Authlib's session, speaking DingTalk's dialect and safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            client_id=settings.client_id,
            client_secret=settings.client_secret,
            token_endpoint_auth_method=_write_json_body,
        )
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
        """Return proxies and certificates for ``url``, as the environment names them.

        Where no proxy can be named, the base would look for one all the same: 0.6 ms of processor
        time for each request, a sixth of a sign-in. On other systems, settings name proxies, too.
        """
        if sys.platform != "linux" or any(name.lower().endswith("_proxy") for name in os.environ):
            merged: dict[str, Any] = super().merge_environment_settings(
                url, proxies, stream, verify, cert
            )
            return merged
        bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        return {"proxies": {}, "stream": stream, "verify": bundle or True, "cert": None}

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Follow no redirect; requests would parse its target, and may fail at that."""

    def parse_response_token(self, resp: requests.Response) -> requests.Response:
        """Make ``fetch_token`` return the whole answer, which may also be an error.

        Unlike the base, keep no token on an object that threads share.
        """
        return resp


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


class NoAuth(AuthBase):
    """Sends no credentials; without it, requests would read ``~/.netrc``."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Leave the request as it is."""
        return request


# --- Time ----------------------------------------------------------------------------------------


class Deadline(Timeout):
    """Seconds to connect and to wait for each part of an answer, and together for the whole call.

    Counts from its creation by the monotonic clock, over all attempts that are made with it. What
    is not bounded: the lookup of a name, and a name with several addresses, each of which gets the
    time to connect.
    """

    def __init__(self, connect: float, read: float) -> None:
        super().__init__(connect=connect, read=read)
        self._connect_seconds = connect
        self._read_seconds = read
        self._ends_at = time.monotonic() + connect + read

    def left(self) -> float:
        """Return the seconds until the call has to be over; less than 0 if they have passed."""
        return self._ends_at - time.monotonic()

    def clone(self) -> Self:
        """Return a copy, as urllib3 takes one for each attempt; it ends when this one does."""
        return copy.copy(self)

    @property
    def connect_timeout(self) -> _Limit:
        """How long urllib3 may take for a connection now."""
        return self._limit(self._connect_seconds)

    @property
    def read_timeout(self) -> _Limit:
        """How long urllib3 may wait for a part of the answer now."""
        return self._limit(self._read_seconds)

    def _limit(self, seconds: float) -> _Limit:
        limit = _Limit(max(min(seconds, self.left()), _SHORTEST_TIMEOUT))
        limit.deadline = self
        return limit

    def before_reading(self, sock: socket.socket) -> None:
        """Let the next read take what is left; raise ``TimeoutError`` if nothing is."""
        sock.settimeout(min(self._read_seconds, self._time_left()))

    def before_sending(self, sock: socket.socket) -> None:
        """Let the next part take all the time that the call has; raise as for reading.

        Neither timeout is about sending, which takes long for a big body on a slow line.
        """
        sock.settimeout(self._time_left())

    def _time_left(self) -> float:
        left = self.left()
        if left <= 0:
            raise TimeoutError("the time for this call is over")
        return left


class _Limit(float):
    """The timeout that urllib3 hands to a connection; the connection finds the deadline in it."""

    __slots__ = ("deadline",)

    deadline: Deadline


class _TimedFile(io.RawIOBase):
    """What a server sends, each part of it read before the deadline.

    A timeout of the socket alone counts anew for each byte that trickles in.
    """

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, deadline: Deadline) -> None:
        self._raw = raw
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        self._deadline.before_reading(self._sock)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(HTTPResponse):
    """An answer whose status, headers and body all come before the deadline, 1xx included."""

    def __init__(self, sock: socket.socket, *args: Any, deadline: Deadline, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_TimedFile(self.fp.detach(), sock, deadline))


class _TimedConnection:
    """Mixed into a connection of urllib3: sends and reads within what its ``timeout`` allows."""

    #: As urllib3 sets it before each step, from a `Deadline`.
    timeout: _Limit
    sock: socket.socket | None

    @property
    def response_class(self) -> Callable[..., HTTPResponse]:
        """What reads the answer, that of a proxy to CONNECT included."""
        return partial(_TimedResponse, deadline=self.timeout.deadline)

    def send(self, data: Any) -> None:
        """Send a part of the request."""
        if self.sock is not None:
            self.timeout.deadline.before_sending(self.sock)
        super().send(data)  # type: ignore[misc]


def _timed(manager: Any) -> Any:
    """Make a pool manager of urllib3 (for a proxy, too) open connections that keep a deadline."""
    timed = {}
    for scheme, pool in manager.pool_classes_by_scheme.items():
        connection = type("TimedConnection", (_TimedConnection, pool.ConnectionCls), {})
        timed[scheme] = type("TimedPool", (pool,), {"ConnectionCls": connection})
    manager.pool_classes_by_scheme = timed
    return manager


# --- Connections ---------------------------------------------------------------------------------


class Adapter(HTTPAdapter):
    """One connection pool and one TLS context; every answer is read whole, up to a bound.

    Every request needs a `Deadline` as its timeout.
    """

    poolmanager: PoolManager

    def __init__(self) -> None:
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._contexts_lock = threading.Lock()
        self._proxies_lock = threading.Lock()
        # connect=1 alone: before there is a connection, nothing can have been processed. An answer
        # with Retry-After is an answer: whether to ask again is decided where it is understood.
        retry = Retry(
            total=1,
            connect=1,
            read=False,
            redirect=0,
            status=0,
            other=0,
            respect_retry_after_header=False,
        )
        super().__init__(pool_maxsize=_POOL_SIZE, max_retries=retry)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools for direct connections."""
        super().init_poolmanager(*args, **kwargs)
        _timed(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Return the pools for connections through ``proxy``."""
        with self._proxies_lock:
            known = proxy in self.proxy_manager
            manager = super().proxy_manager_for(proxy, **kwargs)
            return manager if known else _timed(manager)

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        """Send a request and read the whole answer; raise ``requests.RequestException`` only."""
        kwargs["stream"] = True
        try:
            response = super().send(request, **kwargs)
            body = _read(response)
        except requests.RequestException as error:
            if isinstance(error, ValueError):
                # Headers of DingTalk's, or a proxy's address, that make no sense.
                raise requests.ConnectionError(error) from error
            raise
        except (ValueError, OSError) as error:
            # A CA bundle that cannot be read, among others.
            raise requests.ConnectionError(error) from error
        # A plain file: requests reads it as it reads any answer.
        response.raw = io.BytesIO(body)
        return response

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        """Name host and TLS context of a request: requests with the same share connections."""
        host: Any
        tls: Any
        host, tls = super().build_connection_pool_key_attributes(request, verify, cert)
        if host["scheme"] == "https":
            tls = {"ssl_context": self.tls_context(verify)}
        return host, tls

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Leave the certificates to the TLS context of the pool, which requires a valid one.

        The base would have each new connection parse the whole CA bundle again (26 ms).
        """
        conn.cert_reqs = "CERT_REQUIRED"

    def tls_context(self, verify: bool | str) -> ssl.SSLContext:
        """Return the context for ``verify``: the path in REQUESTS_CA_BUNDLE, or ``True``.

        Raises ``OSError`` for certificates that cannot be read.
        """
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
    if response.raw.length_remaining:
        # urllib3 2 raises this itself.
        response.close()
        raise requests.exceptions.ChunkedEncodingError("the answer breaks off")
    response.raw.release_conn()
    body = b"".join(parts)
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    return body if encoding in ("", "identity") else _decompress(body)


def _decompress(body: bytes) -> bytes:
    # We ask for plain answers; a proxy may compress all the same, or only say so of nothing.
    if not body:
        return body
    decompressor = zlib.decompressobj(zlib.MAX_WBITS | 32)  # zlib or gzip, by the first bytes
    try:
        plain = decompressor.decompress(body, MAX_RESPONSE_BYTES)
    except zlib.error as error:
        raise requests.exceptions.ContentDecodingError(error) from error
    if not decompressor.eof:
        raise requests.exceptions.ContentDecodingError("the answer is too long, or cut off")
    return plain
