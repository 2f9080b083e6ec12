"""What the development server needs and the server of a real site has settings for."""

import logging
import re


def keep_codes_off_the_console() -> None:
    """Make Flask's development server print addresses without their queries.

    It prints each address asked for, and that of the callback holds a code. The access log of the
    server that a site runs on in production wants the same care.
    """
    logging.getLogger("werkzeug").addFilter(_cut_queries)


def _cut_queries(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(
            re.sub(r"\?\S*", "?…", item) if isinstance(item, str) else item for item in record.args
        )
    return True
