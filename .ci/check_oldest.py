"""Check that a constraints file, the lower bounds in setup.py and what is installed here agree.

Usage: ``python .ci/check_oldest.py CONSTRAINTS``, in an environment installed with it.
Prints each difference, and exits with 1 if there are any.
"""

import sys
from importlib.metadata import requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version


def versions(requirements: list[Requirement], operator: str) -> dict[NormalizedName, Version]:
    """Return the version by name; each requirement has one specifier, with this operator."""
    found: dict[NormalizedName, Version] = {}
    for requirement in requirements:
        (specifier,) = requirement.specifier
        if specifier.operator != operator:
            raise SystemExit(f"{requirement}: expected NAME{operator}VERSION")
        found[canonicalize_name(requirement.name)] = Version(specifier.version)
    return found


def main(constraints: Path) -> int:
    """Compare the three by name."""
    required = [Requirement(line) for line in requires("Flask-DingTalk") or []]
    bounds = versions([one for one in required if not one.marker], ">=")
    lines = [line.partition("#")[0].strip() for line in constraints.read_text().splitlines()]
    pinned = versions([Requirement(line) for line in lines if line], "==")
    wrong = [
        f"{name}: setup.py has {bounds.get(name)}, {constraints} has {pinned.get(name)}"
        for name in sorted(bounds.keys() | pinned.keys())
        if bounds.get(name) != pinned.get(name)
    ]
    wrong += [
        f"{name}: {constraints} has {pinned[name]}, but {version(name)} is installed"
        for name in sorted(pinned)
        if Version(version(name)) != pinned[name]
    ]
    print(*wrong or [f"tested with {name} {pinned[name]}" for name in pinned], sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
