"""A setting that Flask's development server lacks."""

import logging
import re


def keep_codes_off_the_console() -> None:
    """Make Flask's development server print URLs without their queries.

    It prints every requested URL, and the callback's contains a code. In production, set up the
    access log of the server in the same way.
    """
    logging.getLogger("werkzeug").addFilter(_cut_queries)


def _cut_queries(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(
            re.sub(r"\?\S*", "?…", item) if isinstance(item, str) else item for item in record.args
        )
    return True
