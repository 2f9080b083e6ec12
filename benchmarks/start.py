"""What the extension adds to the start of a process, beside Flask alone: time and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from _shared import Row, callgrind, count_instructions, print_table

_FLASK: Final = """
from flask import Flask

app = Flask(__name__)
app.secret_key = "a9c1" * 16


@app.get("/")
def index():
    return "Hello"
"""
_FLASK_DINGTALK: Final = """
from flask import Flask
from flask_dingtalk import DingTalk, current_dingtalk_user, login_required

app = Flask(__name__)
app.secret_key = "a9c1" * 16
app.config["DINGTALK_CLIENT_ID"] = "dingbenchmarkclient1"
app.config["DINGTALK_CLIENT_SECRET"] = "s" * 64
dingtalk = DingTalk(app)


@app.get("/")
@login_required
def index():
    return f"Hello, {current_dingtalk_user.nick}"
"""
_NAMES: Final = ("Flask alone", "with DingTalk(app)")
_ARGUMENTS: Final = ("-c", "import app")
#: Starts of each, in turns; the fastest counts.
_STARTS: Final = 20


def _start(directory: Path) -> tuple[float, float]:
    """Start a process that imports the app; return its seconds and its peak memory in MiB."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, *_ARGUMENTS], cwd=directory)
    # Unlike RUSAGE_CHILDREN, this is about one child and not the largest so far.
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"the app in {directory} does not start")
    # Linux reports KiB, macOS bytes.
    return seconds, usage.ru_maxrss / (1024 if sys.platform == "linux" else 1024 * 1024)


def _instructions(directory: Path) -> int:
    return count_instructions(_ARGUMENTS, cwd=directory)[0]


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as parent:
        directories = [Path(parent, "flask"), Path(parent, "flask_dingtalk")]
        for directory, source in zip(directories, (_FLASK, _FLASK_DINGTALK), strict=True):
            directory.mkdir()
            (directory / "app.py").write_text(source, encoding="utf-8")
            _start(directory)  # the first one compiles to bytecode
        if callgrind() is not None:
            with ThreadPoolExecutor() as pool:
                counts = list(pool.map(_instructions, directories))
            _print_ratios("Process start, by callgrind", "instructions", counts)
        runs = [[_start(directory) for directory in directories] for _ in range(_STARTS)]
    best = [min(run[which][0] for run in runs) * 1000 for which in range(len(directories))]
    memory = [min(run[which][1] for run in runs) for which in range(len(directories))]
    _print_ratios(f"Process start, fastest of {_STARTS}", "ms", best, decimals=1)
    print_table(
        "Memory after the start",
        "MiB",
        [
            *(Row(name, value) for name, value in zip(_NAMES, memory, strict=True)),
            Row("difference", memory[1] - memory[0], target=9),
        ],
        decimals=1,
    )


def _print_ratios(
    title: str, unit: str, values: list[float] | list[int], decimals: int = 0
) -> None:
    floor, ours = values
    rows = [Row(_NAMES[0], floor, 1), Row(_NAMES[1], ours, ours / floor, 1.25)]
    print_table(title, unit, rows, decimals=decimals)


if __name__ == "__main__":
    main()
