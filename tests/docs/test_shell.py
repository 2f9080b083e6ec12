"""The shell commands in the texts do what they say, and servers are configured as they say."""

from __future__ import annotations

import configparser
import json
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from flask_dingtalk.testing import DingTalkSimulator
from flask_dingtalk.testing.browser_walk import BrowserWalk

from ..ecosystem.walk import PAGE, SCRIPT, OverHttp
from ..helpers import free_port
from .pages import (
    CHECK,
    CHINESE,
    DEPLOYMENT,
    ECOSYSTEM,
    ENGLISH,
    PAGES,
    TESTING,
    TUTORIAL,
    Snippet,
    beginning,
    named_files,
    snippets,
)
from .shell import Terminal, terminal

#: Other tests run their commands, some of them in tests/ecosystem.
RUN_ELSEWHERE: Final = (CHECK, DEPLOYMENT, TESTING, TUTORIAL, ECOSYSTEM, CHINESE)
READMES: Final = (ENGLISH, CHINESE)
WITH_COMMANDS: Final = [
    pytest.param(page, id=page.name)
    for page in PAGES
    if page not in RUN_ELSEWHERE and snippets(page, "sh")
]


def _settings(simulator: DingTalkSimulator) -> dict[str, str]:
    settings = {f"FLASK_{name}": str(value) for name, value in simulator.settings.items()}
    return {"FLASK_SECRET_KEY": "the key of a documented site", **settings}


def _write_files(opened: Terminal, page: Path) -> None:
    """Write the files that a page speaks of; without an ``app.py``, the one it goes on from."""
    opened.write("app.py", beginning(page))
    for name, text in named_files(page).items():
        opened.write(name, text)


def _answers(address: str) -> None:
    """Look whether a site begins a sign-in there: for a person, and not for a script."""
    browser = OverHttp(address)
    sent = browser.get("/")
    assert (sent.status, urlsplit(sent.location).path) == (302, "/dingtalk/login")
    assert browser.get("/", SCRIPT).status == 401


@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_every_documented_command_succeeds(
    page: Path, simulator: DingTalkSimulator, tmp_path: Path
) -> None:
    """In a shell, with the files of the page; servers answer, and end at Ctrl-C."""
    with terminal(tmp_path, **_settings(simulator)) as opened:
        _write_files(opened, page)
        for snippet in snippets(page, "sh"):
            opened.run(snippet.text)
            for server in opened.running:
                _answers(server.wait_for(r"Running on (http://127\.0\.0\.1:\d+)")[1])
            opened.end_servers()


def test_both_readmes_have_the_same_commands() -> None:
    """So that those of the Chinese one need not be run."""
    english, chinese = ([each.text for each in snippets(page, "sh")] for page in READMES)
    assert english == chinese


def test_the_documented_ways_to_check_find_nothing_wrong(
    simulator: DingTalkSimulator, tmp_path: Path
) -> None:
    """With a set-up that is right; the last one but one waits for a sign-in."""
    zhang = simulator.users["zhang"]
    (snippet,) = snippets(CHECK, "sh")
    settings = _settings(simulator) | {"FLASK_DINGTALK_MEMBERS_ONLY": "true"}
    with terminal(tmp_path, **settings) as opened:
        _write_files(opened, CHECK)
        callback = f"http://127.0.0.1:{opened.ports['5000']}/dingtalk/callback"
        for line in snippet.text.splitlines():
            is_public = "--base-url" in line
            opened.write("app.py", beginning(DEPLOYMENT if is_public else CHECK))
            if is_public:
                opened.run("unset FLASK_DINGTALK_REDIRECT_URI")
                simulator.application.redirect_urls.append("https://app.example.com")
            else:
                opened.run(f"export FLASK_DINGTALK_REDIRECT_URI={callback}")
            opened.run(line.replace("UNION_ID", zhang.union_id))
            if "--sign-in" in line:
                (server,) = opened.running
                address = server.wait_for(r"(http://\S+/oauth2/auth\S+)")[1]
                walk = BrowserWalk(
                    simulator.url, zhang, corp_id=None, organisation_codes={}, decline=False
                )
                back = urlsplit(walk.visit_pages(address))
                OverHttp(f"http://{back.netloc}").get(f"{back.path}?{back.query}")
                server.wait_for("sign-in")
                opened.end_servers()
            elif "--json" in line:
                assert json.loads(opened.output)["ok"] is True


def test_the_documented_simulators_run(tmp_path: Path) -> None:
    """Beside a site, and by itself with the settings in a file."""
    beside, by_itself = snippets(TESTING, "sh")[0].text.splitlines()
    with terminal(tmp_path) as opened:
        _write_files(opened, TESTING)
        opened.run(beside)
        _answers(opened.running[0].wait_for(r"Running on (http://127\.0\.0\.1:\d+)")[1])
        opened.end_servers()
        opened.run(by_itself)
        opened.run("until [ -s .env ]; do sleep 0.1; done")
        opened.end_servers()
        assert "FLASK_DINGTALK_CLIENT_ID='ding" in (tmp_path / ".env").read_text("utf-8")


def test_the_documented_browser_is_taken_for_the_client(tmp_path: Path) -> None:
    """The example site asks it for a code."""
    command = snippets(TESTING, "sh")[1].text
    with terminal(tmp_path) as opened:
        opened.run("flask --app examples.site run")
        opened.run(command)
        assert "/dingtalk/in-app" in opened.output


# --- Behind nginx --------------------------------------------------------------------------------


def _of_kind(language: str, ending: str) -> Snippet:
    found = [each for each in snippets(DEPLOYMENT, language) if str(each.file).endswith(ending)]
    (snippet,) = found
    return snippet


def _unit() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(_of_kind("ini", ".service").text)
    return parser["Service"]


def test_systemd_takes_the_documented_unit(tmp_path: Path) -> None:
    """If there is a systemd; its settings are those that the other commands of the page make."""
    service = _unit()
    commands = "\n".join(each.text for each in snippets(DEPLOYMENT, "sh"))
    assert f"--home-dir {service['WorkingDirectory']} --create-home {service['User']}" in commands
    assert f"chmod 600 {service['EnvironmentFile']}" in commands
    assert f"venv {service['ExecStart'].partition('/bin/')[0]}" in commands
    if analyse := shutil.which("systemd-analyze"):
        # The program and its user do not exist here.
        unit = _of_kind("ini", ".service").text
        unit = unit.replace(service["ExecStart"], "/bin/true").replace("User=site", "User=root")
        path = tmp_path / "site.service"
        path.write_text(unit, encoding="utf-8")
        run = subprocess.run(
            [analyse, "verify", "--man=no", path], capture_output=True, text=True, check=False
        )
        assert "site.service" not in run.stderr, run.stderr


class _Https:
    """A browser for one name, wherever it is served; keeps one cookie."""

    def __init__(self, port: int, tls: ssl.SSLContext) -> None:
        self._port = port
        self._tls = tls
        self._cookie = ""

    def get(self, path: str) -> Any:
        """Load a page; return the answer, with its text in ``text``."""
        connection = HTTPSConnection("localhost", self._port, context=self._tls, timeout=60)
        headers = {**PAGE, "Host": "app.example.com", "Cookie": self._cookie}
        connection.request("GET", path, headers=headers)
        answer: Any = connection.getresponse()
        answer.text = answer.read().decode()
        if cookie := answer.headers["Set-Cookie"]:
            self._cookie = cookie.partition(";")[0]
            assert "; Secure" in cookie
        connection.close()
        return answer


@contextmanager
def _serving_nginx(configuration: Path, port: int) -> Iterator[None]:
    server = subprocess.Popen(
        ["/usr/sbin/nginx", "-c", configuration, "-g", "daemon off;"], stderr=subprocess.PIPE
    )
    try:
        give_up_at = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("localhost", port)).close()
                break
            except OSError:
                assert server.poll() is None
                assert time.monotonic() < give_up_at
                time.sleep(0.02)
        yield
    finally:
        server.terminate()
        server.communicate(timeout=60)


def test_the_documented_deployment_signs_people_in(
    simulator: DingTalkSimulator, tmp_path: Path
) -> None:
    """Every step of the page, with nginx and gunicorn as it configures them."""
    import trustme

    authority, ports = trustme.CA(), (free_port(), free_port())
    certificate = authority.issue_cert("app.example.com", "localhost")
    folders = ["etc/nginx/sites-available", "etc/nginx/sites-enabled", "etc/systemd/system"]
    for name in (*folders, "var/log/nginx", "temporary"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    chain = tmp_path / "etc/nginx/app.example.com.pem"
    for pem in certificate.cert_chain_pems:
        pem.write_to_path(chain, append=True)
    certificate.private_key_pem.write_to_path(chain.with_suffix(".key"))
    places = "".join(
        f"{name}_temp_path {tmp_path}/temporary;\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        f"pid {tmp_path}/nginx.pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\n{places}include {tmp_path}/etc/nginx/sites-enabled/*;\n}}\n",
        encoding="utf-8",
    )
    (tmp_path / ".curlrc").write_text(
        f'connect-to = "app.example.com:443:localhost:{ports[1]}"\n'
        f'cacert = "{tmp_path}/ca.pem"\nsilent\nshow-error\n',
        encoding="utf-8",
    )
    callback = "https://app.example.com/dingtalk/callback"
    simulator.application.redirect_urls.append(callback)

    with terminal(tmp_path, STAND_IN_NGINX=str(configuration)) as opened:
        for name, text in named_files(DEPLOYMENT).items():
            if name == "/etc/site.env":
                text = "\n".join(f"{key}='{value}'" for key, value in _settings(simulator).items())
            text = text.replace("listen 80;", f"listen {ports[0]};")
            opened.write(name, text.replace("listen 443 ssl;", f"listen {ports[1]} ssl;"))
        service = _unit()
        *steps, checks = snippets(DEPLOYMENT, "sh")
        for step in steps:
            opened.run(step.text)
        # What systemd does with the unit.
        variables = f"set -a && . {service['EnvironmentFile']} && set +a"
        opened.run(f"cd {service['WorkingDirectory']} && {variables}")
        opened.run(service["ExecStart"])
        with _serving_nginx(configuration, ports[1]):
            opened.run(
                f"curl --retry 50 --retry-connrefused --retry-delay 0 http://localhost:{ports[0]}/?secret=1"
            )
            opened.run(checks.text)
            assert callback in opened.output
            browser = _Https(ports[1], ssl.create_default_context(cafile=tmp_path / "ca.pem"))
            sent = browser.get("/dingtalk/login?next=/").headers["Location"]
            asked = parse_qs(urlsplit(sent).query)
            assert asked["redirect_uri"] == [callback]
            code, state = simulator.authorization_code("zhang"), quote(asked["state"][0])
            came = browser.get(f"/dingtalk/callback?code={code}&state={state}")
            assert (came.status, came.headers["Location"]) == (302, "/")
            assert browser.get("/").text == "Hello, 张三"
            assert browser.get("/dingtalk/callback").status == 400
        printed = opened.end_servers()
    logged = (tmp_path / "var/log/nginx/site.log").read_text("utf-8") + printed
    assert logged.count("/dingtalk/callback") >= 2
    assert code not in logged
    # Under gunicorn, our lines are there without any configuration.
    assert "DingTalk sign-in failed: invalid_state" in printed
    assert "secret" not in logged
