"""A QR code as SVG: version 5, error correction L, byte mode, mask 0 (ISO/IEC 18004).

One size is enough for an address of the simulator, and keeps this short: a single block of
codewords, a single alignment pattern.
"""

from collections.abc import Iterator
from functools import cache
from typing import Final

_SIZE: Final = 37
_DATA: Final = 108
_CORRECTION: Final = 26
#: Bytes that fit: four bits of mode and eight of length go off.
CAPACITY: Final = _DATA - 2
#: Level L and mask 0, with their own error correction.
_FORMAT: Final = 0b111011111000100
#: Blank modules around it; readers look for them.
_QUIET: Final = 4

Modules = dict[tuple[int, int], bool]


def draw(text: str) -> str:
    """Return a square SVG; `ValueError` if the text is longer than `CAPACITY` bytes."""
    modules = _encode(text.encode())
    dark = sorted((y, x) for (x, y), is_dark in modules.items() if is_dark)
    path = "".join(f"M{x + _QUIET} {y + _QUIET}h1v1h-1z" for y, x in dark)
    side = _SIZE + 2 * _QUIET
    return (
        f'<svg class="qr" viewBox="0 0 {side} {side}" shape-rendering="crispEdges"'
        f' aria-hidden="true"><rect width="{side}" height="{side}" fill="#fff"/>'
        f'<path d="{path}" fill="#10151f"/></svg>'
    )


def _encode(data: bytes) -> Modules:
    if len(data) > CAPACITY:
        raise ValueError(f"{len(data)} bytes do not fit, only {CAPACITY}.")
    # Mode 4 (bytes), the length, the data, and four bits that end it: shifted by half a byte.
    bits = (4 << 8 | len(data)) << 8 * len(data) | int.from_bytes(data)
    codewords = (bits << 4).to_bytes(len(data) + 2)
    codewords += bytes((0xEC, 0x11) * _DATA)[: _DATA - len(codewords)]
    modules = _patterns()
    stream = _bits(codewords + _correction(codewords))
    for x, y in _way():
        if (x, y) not in modules:
            modules[x, y] = next(stream, False) ^ ((x + y) % 2 == 0)
    return modules


def _patterns() -> Modules:
    """Place what every code of this size has: where to look, how to read."""
    modules: Modules = {}
    for i in range(8, _SIZE - 8):
        modules[i, 6] = modules[6, i] = i % 2 == 0
    for centre_x, centre_y, reach in ((3, 3, 4), (33, 3, 4), (3, 33, 4), (30, 30, 2)):
        for x in range(centre_x - reach, centre_x + reach + 1):
            for y in range(centre_y - reach, centre_y + reach + 1):
                if 0 <= x < _SIZE and 0 <= y < _SIZE:
                    ring = max(abs(x - centre_x), abs(y - centre_y))
                    modules[x, y] = ring in ((0, 2) if reach == 2 else (0, 1, 3))
    for i in range(15):
        is_dark = bool(_FORMAT >> i & 1)
        # Twice: around the first corner, skipping the timing patterns, and at the other two.
        first = (8, i if i < 6 else i + 1) if i < 8 else (7 if i == 8 else 14 - i, 8)
        modules[first] = is_dark
        modules[(_SIZE - 1 - i, 8) if i < 8 else (8, _SIZE - 15 + i)] = is_dark
    modules[8, _SIZE - 8] = True
    return modules


def _way() -> Iterator[tuple[int, int]]:
    """Go through the modules in the order of the bits: columns in pairs, up and down in turn."""
    for pair, right in enumerate((*range(_SIZE - 1, 6, -2), *range(5, 0, -2))):
        rows = range(_SIZE) if pair % 2 else range(_SIZE - 1, -1, -1)
        for y in rows:
            yield right, y
            yield right - 1, y


def _bits(codewords: bytes) -> Iterator[bool]:
    for codeword in codewords:
        for place in range(7, -1, -1):
            yield bool(codeword >> place & 1)


# --- Reed-Solomon over GF(256), x^8 + x^4 + x^3 + x^2 + 1 ---


def _powers() -> Iterator[int]:
    power = 1
    for _ in range(255):
        yield power
        power = power << 1 ^ (0x11D if power > 127 else 0)


_EXP: Final = tuple(_powers())
_LOG: Final = {power: exponent for exponent, power in enumerate(_EXP)}


def _times(a: int, b: int) -> int:
    return _EXP[(_LOG[a] + _LOG[b]) % 255] if a and b else 0


@cache
def _generator() -> tuple[int, ...]:
    """Multiply out the polynomial whose roots are the first powers; highest power first."""
    product = [1]
    for root in _EXP[:_CORRECTION]:
        scaled = [_times(each, root) for each in product]
        product = [a ^ b for a, b in zip([*product, 0], [0, *scaled], strict=True)]
    return tuple(product)


def _correction(codewords: bytes) -> bytes:
    """Return the remainder of the division by the generator."""
    remainder = [*codewords, *bytes(_CORRECTION)]
    for i in range(len(codewords)):
        factor = remainder[i]
        for j, each in enumerate(_generator()):
            remainder[i + j] ^= _times(each, factor)
    return bytes(remainder[len(codewords) :])
