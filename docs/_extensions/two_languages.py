"""What each page needs, as there are two of it: the way to the other one, and words for both."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from docutils import nodes
from myst_parser.mdit_to_docutils import base as myst

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

#: Folder of the site, and ``lang`` in HTML: what the language calls itself.
LANGUAGES: Final = {"en": ("en", "English"), "zh_CN": ("zh-CN", "简体中文")}
#: Search engines show about so much of a description.
_DESCRIPTION: Final = 160
#: What Furo writes into every page without asking a catalogue.
_FIXED: Final = {
    "zh_CN": {
        "Toggle site navigation sidebar": "展开或收起导航栏",
        "Toggle table of contents sidebar": "展开或收起本页目录",
        "Toggle Light / Dark / Auto color theme": "切换浅色、深色或自动配色",
    }
}


# MyST asks for docutils' settings for each sentence that is translated, and throws them away. To
# make them takes a third of the time that the Chinese site takes.
_settings_of = cache(myst.get_default_settings)  # type: ignore[attr-defined]
myst.get_default_settings = _settings_of  # type: ignore[attr-defined,assignment]


def add_to_page(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Give the template of a page what it needs."""
    (other,) = LANGUAGES.keys() - {app.config.language}
    tag, name = LANGUAGES[other]
    context["other_language"] = {
        "tag": tag,
        "name": name,
        "url": context["pathto"](f"../{other}/{page}.html", 1),
    }
    context["fixed_texts"] = _FIXED.get(app.config.language, {})
    context["description"] = _first_sentences(doctree)


def _first_sentences(doctree: nodes.document | None) -> str | None:
    """Return the beginning of a page as one line, up to a length that search engines show."""
    if doctree is None:
        return None
    for paragraph in doctree.findall(nodes.paragraph):
        if isinstance(paragraph.parent, nodes.entry):
            continue
        text = " ".join(paragraph.astext().split())
        return text if len(text) <= _DESCRIPTION else text[: _DESCRIPTION - 1].rstrip() + "…"
    return None


def show_pictures_in_the_language(app: Sphinx, config: Config) -> None:
    """Let a picture have a twin, such as ``sign-in.zh-CN.png``, as the READMEs call it."""
    tag, _ = LANGUAGES[config.language]
    config.figure_language_filename = f"{{root}}.{tag}{{ext}}"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("config-inited", show_pictures_in_the_language)
    app.connect("html-page-context", add_to_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
