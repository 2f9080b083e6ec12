"""Is this ``next`` on this site? Pure text in, text out.

A browser strips control characters and blanks, reads a backslash as a slash and takes ``//host``
for another site; a proxy may decode ``%2F`` on the way. What any of them could turn into another
site is refused (CWE-601, WHATWG URL Standard).
"""

import re
from urllib.parse import unquote, urlsplit

#: Longer ones would not survive the way through DingTalk's ``state`` anyway.
MAX_LENGTH = 2048

#: Controls, blanks, backslashes and their full-width look-alikes; lone surrogates cannot be
#: encoded.
_FORBIDDEN = re.compile(
    "[\\x00-\\x20\\x7f-\\xa0\\\\\\u2028\\u2029\\u3000\\uff0f\\uff3c\\ud800-\\udfff]"
)
#: ``//host``, and what dot segments would make of ``/.//host``.
_ANOTHER_HOST = re.compile(r"/(?:\.{0,2}/)*/")


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


def is_below(target: str, path: str) -> bool:
    """Tell whether the path of ``target`` is ``path``, however it is encoded."""
    return unquote(re.split(r"[?#]", target, maxsplit=1)[0]).rstrip("/") == path.rstrip("/")


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
        if _FORBIDDEN.search(path.replace(" ", "")) or _ANOTHER_HOST.match(path):
            return False
        path = unquote(path)
    return True
