"""Search that finds Chinese words: in the index, and in what a visitor types.

Chinese has no spaces between words. Every two neighbouring characters count as a word here: a page
that contains 扫码登录 is found by 扫码, by 码登 and by 登录, and so by every longer text in it.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from sphinx.search.en import SearchEnglish

if TYPE_CHECKING:
    from sphinx.application import Sphinx

#: The ideographs of Unicode's basic plane; the same range stands in the script below.
_WORD: Final = re.compile(r"[\u3400-\u9fff]+|[^\W\u3400-\u9fff]+")
#: Sphinx's script passes over numbers in a query, but DingTalk's error codes are some.
_NUMBER_MARK: Final = "#"


class SearchBigrams(SearchEnglish):
    """Words of English and other languages with spaces; pairs of characters of Chinese."""

    lang = "bigrams"
    language_name = "Chinese and English"
    js_splitter_code = """
function splitQuery(query) {
  const words = query.match(/[\\u3400-\\u9fff]+|(?:(?![\\u3400-\\u9fff])[\\p{L}\\p{N}_])+/gu) || [];
  return words.flatMap((word) => {
    if (/^\\d+$/.test(word)) return ["#" + word];
    if (word.length < 3 || !/^[\\u3400-\\u9fff]/.test(word)) return [word];
    return Array.from({ length: word.length - 1 }, (_, at) => word.slice(at, at + 2));
  });
}

// Ours wants every term on the page: Sphinx's own does without short ones, and pairs are short.
if (typeof Search !== "undefined") {
  const searchForOne = Search.performTermsSearch;
  Search.performTermsSearch = (wanted, excluded) => {
    const found = [...wanted].map(
      (term) => new Map(searchForOne(new Set([term]), excluded).map((page) => [page[5], page])),
    );
    return [...(found[0] || new Map()).values()].flatMap((page) => {
      const each = found.map((pages) => pages.get(page[5]));
      if (!each.every(Boolean)) return [];
      page[4] = each.reduce((sum, one) => sum + one[4], 0) / each.length;
      return [page];
    });
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


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_search_language(SearchBigrams)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
