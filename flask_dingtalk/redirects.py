"""Is this ``next`` on this site, or on a trusted one? Pure text in, text out.

A browser strips control characters and blanks, reads a backslash as a slash and takes ``//host``
for another site; a proxy may decode ``%2F`` on the way. What any of them could turn into another
site is refused (CWE-601, WHATWG URL Standard).
"""

import re
from collections.abc import Iterable
from posixpath import normpath
from urllib.parse import unquote, urlsplit

#: Longer ones would not survive the way through DingTalk's ``state`` anyway.
MAX_LENGTH = 2048

#: Controls, which browsers strip, and lone surrogates, which cannot be encoded.
_FORBIDDEN = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")
#: ``//host``, and what dot segments would make of ``/.//host``.
_ANOTHER_HOST = re.compile(r"/(?:\.{0,2}/)*/")
#: A browser reads a backslash as a slash, and somebody in between may the full-width ones.
_SLASHES = str.maketrans("\\／＼", "///")


def local_target(target: str | None, origin: str) -> str | None:
    """Return ``target`` as path, query and fragment if it leads back to ``origin``, else ``None``.

    ``origin`` is scheme, host and port of this site as the browser sees it, without a slash at
    its end. An absolute URL is accepted only if it starts with exactly that origin.
    """
    if not target or len(target) > MAX_LENGTH or _FORBIDDEN.search(target):
        return None
    if not target.startswith("/"):
        if not _same_origin(target, origin):
            return None
        target = target[len(origin) :]
        if not target.startswith("/"):
            target = "/" + target
    path = re.split(r"[?#]", target, maxsplit=1)[0]
    return target if _is_plain_path(path) else None


def trusted_target(target: str | None, origins: Iterable[str]) -> str | None:
    """Return the absolute URL ``target`` if it leads to one of ``origins``, else ``None``."""
    if not target or target.startswith("/"):
        return None
    for origin in origins:
        path = local_target(target, origin)
        if path is not None:
            return origin + path
    return None


def is_path(target: str, path: str) -> bool:
    """Tell whether ``target`` leads to ``path``, however it is spelled."""
    asked = unquote(re.split(r"[?#]", target, maxsplit=1)[0].translate(_SLASHES))
    return normpath(asked) == normpath(unquote(path))


def origin_of(url: str) -> str | None:
    """Return scheme, host and port of an absolute http(s) URL in lower case, else ``None``.

    A default port is dropped, as browsers do (RFC 6454, section 6.2).
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if port is None or port == {"http": 80, "https": 443}[parts.scheme]:
        return f"{parts.scheme}://{host}"
    return f"{parts.scheme}://{host}:{port}"


def _same_origin(target: str, origin: str) -> bool:
    rest = target[len(origin) :]
    return target.startswith(origin) and rest[:1] in ("", "/", "?", "#")


def _is_plain_path(path: str) -> bool:
    # Twice: a proxy may decode once, and the application behind it once more.
    for _ in range(3):
        if _FORBIDDEN.search(path) or _ANOTHER_HOST.match(path.translate(_SLASHES)):
            return False
        path = unquote(path)
    return True
