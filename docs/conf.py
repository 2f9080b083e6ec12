"""The documentation site, built by Sphinx: ``make docs``."""

import sys
from importlib import metadata
from pathlib import Path

sys.path.append(str(Path(__file__).parent / "_extensions"))

project = "Flask-DingTalk"
author = "The Flask-DingTalk contributors"
copyright = "2026, the Flask-DingTalk contributors"  # noqa: A001
version = release = metadata.version("Flask-DingTalk")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "bigrams",
    "reference",
    "sequence",
    "two_languages",
]
# The first one is read in the repository, next to the code that it describes.
exclude_patterns = ["architecture.md", "_*"]
nitpicky = True
# Types of other packages, in signatures.
nitpick_ignore_regex = [("py:.*", r"(?!flask_dingtalk\.).*")]
# Docstrings of the testing package have single backticks around code.
default_role = "literal"
add_module_names = False
toc_object_entries_show_parents = "hide"
autodoc_default_options = {"no-value": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 72
# The fixtures' own import; building the site does not need it.
autodoc_mock_imports = ["pytest"]

myst_enable_extensions = ["colon_fence", "deflist"]
# Links to headings work on the site as they do in a viewer of Markdown.
myst_heading_anchors = 3

# One catalogue for each page, without line numbers: these would change with every edit.
locale_dirs = ["locales"]
gettext_compact = False
gettext_location = False
gettext_uuid = False

html_theme = "furo"
html_title = f"Flask-DingTalk {release}"
html_favicon = "_static/favicon.svg"
html_css_files = ["site.css"]
templates_path = ["_templates"]
html_static_path = ["_static"]
html_copy_source = False
html_show_sphinx = False
html_search_language = "bigrams"
html_use_index = True
