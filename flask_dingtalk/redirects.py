"""Decide whether a URL such as ``next`` leads back to this site, or to a trusted one, by its text.

Browsers strip control characters and spaces, read a backslash as a slash, and take ``//host`` for
another site. A proxy may decode ``%2F`` on the way. A URL that any of this could turn into one of
another site is refused (CWE-601, WHATWG URL Standard).
"""

import re
from collections.abc import Iterable
from posixpath import normpath
from urllib.parse import unquote, urlsplit

#: Characters. Servers accept no longer request lines, and time is spent on each character.
MAX_LENGTH = 8192

#: Control characters, which browsers strip, and lone surrogates, which cannot be encoded.
_FORBIDDEN = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")
#: ``//host``, also after dot segments: ``/.//host`` becomes ``//host``.
_ANOTHER_HOST = re.compile(r"/(?:\.{0,2}/)*/")
#: Browsers read a backslash as a slash; a proxy might do the same with full-width slashes.
_SLASHES = str.maketrans("\\／＼", "///")


def local_target(target: str | None, origin: str) -> str | None:
    """Return ``target`` as path, query and fragment if it leads back to ``origin``, else ``None``.

    ``origin`` is scheme, host and port of this site as the browser sees them, without a trailing
    slash. An absolute URL is accepted only if it starts with exactly that origin.
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
    """Tell whether ``target`` leads to ``path``, also if it is encoded or has dot segments."""
    asked = unquote(re.split(r"[?#]", target, maxsplit=1)[0].translate(_SLASHES))
    return normpath(asked) == normpath(unquote(path))


def origin_of(url: str) -> str | None:
    """Return scheme, host and port of an http(s) URL in lower case; ``None`` for any other text.

    A default port is left out, as browsers do (RFC 6454, section 6.2).
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
    # A proxy may decode the path once, and the application behind it once more.
    for _ in range(3):
        if _FORBIDDEN.search(path) or _ANOTHER_HOST.match(path.translate(_SLASHES)):
            return False
        path = unquote(path)
    return True
