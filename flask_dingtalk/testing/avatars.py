"""Drawn avatars, a different one for each name."""

import hashlib
from typing import Final

_SKIN: Final = ("#f6d3b3", "#eebf96", "#dca77c", "#fbdcc4")
_HAIR: Final = ("#2b2523", "#4a342a", "#1f2530", "#6a4a35")
_HUES: Final = (212, 24, 168, 338, 258, 46, 190, 120)
_CUTS: Final = (
    '<path d="M38 58c-3-26 9-38 27-38s29 11 26 37c-4-9-9-14-15-17-9 5-22 6-30 4-4 3-6 8-8 14z"/>',
    '<path d="M34 84c-4-42 4-64 30-64s35 22 30 64c-5 3-11 3-13 0 4-16 3-28-2-39-10 4-24 4-31-1'
    '-5 12-6 24-1 40-3 3-9 3-13 0z"/>',
    '<path d="M40 54c-4-9-1-18 5-21 3-9 14-12 21-9 9-3 18 2 20 9 6 4 6 14 2 21-1-7-5-11-9-13-9 3'
    '-21 3-29 0-5 2-8 7-10 13z"/>',
)


def draw_avatar(name: str) -> str:
    """Return a square SVG portrait; the same name always gets the same one."""
    digest = hashlib.shake_256(f"drawn{name}".encode()).digest(6)
    hue = _HUES[digest[0] % len(_HUES)]
    cut = _CUTS[digest[5] % len(_CUTS)]
    skin, hair = _SKIN[digest[2] % len(_SKIN)], _HAIR[digest[3] % len(_HAIR)]
    shirt = f"hsl({(hue + 190) % 360} 32% 40%)"
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128" width="640" height="640">'
        '<defs><linearGradient id="g" x2="0" y2="1">'
        f'<stop stop-color="hsl({hue} 72% 88%)"/>'
        f'<stop offset="1" stop-color="hsl({hue + 10} 62% 74%)"/></linearGradient></defs>'
        '<rect width="128" height="128" fill="url(#g)"/>'
        f'<path d="M14 128c2-27 22-37 50-37s48 10 50 37z" fill="{shirt}"/>'
        f'<path d="M52 78h24v15c-4 9-20 9-24 0z" fill="{skin}" style="filter:brightness(.93)"/>'
        f'<ellipse cx="64" cy="60" rx="24" ry="28" fill="{skin}"/>'
        f'<g fill="{hair}">{cut}</g>'
        '<g fill="#2b2523"><circle cx="55" cy="62" r="2.6"/><circle cx="73" cy="62" r="2.6"/></g>'
        '<path d="M56 73c4 5 12 5 16 0" fill="none" stroke="#a3563f" stroke-width="2.6"'
        ' stroke-linecap="round"/></svg>'
    )
