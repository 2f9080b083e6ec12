"""``flask dingtalk …``."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
import requests
from flask import Flask


def test_the_simulator_runs_by_itself(tmp_path: Path) -> None:
    """Without an app; it says how to point a site at it, and ends with Ctrl-C."""
    flask = Path(sys.executable).with_name("flask")
    environment = {name: value for name, value in os.environ.items() if name != "FLASK_APP"}
    with subprocess.Popen(
        [flask, "dingtalk", "simulator", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment
        | {"PYTHONUNBUFFERED": "1", "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)},
    ) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if not line.strip() and "FLASK_DINGTALK_API_BASE_URL" in said:
                break
        url = re.search(r"FLASK_DINGTALK_API_BASE_URL=(\S+)", said)
        assert url is not None
        answer = requests.post(url[1] + "/v1.0/oauth2/userAccessToken", json={}, timeout=60)
        assert answer.status_code == 400
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert "FLASK_DINGTALK_CLIENT_ID=ding" in said
    assert "FLASK_DINGTALK_CLIENT_SECRET=" in said


SIMULATOR = [
    sys.executable,
    "-c",
    "from flask_dingtalk.cli import dingtalk; dingtalk()",
    "simulator",
    "--port",
    "0",
]


@contextmanager
def simulating(
    folder: Path, *arguments: str, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """Run the simulator's command with its own home folder, and end it afterwards."""
    usual = {name: value for name, value in os.environ.items() if not name.startswith("FLASK_")}
    with subprocess.Popen(
        [*SIMULATOR, *arguments],
        cwd=folder,
        env={**usual, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def printed(folder: Path, *arguments: str) -> dict[str, str]:
    """Return the lines that the simulator prints, by the name of the variable."""
    with simulating(folder, *arguments) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            if not line.strip():
                break
            lines.append(line.rstrip("\n"))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    return {found[0]: line for line in lines if (found := re.search("FLASK_[A-Z_]+", line))}


@pytest.fixture(scope="module")
def printed_as(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, str]]:
    """Return what it prints in a format, always for the same person; started once for each."""
    home = tmp_path_factory.mktemp("home")
    return cache(lambda format_: printed(home, "--format", format_))


def test_ids_and_secrets_are_the_same_at_each_start(
    printed_as: Callable[[str], dict[str, str]],
) -> None:
    """What was pasted once stays good; only the port is a free one here."""
    first, second = printed_as("env"), printed_as("sh")
    secret = [name for name in first if not name.endswith("_URL")]
    assert set(secret) == {
        "FLASK_SECRET_KEY", "FLASK_DINGTALK_CLIENT_ID", "FLASK_DINGTALK_CLIENT_SECRET"
    }  # fmt: skip
    assert [f"export {first[name]}" for name in secret] == [second[name] for name in secret]


def test_nobody_else_has_the_secret_key(
    tmp_path: Path, printed_as: Callable[[str], dict[str, str]]
) -> None:
    """It is made for this person: a file with it may end up in production."""
    assert printed(tmp_path)["FLASK_SECRET_KEY"] != printed_as("env")["FLASK_SECRET_KEY"]


@pytest.mark.parametrize(
    ("format_", "pattern"),
    [
        ("env", r"FLASK_DINGTALK_CLIENT_ID=ding\w+"),
        ("powershell", r"\$env:FLASK_DINGTALK_CLIENT_ID = 'ding\w+'"),
    ],
)
def test_other_formats_are_as_documented(
    printed_as: Callable[[str], dict[str, str]], format_: str, pattern: str
) -> None:
    """For an editor and for Windows, with ``SECRET_KEY`` in each."""
    lines = printed_as(format_)
    assert re.fullmatch(pattern, lines["FLASK_DINGTALK_CLIENT_ID"])
    assert "FLASK_SECRET_KEY" in lines


def test_a_shell_takes_the_settings(printed_as: Callable[[str], dict[str, str]]) -> None:
    """As they are printed for one."""
    lines = printed_as("sh")
    script = "\n".join([*lines.values(), 'printf %s "$FLASK_DINGTALK_CLIENT_SECRET"'])
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout
    assert done.stdout in lines["FLASK_DINGTALK_CLIENT_SECRET"]


def test_python_dotenv_takes_the_settings(
    tmp_path: Path, printed_as: Callable[[str], dict[str, str]]
) -> None:
    """Which is what `flask` reads a ``.env`` with."""
    from dotenv import dotenv_values

    lines = printed_as("dotenv")
    (tmp_path / ".env").write_text("\n".join(lines.values()), encoding="utf-8")
    values = dotenv_values(tmp_path / ".env")
    assert values.keys() == lines.keys()
    assert str(values["FLASK_DINGTALK_AUTHORIZE_URL"]).endswith("/oauth2/auth")


# --- A command beside it -------------------------------------------------------------------------

#: Signs in nobody, but asks the simulator that its environment names, and tells what it was told.
ASK = """
import json, os, urllib.error, urllib.request
body = json.dumps({"appKey": os.environ["FLASK_DINGTALK_CLIENT_ID"],
                   "appSecret": os.environ["FLASK_DINGTALK_CLIENT_SECRET"]}).encode()
url = os.environ["FLASK_DINGTALK_API_BASE_URL"] + "/v1.0/oauth2/accessToken"
request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
print(urllib.request.urlopen(request).status, bool(os.environ["FLASK_SECRET_KEY"]),
      "FLASK_RUN_FROM_CLI" in os.environ)
"""
#: A command with a child that ignores Ctrl-C. Both hold a lock as long as they live.
FAMILY = """
import fcntl, signal, subprocess, sys
lock = open("family.lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
signal.signal(signal.SIGINT, signal.SIG_IGN)
wait = [sys.executable, "-c", "import signal; signal.pause()"]
subprocess.Popen(wait, pass_fds=[lock.fileno()])
signal.signal(signal.SIGINT, signal.SIG_DFL)
print("running", flush=True)
signal.pause()
"""


def nobody_is_left(folder: Path) -> bool:
    """Wait until nobody of the family lives any more; return whether that happens."""
    with (folder / "family.lock").open() as lock:
        waiting = threading.Thread(target=fcntl.flock, args=[lock, fcntl.LOCK_EX], daemon=True)
        waiting.start()
        waiting.join(60)
        return not waiting.is_alive()


def test_a_command_gets_the_settings_and_ends_with_it(tmp_path: Path) -> None:
    """It talks to the running simulator; its exit status is passed on."""
    command = [sys.executable, "-c", f"{ASK}\nraise SystemExit(7)"]
    with simulating(tmp_path, "--", *command, FLASK_RUN_FROM_CLI="true") as process:
        output, said = process.communicate(timeout=60)
    assert output == "200 True False\n"
    assert process.returncode == 7
    (line,) = [line for line in said.splitlines() if "status" in line]
    assert "ended with status 7" in line


def test_a_secret_key_in_the_environment_stays(tmp_path: Path) -> None:
    """The site's own one goes before that of the simulator."""
    command = [sys.executable, "-c", "import os; print(os.environ['FLASK_SECRET_KEY'])"]
    with simulating(tmp_path, "--", *command, FLASK_SECRET_KEY="mine") as process:
        assert process.communicate(timeout=60)[0] == "mine\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_leaves_nothing_running(tmp_path: Path, number: signal.Signals) -> None:
    """Neither the command nor what it started, whoever ignores the signal."""
    with simulating(tmp_path, "--", sys.executable, "-c", FAMILY) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Traceback" not in said
    assert nobody_is_left(tmp_path)


def test_ctrl_c_on_a_terminal_leaves_nothing_running(tmp_path: Path) -> None:
    """There it reaches the command by itself."""
    terminal = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
    with subprocess.Popen(
        [sys.executable, "-c", terminal, *SIMULATOR, "--", sys.executable, "-c", FAMILY],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert any("running" in line for line in process.stdout)
        process.stdin.write("\x03")
        process.stdin.flush()
        said = process.stdout.read()
        assert process.wait(60) == 128 + signal.SIGINT
    assert "Traceback" not in said
    assert nobody_is_left(tmp_path)


@pytest.mark.parametrize("command", ["no-such-command", "."])
def test_a_command_that_cannot_be_started_is_said_in_a_line(
    app: Flask, tmp_path: Path, command: str
) -> None:
    """With the exit status that shells have for it."""
    result = app.test_cli_runner().invoke(
        args=["dingtalk", "simulator", "--port", "0", "--", command, "--debug"],
        env={"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)},
    )
    assert result.exit_code in (126, 127)
    started, why = result.output.splitlines()
    assert started.startswith("DingTalk simulator on")
    assert why.startswith(f"{command} cannot be started: ")


@pytest.mark.parametrize("port", ["80000", "-1"])
def test_a_port_that_is_none_is_said_in_a_line(app: Flask, port: str) -> None:
    """And what would be one."""
    result = app.test_cli_runner().invoke(args=["dingtalk", "simulator", "--port", port])
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        f"Error: {port} is not a port: choose one from 0 to 65535."
    ]


def test_a_port_that_is_taken_is_said_in_a_line(app: Flask) -> None:
    """The message is one line, without a traceback."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = app.test_cli_runner().invoke(args=["dingtalk", "simulator", "--port", port])
    assert result.exit_code == 1
    assert port in result.output
    assert len(result.output.splitlines()) == 1


def test_the_commands_are_found_by_a_test_runner_too(app: Flask) -> None:
    """It knows only the app's own commands."""
    result = app.test_cli_runner().invoke(args=["dingtalk", "--help"])
    assert "simulator" in result.output
