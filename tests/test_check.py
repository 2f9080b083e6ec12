"""``flask dingtalk check`` names what is wrong with a set-up, and what cures it."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from click.testing import CliRunner
from flask import Flask
from flask.cli import ScriptInfo
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_dingtalk import DingTalk
from flask_dingtalk.cli import dingtalk
from flask_dingtalk.testing.browser_walk import BrowserWalk

from .helpers import AppFactory, free_port
from .server import serving

if TYPE_CHECKING:
    from flask_dingtalk.testing import DingTalkSimulator
    from flask_dingtalk.testing.people import Application

#: ``flask dingtalk`` without the commands of every other extension, which take seconds to load.
DINGTALK = [
    sys.executable,
    "-c",
    "from flask.cli import ScriptInfo; from flask_dingtalk.cli import dingtalk; "
    "dingtalk(obj=ScriptInfo(app_import_path='app.py'))",
]
#: A site in one file, as the README has it.
SITE = """
from flask import Flask
from flask_dingtalk import DingTalk
from flask_dingtalk.cli import dingtalk

app = Flask(__name__)
app.config.from_prefixed_env()
DingTalk(app)
"""

Found = dict[str, dict[str, Any]]
Check = Callable[..., Found]


@pytest.fixture
def sound_app(make_app: AppFactory, simulator: DingTalkSimulator) -> Callable[..., Flask]:
    """Build a site with nothing to complain of; settings by name."""

    def make(**settings: Any) -> Flask:
        return make_app(
            **{
                "SECRET_KEY": secrets.token_hex(),
                "DINGTALK_MEMBERS_ONLY": True,
                "DINGTALK_EMPLOYEE_PROFILE": True,
                "DINGTALK_IN_APP_LOGIN": True,
                "DINGTALK_CORP_ID": simulator.application.corp_id,
                **settings,
            }
        )

    return make


def check(app: Flask, *options: str) -> Found:
    """Return the findings by name, those of the worst verdict where several share one."""
    result = app.test_cli_runner().invoke(args=["dingtalk", "check", "--json", *options])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    content = json.loads(result.stdout)
    assert result.exit_code == (0 if content["ok"] else 1)
    for finding in content["findings"]:
        if finding["verdict"] == "failed":
            # Whatever fails, somebody can do something about it.
            assert finding["problem"]
            assert finding["cure"]
    order = ["ok", "unknown", "warning", "failed"]
    ordered = sorted(content["findings"], key=lambda finding: order.index(finding["verdict"]))
    return {finding["name"]: finding for finding in ordered}


def failures(found: Found) -> dict[str, str]:
    """Return the names of what failed, with everything that is said about it in one text."""
    return {
        name: " ".join(str(said) for said in finding.values() if said)
        for name, finding in found.items()
        if finding["verdict"] == "failed"
    }


# --- A sound site --------------------------------------------------------------------------------


def test_a_sound_site_passes(sound_app: Callable[..., Flask], simulator: DingTalkSimulator) -> None:
    """Nothing fails, nothing warns, and the exit status is 0."""
    found = check(sound_app(), "--user", simulator.users["zhang"].union_id)
    assert {finding["verdict"] for finding in found.values()} == {"ok", "unknown"}
    assert found["redirect URL to register"]["value"].startswith(
        "http://127.0.0.1:5000/dingtalk/callback"
    )


def test_every_setting_is_shown_and_no_secret(
    sound_app: Callable[..., Flask], simulator: DingTalkSimulator
) -> None:
    """Each with its value; of a secret, its length."""
    app = sound_app(DINGTALK_TIMEOUT=(5, 7))
    for option in ("--json", "--offline"):
        output = app.test_cli_runner().invoke(args=["dingtalk", "check", option]).output
        assert simulator.application.client_id in output
        assert not [secret for secret in simulator.secrets if secret in output]
        assert app.config["SECRET_KEY"] not in output
    found = check(app, "--offline")
    assert found["DINGTALK_TIMEOUT"]["value"] == "5, 7"
    assert "(default)" in found["DINGTALK_LOGIN_REDIRECT"]["value"]


def test_offline_asks_nobody(sound_app: Callable[..., Flask], simulator: DingTalkSimulator) -> None:
    """DingTalk is left alone."""
    check(sound_app(), "--offline")
    assert not simulator.calls
    assert not simulator.page_visits


def test_nothing_is_changed_at_dingtalk(
    sound_app: Callable[..., Flask], simulator: DingTalkSimulator
) -> None:
    """A code that somebody holds still works afterwards."""
    code = simulator.authorization_code("li")
    check(sound_app(), "--user", simulator.users["zhang"].union_id)
    body = {
        "clientId": simulator.application.client_id,
        "clientSecret": simulator.application.client_secret,
        "code": code,
        "grantType": "authorization_code",
    }
    url = f"{simulator.url}/v1.0/oauth2/userAccessToken"
    assert requests.post(url, json=body, timeout=60).status_code == 200


# --- Each mistake in the console -----------------------------------------------------------------


def _wrong_secret(application: Application) -> None:
    application.client_secret = "another"


def _wrong_id(application: Application) -> None:
    application.client_id = "dinganother"


def _unreleased(application: Application) -> None:
    application.released = False


def _other_address(application: Application) -> None:
    application.allowed_ips = ["203.0.113.7"]


def _other_redirect_url(application: Application) -> None:
    application.redirect_urls = ["https://app.example.com/dingtalk/callback"]


def _without(permission: str) -> Callable[[Application], None]:
    return lambda application: application.permissions.remove(permission)


MISTAKES = [
    pytest.param(_wrong_secret, "credentials", "CLIENT_SECRET", "凭证", id="wrong secret"),
    pytest.param(_wrong_id, "credentials", "CLIENT_ID", "凭证", id="wrong client id"),
    pytest.param(_unreleased, "release", "release", "版本管理与发布", id="not released"),
    pytest.param(_other_address, "egress IP", "127.0.0.1", "服务器出口IP", id="address"),
    pytest.param(
        _other_redirect_url,
        "redirect URL at DingTalk",
        "http://127.0.0.1:5000/dingtalk/callback",
        "重定向URL",
        id="redirect URL",
    ),
    *(
        pytest.param(
            _without(permission), f"permission {permission}", permission, "权限管理", id=permission
        )
        for permission in ("open_app_api_base", "qyapi_base", "qyapi_get_member")
    ),
]


@pytest.mark.parametrize(("mistake", "name", "said", "console"), MISTAKES)
def test_each_mistake_in_the_console_is_named(
    sound_app: Callable[..., Flask],
    simulator: DingTalkSimulator,
    mistake: Callable[[Application], None],
    name: str,
    said: str,
    console: str,
) -> None:
    """It alone fails; the cure names the place in the console in both languages."""
    app = sound_app()
    mistake(simulator.application)
    failed = failures(check(app))
    assert failed.keys() == {name}
    assert said in failed[name]
    assert console in failed[name]
    assert "Development" in failed[name] or "information" in failed[name] or "Rel" in failed[name]


@pytest.mark.parametrize("permission", ["fieldMobile", "fieldEmail"])
def test_a_missing_field_of_the_record_is_a_warning(
    sound_app: Callable[..., Flask], simulator: DingTalkSimulator, permission: str
) -> None:
    """DingTalk leaves the fields out without a word; seen with somebody's record."""
    simulator.application.permissions.remove(permission)
    found = check(sound_app(), "--user", simulator.users["zhang"].union_id)
    assert found[f"permission {permission}"]["verdict"] == "warning"
    assert not failures(found)


def test_a_corp_id_that_does_not_own_the_application_is_named(
    sound_app: Callable[..., Flask], simulator: DingTalkSimulator
) -> None:
    """Sign-in inside the client is for the owner alone."""
    (other,) = simulator.organisations.keys() - {simulator.application.corp_id}
    failed = failures(check(sound_app(DINGTALK_CORP_ID=other)))
    assert failed.keys() == {"organisation of the application"}


# --- One person ----------------------------------------------------------------------------------


def test_somebody_who_is_not_a_member_is_named(
    sound_app: Callable[..., Flask], simulator: DingTalkSimulator
) -> None:
    """Whom the settings would refuse, and whom they would not."""
    stranger = simulator.users["wang"].union_id
    failed = failures(check(sound_app(), "--user", stranger))
    assert "does not know this person" in failed["this person"]
    simulator.join("wang", external=True)
    failed = failures(check(sound_app(), "--user", stranger))
    assert "external contact" in failed["this person"]
    found = check(sound_app(DINGTALK_MEMBERS_ONLY=False), "--user", stranger)
    assert found["this person"]["verdict"] == "warning"


def test_somebody_outside_the_range_is_named(
    sound_app: Callable[..., Flask], simulator: DingTalkSimulator
) -> None:
    """DingTalk knows them, and does not show them to the application."""
    simulator.fail("user/get", code=50002, message="请求的员工userid不在授权范围内")
    failed = failures(check(sound_app(), "--user", simulator.users["li"].union_id))
    assert failed.keys() == {"authorised range"}
    assert "授权范围" in failed["authorised range"]


# --- The way to DingTalk -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        pytest.param({"nonsense": True}, "web page", id="a page with status 200"),
        pytest.param(
            {"body": "<h1>Blocked", "status": 403, "headers": {"Content-Type": "text/html"}},
            "web page",
            id="a proxy's page",
        ),
        pytest.param(
            {"body": "", "status": 302, "headers": {"Location": "https://portal.example/sign-in"}},
            "redirects to https://portal.example",
            id="a redirect",
        ),
        pytest.param({"throttled": "ban"}, "banned", id="a banned address"),
        pytest.param({"throttled": True}, "throttles", id="throttling"),
        pytest.param({"nonsense": "empty"}, "not an answer", id="nothing at all"),
        pytest.param({"reset": True}, "Nobody answers", id="a reset"),
        pytest.param({"timeout": True}, "in time", id="no answer"),
        pytest.param({"status": 500, "code": "server.error"}, "error", id="a failure"),
    ],
)
def test_what_is_not_dingtalks_answer_has_a_verdict(
    sound_app: Callable[..., Flask],
    simulator: DingTalkSimulator,
    failure: dict[str, Any],
    said: str,
) -> None:
    """Each has its own sentence, and only one thing fails."""
    app = sound_app(**({"DINGTALK_TIMEOUT": 0.2} if "timeout" in failure else {}))
    simulator.fail("accessToken", times=None, **failure)
    failed = failures(check(app))
    assert failed.keys() == {"credentials"}
    assert said in failed["credentials"]


def test_an_address_where_nobody_listens_has_a_verdict(sound_app: Callable[..., Flask]) -> None:
    """Nobody answers there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        failed = failures(check(sound_app(DINGTALK_API_BASE_URL=url)))
    assert url in failed["credentials"]
    assert "Nobody answers" in failed["credentials"]


def test_a_name_that_does_not_exist_has_a_verdict(sound_app: Callable[..., Flask]) -> None:
    """RFC 6761, section 6.4: no name below .invalid exists."""
    app = sound_app(DINGTALK_API_BASE_URL="https://api.invalid")
    assert "does not know the name" in failures(check(app))["credentials"]


def test_a_clock_that_is_a_day_off_has_a_verdict(
    sound_app: Callable[..., Flask], simulator: DingTalkSimulator
) -> None:
    """By the ``Date`` of DingTalk's answer."""
    app = sound_app()
    simulator.advance(86_400)
    failed = failures(check(app))
    assert failed.keys() == {"clock"}
    assert "24 hours" in failed["clock"]
    assert "slow" in failed["clock"]


# --- The site itself -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", ["dev", "changeme-changeme-changeme", "a" * 40, "your-secret-key-goes-here"]
)
def test_a_weak_key_fails(
    sound_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """In debug mode it is a warning: only this machine is at risk."""
    app = sound_app(SECRET_KEY=key)
    failed = failures(check(app, "--offline"))
    assert "sign in as anybody" in failed["SECRET_KEY"]
    assert key not in failed["SECRET_KEY"]
    monkeypatch.setenv("FLASK_DEBUG", "1")
    assert check(app, "--offline")["SECRET_KEY"]["verdict"] == "warning"


def test_a_key_that_is_used_twice_fails(
    sound_app: Callable[..., Flask], simulator: DingTalkSimulator
) -> None:
    """For instance the client secret."""
    app = sound_app(SECRET_KEY=simulator.application.client_secret)
    assert "DINGTALK_CLIENT_SECRET" in failures(check(app, "--offline"))["SECRET_KEY"]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"SESSION_COOKIE_SAMESITE": "Strict"}, "SESSION_COOKIE_SAMESITE"),
        ({"SESSION_COOKIE_SAMESITE": "None"}, "SESSION_COOKIE_SAMESITE"),
        (
            {
                "SESSION_COOKIE_SECURE": True,
                "DINGTALK_REDIRECT_URI": "http://app.example.com/dingtalk/callback",
            },
            "SESSION_COOKIE_SECURE",
        ),
        ({"SESSION_COOKIE_DOMAIN": "example.com"}, "SESSION_COOKIE_DOMAIN"),
        ({"SESSION_COOKIE_PATH": "/app"}, "SESSION_COOKIE_PATH"),
        ({"DINGTALK_CLIENT_ID": "1234567890"}, "DINGTALK_CLIENT_ID"),
    ],
)
def test_a_setting_with_which_no_sign_in_works_fails(
    sound_app: Callable[..., Flask], settings: dict[str, Any], name: str
) -> None:
    """The setting is named."""
    assert failures(check(sound_app(**settings), "--offline")).keys() == {name}


def test_a_proxy_that_ends_https_is_tried(sound_app: Callable[..., Flask]) -> None:
    """The redirect URL to register is the public one; without ProxyFix the site would not send it.

    With ProxyFix, however many proxies it counts and whatever is around it, it does.
    """
    public = ("--offline", "--base-url", "https://app.example.com")
    app = sound_app()
    found = check(app, *public)["redirect URL to register"]
    assert found["value"] == "https://app.example.com/dingtalk/callback"
    assert "no ProxyFix" in found["problem"]
    app = sound_app(SESSION_COOKIE_SECURE=True)
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=2, x_proto=2, x_host=1)  # type: ignore[method-assign]
    outer = app.wsgi_app

    class Middleware:
        app = outer

    app.wsgi_app = Middleware()  # type: ignore[method-assign, assignment]
    assert not failures(check(app, *public))


def test_a_scheme_that_no_request_uses_is_a_warning(sound_app: Callable[..., Flask]) -> None:
    """PREFERRED_URL_SCHEME counts outside of requests alone."""
    found = check(sound_app(PREFERRED_URL_SCHEME="https"), "--offline")["redirect URL to register"]
    assert found["verdict"] == "warning"
    assert "PREFERRED_URL_SCHEME" in found["problem"]


@pytest.mark.parametrize(
    "settings",
    [
        {"DINGTALK_REDIRECT_URI": "https://app.example.com/elsewhere"},
        {
            "DINGTALK_REDIRECT_URI": "https://app.example.com/dingtalk/callback",
            "SERVER_NAME": "other.example.com",
        },
    ],
)
def test_a_redirect_uri_that_leads_elsewhere_is_a_warning(
    sound_app: Callable[..., Flask], settings: dict[str, Any]
) -> None:
    """Another path than the callback's, another host than SERVER_NAME."""
    found = check(sound_app(**settings, SESSION_COOKIE_SECURE=True), "--offline")
    assert found["redirect URL to register"]["verdict"] == "warning"


def test_a_host_with_an_underscore_fails(sound_app: Callable[..., Flask]) -> None:
    """As docker names them; Werkzeug answers such requests without a host."""
    app = sound_app(DINGTALK_REDIRECT_URI="http://my_app:8000/dingtalk/callback")
    assert "underscore" in failures(check(app, "--offline"))["redirect URL to register"]


def test_routes_that_are_not_mounted_fail(simulator: DingTalkSimulator) -> None:
    """Somebody forgot register_blueprint()."""
    app = Flask("bare")
    app.config.update(simulator.settings, SECRET_KEY=secrets.token_hex())
    DingTalk(app, register_blueprint=False)
    assert "not registered" in failures(check(app))["redirect URL to register"]


# --- The store -----------------------------------------------------------------------------------


def test_a_store_that_can_be_written_passes(
    sound_app: Callable[..., Flask], store_url: str, redis_port: int
) -> None:
    """Nothing stays in it; one that forgets under pressure is a warning."""
    import redis

    found = check(sound_app(DINGTALK_STORE=store_url), "--offline")
    assert found["store"]["verdict"] == "ok"
    assert found["maxmemory-policy of the store"]["verdict"] == "ok"
    with redis.Redis(port=redis_port, db=1) as connection:
        assert not connection.keys()
        connection.config_set("maxmemory", "100mb")
        connection.config_set("maxmemory-policy", "allkeys-lru")
        try:
            found = check(sound_app(DINGTALK_STORE=store_url), "--offline")
        finally:
            connection.config_set("maxmemory-policy", "noeviction")
            connection.config_set("maxmemory", "0")
    policy = found["maxmemory-policy of the store"]
    assert (policy["verdict"], policy["value"]) == ("warning", "allkeys-lru")


def test_a_store_that_nobody_answers_for_fails(sound_app: Callable[..., Flask]) -> None:
    """Without its password in the output."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"redis://somebody:hidden-word@127.0.0.1:{free.getsockname()[1]}/0"
        app = sound_app(DINGTALK_STORE=url)
        assert failures(check(app, "--offline")).keys() == {"store"}
    output = app.test_cli_runner().invoke(args=["dingtalk", "check", "--offline"]).output
    assert "hidden-word" not in output
    assert "redis://****@127.0.0.1" in output


# --- Events --------------------------------------------------------------------------------------

EVENTS = "events by HTTP push"


def test_events_that_are_answered_pass(
    sound_app: Callable[..., Flask], simulator: DingTalkSimulator, store_url: str
) -> None:
    """Asked as DingTalk's console asks; a site that has not subscribed has nothing to answer."""
    assert check(sound_app(), "--offline")[EVENTS]["value"] == "not set up"
    app = sound_app(DINGTALK_STORE=store_url, **simulator.event_settings)
    found = check(app, "--offline")
    assert found[EVENTS]["verdict"] == "ok"
    assert "http://127.0.0.1:5000/dingtalk/events" in found[EVENTS]["value"]
    with serving(app) as address:
        found = check(app, "--base-url", address)
    assert found[EVENTS]["verdict"] == "ok"
    assert address in found[EVENTS]["value"]
    assert simulator.application.event_token not in str(found)


def test_events_that_are_not_answered_fail(
    sound_app: Callable[..., Flask], simulator: DingTalkSimulator, store_url: str
) -> None:
    """Something stands before the route, it breaks, or nobody is there."""
    app = sound_app(DINGTALK_STORE=store_url, **simulator.event_settings)
    answers: list[Any] = []
    app.before_request(lambda: answers[0]())
    answers[:] = [lambda: ("sign in first", 401)]
    assert "HTTP 401" in failures(check(app, "--offline"))[EVENTS]
    answers[:] = [lambda: int("x")]
    assert "ValueError" in failures(check(app, "--offline"))[EVENTS]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        failed = failures(check(app, "--base-url", address))
    assert "does not answer" in failed[EVENTS]
    assert "事件订阅" in failed[EVENTS]


# --- The app does not load -----------------------------------------------------------------------


def run(folder: Path, site: str, *options: str, stream: str = "output") -> tuple[int, str]:
    """Run the command on a site in a file; return its exit status and what it printed."""
    file = folder / f"site_{secrets.token_hex(4)}.py"
    file.write_text(site, encoding="utf-8")
    script = ScriptInfo(app_import_path=str(file))
    path = sys.path.copy()
    try:
        result = CliRunner().invoke(dingtalk, ["check", *options], obj=script)
    finally:
        # Flask puts the folder of the app there.
        sys.path[:] = path
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, getattr(result, stream)


def test_a_factory_with_a_wrong_setting_is_a_failed_check(tmp_path: Path) -> None:
    """With the error's text and hint."""
    status, output = run(tmp_path, SITE)
    assert status == 1
    assert "DINGTALK_CLIENT_ID is not set" in output
    assert "凭证与基础信息" in output


@pytest.mark.parametrize(
    ("site", "said"),
    [
        ("def create_app():\n    return {}['DATABASE']\n", "KeyError: 'DATABASE'"),
        ("import no_such_library\n", "no_such_library"),
        ("import sys\nsys.exit('no database today')\n", "no database today"),
        ("x = 1\n", "Failed to find Flask application"),
        ("from flask import Flask\napp = Flask('bare')\n", "not on the app 'bare'"),
        ("def create_app(:\n", "SyntaxError"),
    ],
)
def test_an_app_that_cannot_be_loaded_shows_its_own_error(
    tmp_path: Path, site: str, said: str
) -> None:
    """In one sentence, with the place, and without a traceback of ours."""
    status, output = run(tmp_path, site)
    assert status == 1
    assert said in " ".join(output.split())


def test_what_a_site_does_in_between_is_its_own_error(sound_app: Callable[..., Flask]) -> None:
    """A function of the site that raises is named, and the rest is looked at all the same."""
    app = sound_app()
    app.url_defaults(lambda _, values: values.update(x=int("no number")))
    result = app.test_cli_runner().invoke(args=["dingtalk", "check", "--offline"])
    assert result.exit_code == 1
    said = " ".join(result.output.split())
    assert "ValueError: invalid literal" in said
    assert "test_check.py, line" in said
    assert "SESSION_COOKIE_SECURE" in said


def test_what_a_site_prints_stays_out_of_the_json(tmp_path: Path) -> None:
    """It goes to standard error."""
    status, output = run(tmp_path, f"print('hello')\n{SITE}", "--json", stream="stdout")
    assert status == 1
    assert json.loads(output)["findings"]


# --- How it prints -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)], ids=["plain", "NO_COLOR"]
)
def test_a_terminal_gets_colours(tmp_path: Path, more: dict[str, str], coloured: bool) -> None:
    """Unless NO_COLOR is set (no-color.org)."""
    import pty

    (tmp_path / "app.py").write_text(SITE, encoding="utf-8")
    usual = {"FLASK_SECRET_KEY": secrets.token_hex(), "FLASK_DINGTALK_CLIENT_ID": "dingx"}
    usual |= {"FLASK_DINGTALK_CLIENT_SECRET": "y", "TERM": "xterm"}
    terminal, its_end = pty.openpty()
    with subprocess.Popen(
        [*DINGTALK, "check", "--offline"],
        cwd=tmp_path,
        env={**os.environ, **usual, **more},
        stdout=its_end,
        stderr=subprocess.DEVNULL,
    ):
        os.close(its_end)
        output = b"".join(iter(lambda: _read(terminal), b""))
    os.close(terminal)
    assert b"DINGTALK_CLIENT_ID" in output
    assert (b"\x1b[" in output) is coloured


def test_a_pipe_gets_no_colours(app: Flask) -> None:
    """Nor any other control sequence."""
    assert (
        "\x1b" not in app.test_cli_runner().invoke(args=["dingtalk", "check", "--offline"]).output
    )


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux: the other side is closed
        return b""


def test_a_base_url_that_is_none_is_refused_in_a_line(app: Flask) -> None:
    """One line, no traceback."""
    args = ["dingtalk", "check", "--base-url", "app.example.com"]
    result = app.test_cli_runner().invoke(args=args)
    assert result.exit_code == 1
    assert result.output.count("\n") == 1


# --- A sign-in -----------------------------------------------------------------------------------


def sign_in_and_check(
    simulator: DingTalkSimulator, folder: Path, user: str, **settings: str
) -> Found:
    """Run the command with --sign-in, and sign somebody in at the address that it prints."""
    port = free_port()
    (folder / "app.py").write_text(SITE, encoding="utf-8")
    callback = f"http://127.0.0.1:{port}/dingtalk/callback"
    environment = {f"FLASK_{name}": value for name, value in simulator.settings.items()}
    environment |= {"FLASK_SECRET_KEY": secrets.token_hex(), "PYTHONUNBUFFERED": "1"}
    environment |= {"FLASK_DINGTALK_REDIRECT_URI": callback, **settings}
    with subprocess.Popen(
        [*DINGTALK, "check", "--json", "--sign-in"],
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        address = next(line for line in process.stderr if line.startswith(simulator.url)).strip()
        person = simulator.person(user)
        walk = BrowserWalk(
            simulator.url, person, corp_id=None, organisation_codes={}, decline=False
        )
        back = walk.visit_pages(address)
        # Another page that knows no state gets nothing.
        assert requests.get(f"{callback}?authCode=made-up&state=x", timeout=60).status_code == 404
        # Not with requests, which would log the code in the address.
        with urllib.request.urlopen(back, timeout=60) as page:
            assert "terminal" in page.read().decode()
        content = json.loads(process.stdout.read())
    assert process.returncode == (0 if content["ok"] else 1)
    return {finding["name"]: finding for finding in content["findings"]}


def test_a_sign_in_shows_that_all_is_well(simulator: DingTalkSimulator, tmp_path: Path) -> None:
    """Permissions that nothing else shows are known then."""
    found = sign_in_and_check(simulator, tmp_path, "zhang")
    assert found["sign-in"]["verdict"] == "ok"
    assert found["permission Contact.User.Read"]["verdict"] == "ok"
    assert found["permission Contact.User.mobile"]["verdict"] == "ok"


def test_a_sign_in_shows_missing_permissions(simulator: DingTalkSimulator, tmp_path: Path) -> None:
    """Of the two that only a sign-in needs, one is enough to make it fail."""
    simulator.application.permissions.remove("Contact.User.mobile")
    found = sign_in_and_check(simulator, tmp_path, "zhang")
    assert found["permission Contact.User.mobile"]["verdict"] == "warning"
    simulator.application.permissions.remove("Contact.User.Read")
    failed = failures(sign_in_and_check(simulator, tmp_path, "zhang"))
    assert failed.keys() == {"permission Contact.User.Read"}
    assert "权限管理" in failed["permission Contact.User.Read"]


def test_a_sign_in_shows_whom_the_settings_refuse(
    simulator: DingTalkSimulator, tmp_path: Path
) -> None:
    """With the reason."""
    found = sign_in_and_check(simulator, tmp_path, "wang", FLASK_DINGTALK_MEMBERS_ONLY="true")
    assert "not a member" in failures(found)["sign-in"]


def test_no_sign_in_where_the_callback_is_elsewhere(sound_app: Callable[..., Flask]) -> None:
    """It would come back to the site and not to the command."""
    app = sound_app(DINGTALK_REDIRECT_URI="https://app.example.com/dingtalk/callback")
    assert check(app, "--sign-in")["sign-in"]["verdict"] == "unknown"
