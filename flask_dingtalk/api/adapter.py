"""The connections to DingTalk: one pool, one TLS context, and every answer read up to a bound."""

from __future__ import annotations

import io
import os
import ssl
import threading
import zlib
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import Retry
from urllib3.exceptions import HTTPError as TransportError
from urllib3.exceptions import ReadTimeoutError
from urllib3.util.ssl_ import create_urllib3_context

#: No answer is read beyond this, compressed or not.
MAX_RESPONSE_BYTES: Final = 2 * 1024 * 1024
#: Connections kept alive for one host: as many as a busy worker has threads.
_POOL_SIZE: Final = 40
_CHUNK_BYTES: Final = 64 * 1024


class Adapter(HTTPAdapter):
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
