"""Try each library, record what happened and print the table: ``python run.py``.

`make comparison` runs this with the versions of ``requirements.txt``. With ``--check``, nothing is
recorded, and what differs from ``results.json`` is an error.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from table import LIBRARIES, RESULTS, read, render

HERE: Final = Path(__file__).parent
#: What else decides about an outcome.
BESIDE: Final = ("Flask", "Django", "redis", "requests")


def main() -> int:
    """Run the trials, one process for each library."""
    outcomes = {}
    for module in LIBRARIES:
        print(f"{module} …", file=sys.stderr)
        done = subprocess.run(
            [sys.executable, "trials.py", module],
            cwd=HERE,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            return 1
        outcomes[module] = json.loads(done.stdout.splitlines()[-1])
    if "--check" in sys.argv:
        wrong = [
            f"{module}: {trial} was {was}, and is {outcomes[module][trial]} now"
            for module, recorded in read()["outcomes"].items()
            for trial, was in recorded.items()
            if outcomes[module][trial] != was
        ]
        print(*(wrong or ["All as recorded."]), sep="\n")
        return 1 if wrong else 0
    found: dict[str, Any] = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "python": platform.python_version(),
        "versions": {
            name: importlib.metadata.version(name)
            for name in sorted({*LIBRARIES.values(), *BESIDE})
        },
        "outcomes": outcomes,
    }
    RESULTS.write_text(json.dumps(found, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print(render("en"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
