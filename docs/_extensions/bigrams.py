"""Search that finds Chinese words: in the index, and in what a visitor types.

Chinese has no spaces between words. Every two neighbouring characters count as a word here: a page
that contains 扫码登录 is found by 扫码, by 码登 and by 登录, and so by every longer text in it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sphinx.search.en import SearchEnglish

if TYPE_CHECKING:
    from docutils.nodes import document
    from sphinx.application import Sphinx

#: The ideographs of Unicode's basic plane; the same range stands in the script below.
_WORD: Final = re.compile(r"[\u3400-\u9fff]+|[^\W\u3400-\u9fff]+")
#: Sphinx's script passes over numbers in a query, but DingTalk's error codes are some.
_NUMBER_MARK: Final = "#"
_COUNTS: Final = "window.termCounts = "


class SearchBigrams(SearchEnglish):
    """Words of English and other languages with spaces; pairs of characters of Chinese."""

    lang = "bigrams"
    # Its `language_name` and stemmer stay those of English.
    js_splitter_code = """
function splitQuery(query) {
  const words = query.match(/[\\u3400-\\u9fff]+|(?:(?![\\u3400-\\u9fff])[\\p{L}\\p{N}_])+/gu) || [];
  return words.flatMap((word) => {
    if (/^\\d+$/.test(word)) return ["#" + word];
    if (word.length < 3 || !/^[\\u3400-\\u9fff]/.test(word)) return [word];
    return Array.from({ length: word.length - 1 }, (_, at) => word.slice(at, at + 2));
  });
}

if (typeof Search !== "undefined") {
  // A browser refuses Sphinx the pages that it wants to quote, if all are files.
  if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

  // The pages that have most of the terms; first those whose headings have them, or that have them
  // often. Sphinx's own search does without short terms, and every pair of characters is short.
  const searchForOne = Search.performTermsSearch;
  Search.performTermsSearch = (wanted, excluded) => {
    const found = new Map();
    for (const term of wanted)
      for (const page of searchForOne(new Set([term]), excluded)) {
        const [name, , , , score] = page;
        const often = (window.termCounts?.[name] || {})[term] || 0;
        const entry = found.get(name) || { page, score: 0, terms: 0 };
        entry.score += name === "index" ? 1 : score / 3 + often;
        entry.terms += 1;
        found.set(name, entry);
      }
    const most = Math.max(...[...found.values()].map((entry) => entry.terms));
    return [...found.values()]
      .filter((entry) => entry.terms === most)
      .map(({ page, score }) => [...page.slice(0, 4), score / wanted.size, ...page.slice(5)]);
  };
}
"""

    def split(self, input: str) -> list[str]:  # noqa: A002  # Sphinx's name
        """Return the words of a text."""
        return [part for word in _WORD.findall(input) for part in _parts(word)]

    def word_filter(self, word: str) -> bool:
        """Tell whether a word belongs into the index."""
        return word not in self.stopwords


def _parts(word: str) -> list[str]:
    if word.isascii() and word.isdigit():
        return [_NUMBER_MARK + word]
    if len(word) < 3 or not "\u3400" <= word[0] <= "\u9fff":
        return [word]
    return ["".join(pair) for pair in pairwise(word)]


class _Counts:
    """How often each page has each word, for the order of what a search finds."""

    #: What stands on a page less often says nothing about it.
    _LEAST = 2
    _MOST = 12

    def __init__(self) -> None:
        self._language = SearchBigrams({})
        self._pages: dict[str, dict[str, int]] = {}

    def count(
        self, app: Sphinx, page: str, template: str, context: object, doctree: document | None
    ) -> None:
        """Count the words of a page."""
        if doctree is None:
            return
        words = self._language.split(doctree.astext())
        counts = Counter(self._language.stem(word) for word in words)
        self._pages[page] = {
            word: min(count, self._MOST) for word, count in counts.items() if count >= self._LEAST
        }

    def write(self, app: Sphinx, exception: Exception | None) -> None:
        """Write the counts for the page of the search."""
        if app.builder.format != "html" or exception is not None:
            return
        path = Path(app.outdir) / "_static" / "term-counts.js"
        before = path.read_text(encoding="utf-8") if path.exists() else "{}"
        # A build that has something already looks at the pages that changed.
        pages = json.loads(before.removeprefix(_COUNTS).rstrip(";\n")) | self._pages
        path.write_text(f"{_COUNTS}{json.dumps(pages, ensure_ascii=False)};\n", encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_search_language(SearchBigrams)
    counts = _Counts()
    app.connect("html-page-context", counts.count)
    app.connect("build-finished", counts.write)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
