"""How large the session cookie is: for a typical person, and after abandoned sign-ins.

Counted as the browser sends it, name included; the random parts make it differ by a few bytes, and
the largest of many counts.
"""

from __future__ import annotations

from typing import Final

from _shared import HOST, Row, print_table, session_cookie, settings, sign_in
from flask import Flask

from flask_dingtalk import DingTalk

_TRIES: Final = 200
_ABANDONED: Final = 20


def _largest(app: Flask, abandoned: int) -> int:
    sizes = []
    for _ in range(_TRIES):
        client = app.test_client()
        sign_in(client)
        for page in range(abandoned):
            client.get(
                "/dingtalk/login",
                query_string={"next": f"/report/{page}?month=5&sort=name"},
                base_url=f"http://{HOST}",
            )
        sizes.append(len(session_cookie(client)))
    return max(sizes)


def main() -> None:
    """Measure and print."""
    app = Flask("site")
    app.config.update(settings())
    DingTalk(app)
    rows = [
        Row("signed in", _largest(app, 0), target=600),
        Row(f"and {_ABANDONED} abandoned sign-ins", _largest(app, _ABANDONED), target=1000),
    ]
    print_table(f"Session cookie, largest of {_TRIES}", "bytes", rows)


if __name__ == "__main__":
    main()
