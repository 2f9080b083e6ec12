"""Prints findings: as text for a terminal, or as JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Final

import click

from .findings import Finding, Verdict

_TITLES: Final = {
    "app": "The app",
    "settings": "Settings",
    "site": "The site",
    "dingtalk": "DingTalk",
    "store": "The store",
    "events": "Events",
}
#: Mark, word and colour.
_MARKS: Final = {
    Verdict.OK: ("✓", "ok", "green"),
    Verdict.UNKNOWN: ("?", "unknown", "cyan"),
    Verdict.WARNING: ("!", "warning", "yellow"),
    Verdict.FAILED: ("✗", "FAILED", "red"),
}
#: Columns.
_NARROWEST: Final = 60
_WIDEST: Final = 100


def text(findings: Sequence[Finding], *, width: int, colours: bool) -> str:
    """Return the findings as text of at most ``width`` columns, where words allow it."""
    width = min(max(width, _NARROWEST), _WIDEST)
    lines: list[str] = []
    for section, members in groupby(findings, key=lambda each: each.section):
        lines += [_styled(_TITLES[section], colours, bold=True)]
        for finding in members:
            lines += _lines(finding, width, colours)
        lines.append("")
    lines.append(_summary(findings, colours))
    return "\n".join(lines)


def as_json(findings: Sequence[Finding]) -> str:
    """Return the findings as one JSON object."""
    content = {
        "ok": is_good(findings),
        "findings": [asdict(finding) for finding in findings],
    }
    return json.dumps(content, ensure_ascii=False, indent=2)


def is_good(findings: Iterable[Finding]) -> bool:
    """Tell whether nothing failed."""
    return all(finding.verdict is not Verdict.FAILED for finding in findings)


def _lines(finding: Finding, width: int, colours: bool) -> list[str]:
    mark, word, colour = _MARKS[finding.verdict]
    heading = finding.name if finding.value is None else f"{finding.name}: {finding.value}"
    if finding.verdict is not Verdict.OK:
        heading += f"  [{word}]"
    lines = [f"  {_styled(mark, colours, fg=colour)} {_printable(heading)}"]
    for label, said in (
        ("", finding.problem),
        ("→ ", finding.cure),
        ("Console: ", finding.console),
        ("DingTalk: ", finding.dingtalk),
    ):
        if said is None:
            continue
        lines += textwrap.wrap(
            label + _printable(said),
            width=width,
            initial_indent=" " * 6,
            subsequent_indent=" " * (6 + (2 if label else 0)),
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def _summary(findings: Sequence[Finding], colours: bool) -> str:
    counts = dict.fromkeys(Verdict, 0)
    for finding in findings:
        counts[finding.verdict] += 1
    failed, warnings = counts[Verdict.FAILED], counts[Verdict.WARNING]
    said = f"{failed} failed, {warnings} warned, {counts[Verdict.OK]} good"
    if counts[Verdict.UNKNOWN]:
        said += f", {counts[Verdict.UNKNOWN]} cannot be known from here"
    colour = "red" if failed else "yellow" if warnings else "green"
    return _styled(f"{said}.", colours, fg=colour, bold=True)


def _styled(said: str, colours: bool, *, fg: str | None = None, bold: bool = False) -> str:
    return click.style(said, fg=fg, bold=bold) if colours else said


def _printable(said: str) -> str:
    # Settings and DingTalk's texts come from outside: no control sequences for a terminal.
    return "".join(c if c.isprintable() else " " for c in said)
