"""Put screenshots together: ``python -m tests.visual.sheet DIRECTORY``.

Makes DIRECTORY/index.html, a sheet of all that are there, and from some of them the pictures of the
READMEs, in docs/images.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from html import escape
from pathlib import Path
from typing import Final
from urllib.parse import quote

from PIL import Image

from ..chromium import DESKTOP

IMAGES: Final = Path(__file__).parents[2] / "docs" / "images"
#: What the READMEs show.
STILLS: Final = {"sign-in": "example sign-in", "simulator": "simulator consent"}
#: A sign-in, step by step, and how long each is shown, in milliseconds.
STEPS: Final = (
    ("example home", 1800),
    ("example sign-in", 2600),
    ("simulator consent", 2200),
    ("example home, signed in", 3200),
)
LANGUAGES: Final = {"en": "", "zh": ".zh-CN"}
#: Pixels of the animated picture.
STEP_SIZE: Final = (960, 600)


def make_sheet(directory: Path) -> None:
    """Write one page with all screenshots: a row for each state, a link to each in full."""
    rows: dict[str, list[str]] = defaultdict(list)
    for path in sorted(directory.glob("*.png")):
        state, language, width, scheme = path.stem.rsplit(", ", 3)
        address = quote(path.name)
        rows[state].append(
            f'<figure><a href="{address}"><img src="{address}" height="320" alt="" loading="lazy">'
            f"<figcaption>{language}, {width} px, {scheme}</figcaption></a></figure>"
        )
    head = (
        "<!doctype html><meta charset=utf-8><title>Pages</title><style>"
        "body { font: 14px system-ui; background: #999; } figure { margin: 0; }"
        " div { display: flex; flex-wrap: wrap; gap: 8px; } img { background: #fff; }</style>"
    )
    sections = "".join(
        f"<h2>{escape(state)}</h2><div>{''.join(figures)}</div>" for state, figures in rows.items()
    )
    (directory / "index.html").write_text(head + sections, encoding="utf-8")


def make_pictures(directory: Path) -> None:
    """Write the pictures of the READMEs, one of each in English and in Chinese."""
    for language, suffix in LANGUAGES.items():
        for name, state in STILLS.items():
            _first_screen(directory, state, language).save(
                IMAGES / f"{name}{suffix}.png", optimize=True
            )
        first, *others = (
            _first_screen(directory, state, language).resize(STEP_SIZE, Image.Resampling.LANCZOS)
            for state, _ in STEPS
        )
        first.save(
            IMAGES / f"signing-in{suffix}.webp",
            save_all=True,
            append_images=others,
            duration=[milliseconds for _, milliseconds in STEPS],
            loop=0,
            quality=82,
            method=6,
        )


def _first_screen(directory: Path, state: str, language: str) -> Image.Image:
    """Return what of a page a desktop shows without scrolling."""
    with Image.open(directory / f"{state}, {language}, 1280, light.png") as picture:
        return picture.convert("RGB").crop((0, 0, *DESKTOP))


if __name__ == "__main__":
    make_sheet(Path(sys.argv[1]))
    make_pictures(Path(sys.argv[1]))
