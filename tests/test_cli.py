"""``flask dingtalk …``."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

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
        env=environment | {"PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if not line.strip() and "FLASK_DINGTALK_API_BASE_URL" in said:
                break
        url = re.search(r"FLASK_DINGTALK_API_BASE_URL=(\S+)", said)
        assert url is not None
        answer = requests.post(url[1] + "/v1.0/oauth2/userAccessToken", json={}, timeout=5)
        assert answer.status_code == 400
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert "FLASK_DINGTALK_CLIENT_ID=ding" in said
    assert "FLASK_DINGTALK_CLIENT_SECRET=" in said


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
    assert "Traceback" not in result.output


def test_the_commands_are_found_by_a_test_runner_too(app: Flask) -> None:
    """It knows only the app's own commands."""
    result = app.test_cli_runner().invoke(args=["dingtalk", "--help"])
    assert "simulator" in result.output
