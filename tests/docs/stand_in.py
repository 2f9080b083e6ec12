"""Stands for a program that a test must not run for real: ``stand_in.py NAME ARGUMENT…``.

It does nothing but look whether the real program would do what the text wants, and ends with
status 1 and a sentence if not. ``sudo`` runs what stays inside the folder of the test.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from shutil import which
from typing import Final

_ROOT: Final = Path(__file__).parents[2]
#: The folder of the test, which holds what stands for ``/srv`` and ``/etc``.
_FOLDER: Final = Path(os.environ.get("STAND_IN_FOLDER", "/nowhere"))
#: What the tests install from Debian, or Python's own module of that name.
_DEBIAN: Final = {"nginx": "Makefile", "redis-server": "Makefile", "python3-venv": "venv"}


def _refuse(sentence: str) -> None:
    sys.exit(f"stand-in: {sentence}")


def _pip(arguments: list[str]) -> None:
    """Look whether each package, each extra and each option exists."""
    verb, *rest = arguments
    if verb not in ("install", "uninstall"):
        _refuse(f"pip {verb}?")
    for name in rest:
        if name in ("--upgrade", "--yes"):
            continue
        found = re.fullmatch(r"([\w-]+)(?:\[(\w+)\])?(?:[<>=]=[\d.]+)?", name)
        if name == ".":
            if not (_ROOT / "setup.py").exists():
                _refuse("there is nothing to install here")
        elif found is None:
            _refuse(f"pip {verb} {name}?")
        else:
            try:
                metadata = distribution(found[1]).metadata
            except PackageNotFoundError:
                _refuse(f"no test needs a package {found[1]}")
            extras = metadata.get_all("Provides-Extra") or []
            if found[1] == "Flask-DingTalk":  # which may be newer than its installation
                setup = (_ROOT / "setup.py").read_text(encoding="utf-8")
                extras = re.findall(r'^ {8}"(\w+)": \[', setup, re.MULTILINE)
            if found[2] is not None and found[2] not in extras:
                _refuse(f"{found[1]} has no extra {found[2]}")


def _make(arguments: list[str]) -> None:
    """Look whether each target exists."""
    makefile = (_ROOT / "Makefile").read_text(encoding="utf-8")
    for target in arguments:
        if not re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE):
            _refuse(f"there is no target {target}")


def _apt_get(arguments: list[str]) -> None:
    verb, *packages = arguments
    unknown = [each for each in packages if each not in _DEBIAN]
    if verb != "install" or unknown or not packages:
        _refuse(f"apt-get {verb} {unknown}?")


def _useradd(arguments: list[str]) -> None:
    """Make the home directory, if that is asked for."""
    command = which("useradd", path="/usr/sbin:/usr/bin")
    options = [each for each in arguments if each.startswith("--")]
    if command is not None:
        shown = subprocess.run([command, "--help"], capture_output=True, text=True, check=True)
        unknown = [each for each in options if each not in shown.stdout]
        if unknown:
            _refuse(f"useradd has no {unknown}")
    if "--create-home" in options:
        Path(arguments[arguments.index("--home-dir") + 1]).mkdir(parents=True)


def _systemctl(arguments: list[str]) -> None:
    """Look whether the unit is one that the page has made, or nginx's."""
    words = [each for each in arguments if not each.startswith("-")]
    known = {"daemon-reload", "enable", "restart", "reload", "status"}
    units = {path.name for path in _FOLDER.glob("etc/systemd/system/*.service")}
    if words[0] not in known or set(words[1:]) - units - {"nginx.service"}:
        _refuse(f"systemctl {arguments}?")


def _nginx(arguments: list[str]) -> None:
    """Let nginx read what is enabled; see ``serving_nginx`` in the tests."""
    if arguments != ["-t"]:
        _refuse(f"nginx {arguments}?")
    configuration = os.environ["STAND_IN_NGINX"]
    subprocess.run(["/usr/sbin/nginx", "-t", "-q", "-c", configuration], check=True)


def _chromium(arguments: list[str]) -> None:
    """Load the page as that browser would name itself."""
    *options, address = arguments
    known = {each.partition("=")[0]: each.partition("=")[2] for each in options}
    if set(known) != {"--user-agent", "--user-data-dir"}:
        _refuse(f"chromium {options}?")
    agent = ["--user-agent", known["--user-agent"], "--header", "Accept: text/html"]
    subprocess.run(["curl", "--silent", "--show-error", "--location", *agent, address], check=True)


def _sudo(arguments: list[str]) -> None:
    """Run a command as the one who asks; only what stays in the folder, and stand-ins."""
    name, *rest = arguments
    if name in _STAND_INS:
        _STAND_INS[name](rest)
        return
    paths = [each for each in arguments if each.startswith("/")]
    outside = [each for each in paths if not each.startswith(str(_FOLDER))]
    if outside or (name not in ("cp", "chmod", "ln", "sh", "python3") and not paths):
        _refuse(f"sudo {arguments}?")
    os.execvp(name, arguments)


_STAND_INS: Final[dict[str, Callable[[list[str]], None]]] = {
    "apt-get": _apt_get,
    "chromium": _chromium,
    "make": _make,
    "nginx": _nginx,
    "pip": _pip,
    "sudo": _sudo,
    "systemctl": _systemctl,
    "useradd": _useradd,
}
NAMES: Final = tuple(_STAND_INS)

if __name__ == "__main__":
    _STAND_INS[sys.argv[1]](sys.argv[2:])
