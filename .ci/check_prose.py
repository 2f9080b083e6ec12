"""Apply Vale's `existence` rules of `.vale.ini` to documents, comments and docstrings.

Usage: ``python .ci/check_prose.py``. Prints each finding, and exits with 1 if there are any.
Only what our rules use is supported; anything else in a rule is an error.
"""

import ast
import configparser
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parent.parent


class Rule(NamedTuple):
    """One rule file."""

    name: str
    pattern: re.Pattern[str]
    message: str


class Line(NamedTuple):
    """One line of prose and its number in the file."""

    number: int
    text: str


def read_rules(directory: Path) -> list[Rule]:
    """Read every rule of a style."""
    rules = []
    for path in sorted(directory.glob("*.yml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        allowed = {"extends", "message", "level", "ignorecase", "tokens"}
        if content["extends"] != "existence" or not content.keys() <= allowed:
            raise SystemExit(f"{path}: only 'existence' rules with {sorted(allowed)} are supported")
        flags = re.IGNORECASE if content.get("ignorecase") else re.NOFLAG
        pattern = rf"\b(?:{'|'.join(content['tokens'])})\b"
        rules.append(Rule(path.stem, re.compile(pattern, flags), content["message"]))
    if not rules:
        raise SystemExit(f"no rules in {directory}")
    return rules


def read_exclusions(ini: str) -> list[str]:
    """Return the globs whose section in `.vale.ini` switches all styles off."""
    config = configparser.ConfigParser(default_section="", delimiters="=")
    config.read_string("[core]\n" + ini)
    return [glob for glob in config.sections() if config[glob].get("BasedOnStyles") == ""]


def markdown_prose(text: str) -> Iterator[Line]:
    """Yield what is neither a code block nor code within a line."""
    in_code = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif not in_code:
            yield Line(number, line)


def python_prose(text: str) -> Iterator[Line]:
    """Yield comments and docstrings."""
    lines = [
        Line(token.start[0], token.string.lstrip("#:!"))
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    ]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if ast.get_docstring(node) is None:
                continue
            docstring = node.body[0]
            first = docstring.lineno
            shown = text.splitlines()[first - 1 : docstring.end_lineno]
            lines += [Line(first + index, line.strip(' "')) for index, line in enumerate(shown)]
    yield from sorted(lines)


def paragraphs(lines: Iterator[Line]) -> Iterator[list[Line]]:
    """Group neighbouring lines, since a phrase may go on in the next one."""
    group: list[Line] = []
    for line in lines:
        if group and (line.number != group[-1].number + 1 or not line.text.strip()):
            yield group
            group = []
        group.append(line)
    if group:
        yield group


def findings(path: Path, rules: list[Rule]) -> Iterator[str]:
    """Yield a printable line for each match in a file."""
    text = path.read_text(encoding="utf-8")
    prose = python_prose(text) if path.suffix == ".py" else markdown_prose(text)
    for group in paragraphs(prose):
        joined = ""
        starts = []
        for line in group:
            starts.append(len(joined))
            joined += line.text.strip() + " "
        # Code within a sentence is not prose; as many characters stay, so that positions hold.
        masked = re.sub(r"(`+).*?\1", lambda code: "`" * len(code[0]), joined)
        for rule in rules:
            for match in rule.pattern.finditer(masked):
                index = sum(start <= match.start() for start in starts) - 1
                number = group[index].number
                yield f"{path.relative_to(ROOT)}:{number}: {rule.message % match[0]} ({rule.name})"


def main() -> int:
    """Check every file that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md", "*.py"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    paths = [name for name in listed if (ROOT / name).is_file()]
    rules = read_rules(ROOT / ".ci/vale/House")
    exclusions = read_exclusions((ROOT / ".vale.ini").read_text(encoding="utf-8"))
    wrong: list[str] = []
    needed = set()
    for name in paths:
        found = list(findings(ROOT / name, rules))
        excluding = [glob for glob in exclusions if fnmatch(name, glob)]
        if not excluding:
            wrong += found
        elif found:
            needed.update(excluding)
    wrong += [
        f".vale.ini: [{glob}] has nothing to rewrite any more: remove the section"
        for glob in exclusions
        if glob not in needed
    ]
    print(*wrong, f"{len(paths)} files read, {len(wrong)} findings", sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
