"""The directive ``sequence``: a sequence diagram, written as a list and shown with CSS alone.

Each item says who does what::

    :::{sequence}
    1. browser → site: asks for a page
    2. site: looks whether somebody is signed in
    3. site ⇢ browser: answers
    :::

The lanes stand in the order in which the list names them. A translation is a list in the same
order, with the names in its own language. On the page it stays a list, so that a screen reader
reads it, letters have the size of the text around them, and a narrow window wraps its lines.
"""

import re
from typing import Final, NamedTuple

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

_CLASS: Final = "sequence"
_ARROWS: Final = {"→": "request", "⇢": "answer"}
_STEP: Final = re.compile(r"([^→⇢:：]+?)\s*(?:([→⇢])\s*([^→⇢:：]+?)\s*)?[:：]\s*")

_log = logging.getLogger(__name__)


class _Step(NamedTuple):
    """The beginning of an item."""

    #: Up to the colon.
    text: str
    arrow: str | None
    #: One name, or that of the sender and that of the receiver.
    names: list[str]


class Sequence(SphinxDirective):
    """Marks a list as a diagram. What is in it is ordinary text, which can be translated."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the list in a container."""
        return [nodes.container("", *self.parse_content_to_nodes(), classes=[_CLASS])]


class DrawSequences(SphinxPostTransform):
    """Tells the style sheet of each step where it begins and ends."""

    default_priority = 500
    formats = ("html",)

    def run(self, **_: object) -> None:
        """Draw all diagrams of a page."""
        for diagram in list(self.document.findall(nodes.container)):
            if _CLASS in diagram["classes"]:
                self._draw(diagram)

    def _draw(self, diagram: nodes.Element) -> None:
        lanes: list[str] = []
        for item in diagram.findall(nodes.list_item):
            text = next(item.findall(nodes.Text), None)
            step = None if text is None else _beginning(text)
            if text is None or step is None:
                _log.warning("a step has to begin with 'name:' or 'name → name:'", location=item)
                continue
            lanes += [name for name in step.names if name not in lanes]
            places = [lanes.index(name) + 1 for name in step.names]
            item["classes"] += ["sequence-step", _ARROWS.get(step.arrow or "", "note")]
            item["classes"] += [f"from-{places[0]}", f"to-{places[-1]}"]
            rest = nodes.Text(text[len(step.text) :])
            text.parent.replace(text, [nodes.inline("", step.text, classes=["sequence-who"]), rest])
        diagram["classes"].append(f"lanes-{len(lanes)}")
        heads = [nodes.paragraph("", name) for name in lanes]
        diagram.insert(0, nodes.container("", *heads, classes=["sequence-lanes"]))


def _beginning(text: str) -> _Step | None:
    found = _STEP.match(text)
    if found is None:
        return None
    sender, arrow, receiver = found.groups()
    return _Step(found[0], arrow, [sender, receiver] if arrow else [sender])


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive and its style sheet."""
    app.add_directive("sequence", Sequence)
    app.add_post_transform(DrawSequences)
    app.add_css_file("sequence.css")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
