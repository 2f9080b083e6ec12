"""The sites of docs/how-to/ecosystem.md, built from the very lines that the page shows."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

from flask import Flask, render_template_string

from flask_dingtalk import login_required

PAGE: Final = Path(__file__).parents[2] / "docs" / "how-to" / "ecosystem.md"
#: The lines that all others go on from.
_BASE: Final = "app.py"
#: Files that serve nothing by themselves.
PARTS: Final = {"asgi.py"}
_BLOCK: Final = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> dict[str, str]:
    """Return the blocks of code by the file that their first line names."""
    return dict(_BLOCK.findall(PAGE.read_text(encoding="utf-8")))


def complete(name: str) -> str:
    """Return a file of the page, with the first lines in it if it goes on from these."""
    known = blocks()
    is_whole = "DingTalk(app)" in known[name] or name in PARTS
    return known[name] if is_whole else known[_BASE] + known[name]


def build(name: str, folder: Path) -> tuple[Flask, ModuleType]:
    """Run a block of the page as a file in ``folder``; return the site and the module.

    Settings come from the environment. A site without a guarded page gets one at ``/report``. The
    caller takes the module out of ``sys.modules`` again.
    """
    path = folder / name
    path.write_text(complete(name), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    app: Flask = module.app
    if not any(rule.rule.rstrip("/") == "/report" for rule in app.url_map.iter_rules()):
        app.add_url_rule("/report", "report", _report)
    return app, module


@login_required
def _report() -> str:
    return render_template_string("Report for {{ current_dingtalk_user.nick }}")
