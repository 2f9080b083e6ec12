"""What the benchmarks share: a typical person, a request as a browser sends it, a table."""

from __future__ import annotations

import io
import random
import shutil
import string
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from flask.testing import FlaskClient

SECRET_KEY: Final = "a9c1" * 16
HOST: Final = "localhost"
PATH: Final = "/report"
QUERY: Final = "month=5&sort=name"

_RANDOM: Final = random.Random(1)


def made_up(length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    """Return random text, which no compression makes shorter; the same in each run."""
    return "".join(_RANDOM.choices(alphabet, k=length))


#: The answer of ``contact/users/me`` for a typical person.
PROFILE: Final[dict[str, Any]] = {
    "nick": "张小明",
    "unionId": made_up(24) + "iEiE",
    "avatarUrl": f"https://static-legacy.dingtalk.com/media/{made_up(65)}.jpg",
    "openId": made_up(24) + "iEiE",
    "mobile": "1" + made_up(10, string.digits),
    "stateCode": "86",
    "email": "zhangxm@example.com.cn",
    "visitor": False,
}
#: The answer of ``userAccessToken`` that goes with it.
TOKENS: Final[dict[str, Any]] = {
    "accessToken": made_up(32, "0123456789abcdef"),
    "refreshToken": made_up(32, "0123456789abcdef"),
    "expireIn": 7200,
}


def settings() -> dict[str, Any]:
    """Return the config of an app that uses Flask-DingTalk."""
    return {
        "SECRET_KEY": SECRET_KEY,
        "DINGTALK_CLIENT_ID": "dingbenchmarkclient1",
        "DINGTALK_CLIENT_SECRET": made_up(64),
        "DINGTALK_MEMBERS_ONLY": False,
    }


def sign_in(client: FlaskClient) -> None:
    """Put the typical person into the session of an app that uses Flask-DingTalk."""
    from flask_dingtalk import DingTalkToken, DingTalkUser
    from flask_dingtalk.testing import signed_in

    token = DingTalkToken(
        TOKENS["accessToken"], TOKENS["refreshToken"], datetime.now(UTC) + timedelta(hours=2)
    )
    signed_in(client, DingTalkUser.from_wire(PROFILE), token)


def session_cookie(client: FlaskClient) -> str:
    """Return the session cookie as the browser sends it: name, equals sign, value."""
    cookie = client.get_cookie("session")
    if cookie is None:
        raise RuntimeError("the app set no session cookie")
    return f"{cookie.key}={cookie.value}"


def environ_of(cookie: str | None) -> dict[str, Any]:
    """Return the WSGI environment of a page that somebody navigates to."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": PATH,
        "QUERY_STRING": QUERY,
        "SERVER_NAME": HOST,
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": HOST,
        "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "HTTP_ACCEPT": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "HTTP_ACCEPT_LANGUAGE": "zh-CN,zh;q=0.8,en;q=0.5",
        "HTTP_ACCEPT_ENCODING": "gzip, deflate, br",
        "HTTP_SEC_FETCH_MODE": "navigate",
        "HTTP_SEC_FETCH_SITE": "none",
        "HTTP_SEC_FETCH_DEST": "document",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if cookie is not None:
        environ["HTTP_COOKIE"] = cookie
    return environ


def call(app: WSGIApplication, environ: dict[str, Any]) -> str:
    """Make one request without a server around it; return the status line."""
    answered: list[str] = []

    def start_response(status: str, headers: object, exc_info: object = None) -> Any:
        answered.append(status)

    body = app(environ.copy(), start_response)
    for _ in body:
        pass
    close = getattr(body, "close", None)
    if close is not None:
        close()
    return answered[0]


def callgrind() -> str | None:
    """Return the path of valgrind, or ``None`` where it is not installed."""
    return shutil.which("valgrind")


def count_instructions(
    arguments: Sequence[str], *, marker: str | None = None, cwd: Path | None = None
) -> list[int]:
    """Run Python under callgrind; return the instructions between calls of ``marker``.

    ``marker`` is a function of libc that the script calls and nothing else does; the counts before
    its first and after its last call are left out. Without it, the one count is that of the whole
    process. Hashes and addresses are the same in each run.
    """
    valgrind = callgrind()
    if valgrind is None:
        raise RuntimeError("valgrind is not installed")
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory, "counts")
        command = [valgrind, "--tool=callgrind", f"--callgrind-out-file={out}"]
        if marker is not None:
            command.append(f"--dump-before={marker}")
        if shutil.which("setarch") is not None:
            command = ["setarch", "--addr-no-randomize", *command]
        result = subprocess.run(
            [*command, sys.executable, *arguments],
            env={"PYTHONHASHSEED": "0", "PATH": "/usr/bin:/bin"},
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} failed:\n{result.stderr}")
        dumps = sorted(Path(directory).glob("counts.*"), key=lambda dump: int(dump.suffix[1:]))
        return [_total(dump) for dump in (dumps[1:] if marker is not None else [out])]


def _total(dump: Path) -> int:
    with dump.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("summary:"):
                return int(line.removeprefix("summary:"))
    raise RuntimeError(f"{dump.name} has no summary")


@dataclass(frozen=True)
class Row:
    """One line of a table: what was measured, the value, its ratio to the floor, the target.

    ``target`` is for ``ratio``, or for ``value`` where there is no ratio.
    """

    name: str
    value: float
    ratio: float | None = None
    target: float | None = None
    #: The target is the least, not the most.
    at_least: bool = False


def print_table(title: str, unit: str, rows: Iterable[Row], *, decimals: int = 0) -> None:
    """Print the rows below a title, each column as wide as its longest entry."""
    lines = [("", unit, "ratio", "target", "")]
    for row in rows:
        target = ""
        verdict = ""
        if row.target is not None:
            reached = row.value if row.ratio is None else row.ratio
            places = decimals if row.ratio is None else 2
            sign = ">=" if row.at_least else "<="
            target = f"{sign} {row.target:,.{places}f}"
            held = reached >= row.target if row.at_least else reached <= row.target
            verdict = "held" if held else "MISSED"
        ratio = "" if row.ratio is None else f"{row.ratio:.3f}"
        lines.append((row.name, f"{row.value:,.{decimals}f}", ratio, target, verdict))
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    print(title)
    for name, value, ratio, target, verdict in lines:
        print(
            f"  {name:<{widths[0]}}  {value:>{widths[1]}}  {ratio:>{widths[2]}}  "
            f"{target:>{widths[3]}}  {verdict}".rstrip()
        )
    print()
