"""The reference: docstrings of the package and help of its commands, as Sphinx can show them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import click
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

import flask_dingtalk
import flask_dingtalk.testing
from flask_dingtalk.api.employee import Employee
from flask_dingtalk.cli import dingtalk as commands

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

#: What docstrings call a page of DingTalk's documentation.
_SLUG: Final = re.compile(r"\[([a-z0-9]+(?:-[a-z0-9]+)+)\]")
_DINGTALKS_PAGE: Final = "https://open.dingtalk.com/document/development/"
_PACKAGE: Final = "flask_dingtalk"
#: Names of types that stand for others, and what Sphinx cannot read.
_PRIVATE_TYPES: Final = {
    "guard.Rule": "Callable[[DingTalkUser], bool]",
    "FlaskResponse": "Response",
    "RedisClient": "Redis | RedisCluster",
    "<factory>": "...",
    "~typing.": "",
}
#: Classes whose objects come from the package, and never from a call of the site's.
_MADE_BY_US: Final = tuple(
    f"{_PACKAGE}.{name}"
    for name in (
        "Employee",
        "api.events.Event",
        "user_api.As",
        "testing.Call",
        "testing.PageVisit",
        "testing.Delivery",
        "testing.Attempt",
        "testing.people.",
        "testing.stream.",
    )
)
#: Where values that the package exports are described.
_MODULES_WITH_VALUES: Final = ("flask_dingtalk.signals", "flask_dingtalk.guard")


def complete(
    app: Sphinx, what: str, name: str, documented: Any, options: object, lines: list[str]
) -> None:
    """Add to a docstring what stands elsewhere in the code."""
    if what == "data":
        lines[:] = _comment_on(name.rpartition(".")[2]) or lines
    elif what == "attribute" and name.startswith(f"{_PACKAGE}.Employee."):
        kind = vars(Employee).get(name.rpartition(".")[2])
        read = getattr(kind, "_read", None)
        if read is not None:
            lines[0] = f"``{inspect.signature(read).return_annotation}``. {lines[0]}"
    elif documented in flask_dingtalk.DingTalkError.__subclasses__():
        lines += [f"HTTP {documented.code}, ``{documented.error_code}``.", ""]
    lines[:] = [_SLUG.sub(rf"(`\1 <{_DINGTALKS_PAGE}\1>`__)", line) for line in lines]


def simplify(
    app: Sphinx,
    what: str,
    name: str,
    documented: Any,
    options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Write a signature as users need it: with public names, and without what nobody calls."""
    if what == "class" and name.startswith(_MADE_BY_US):
        return None, None
    for ours, theirs in _PRIVATE_TYPES.items():
        signature = signature and signature.replace(ours, theirs)
        returns = returns and returns.replace(ours, theirs)
    return signature, returns


def _comment_on(name: str) -> list[str]:
    for module in _MODULES_WITH_VALUES:
        analyzer = ModuleAnalyzer.for_module(module)
        analyzer.analyze()
        if ("", name) in analyzer.attr_docs:
            return list(analyzer.attr_docs["", name])
    return []


def find_public_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Node | None:
    """Lead from where a class is written to where the package exports it."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target.startswith(f"{_PACKAGE}."):
        return None
    short = target.rpartition(".")[2]
    for prefix in (_PACKAGE, f"{_PACKAGE}.testing"):
        found = env.domains.python_domain.objects.get(f"{prefix}.{short}")
        if found is not None and env.app.builder is not None:
            reference = nodes.reference("", "", internal=True)
            reference["refuri"] = (
                app.builder.get_relative_uri(node["refdoc"], found.docname) + f"#{found.node_id}"
            )
            reference += content
            return reference
    # A private name, as part of a type.
    return content


class ClickCommand(SphinxDirective):
    """Shows one command of ``flask dingtalk``: its usage, its help, its arguments and options."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return what the command says of itself."""
        name = self.arguments[0]
        command = commands.commands[name]
        usage = " ".join(command.collect_usage_pieces(click.Context(command)))
        lines = [f"```{{program}} flask dingtalk {name}", "```", ""]
        lines += ["```text", f"flask dingtalk {name} {usage}", "```", "", *_help(command), ""]
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                lines += [*_option(parameter), ""]
        return self.parse_text_to_nodes("\n".join(lines))


def _help(command: click.Command) -> Iterable[str]:
    # A command line in the text, whose dashes have to stay.
    text = re.sub(r"(flask dingtalk .*)$", r"`\1`", command.help or "", flags=re.MULTILINE)
    return inspect.cleandoc(text).splitlines()


def _option(option: click.Option) -> Iterable[str]:
    names = ", ".join(option.opts)
    if not option.is_flag:
        metavar = option.make_metavar(click.Context(commands)).strip("[]")
        names = ", ".join(f"{each} <{metavar}>" for each in option.opts)
    text = option.help or ""
    if option.show_default:
        text += f" Without it: `{option.default}`."
    return [f":::{{option}} {names}", text, ":::"]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", complete)
    app.connect("autodoc-process-signature", simplify)
    app.connect("missing-reference", find_public_name)
    app.add_directive("click-command", ClickCommand)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
