"""Build the site in both languages: ``python docs/build.py FOLDER``. A warning is an error."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).parent
LANGUAGES: Final = ("en", "zh_CN")


def build(folder: Path) -> None:
    """Write the site into a folder, with a page in front that picks a language."""
    command = (sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet")
    running = [
        subprocess.Popen((*command, "-D", f"language={language}", SOURCE, folder / language))
        for language in LANGUAGES
    ]
    # Both to the end, so that one run shows all warnings.
    if [process.wait() for process in running] != [0] * len(running):
        sys.exit(1)
    shutil.copytree(SOURCE / "_start", folder, dirs_exist_ok=True)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
