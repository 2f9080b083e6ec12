"""Lets the log be seen where nobody configured one: as Flask does for the app's own logger."""

from __future__ import annotations

import logging
from typing import Final

from flask import Flask
from flask.logging import default_handler

#: The parent of the loggers of all modules.
_ROOT: Final = "flask_dingtalk"


class _LastResort(logging.Handler):
    """Writes as Flask does, unless somebody else does: a handler of the site's, or of pytest's."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line if nobody else would."""
        logger: logging.Logger | None = logging.getLogger(_ROOT)
        while logger is not None:
            if any(handler is not self for handler in logger.handlers):
                return
            logger = logger.parent if logger.propagate else None
        default_handler.handle(record)


def prepare(app: Flask) -> None:
    """Make sure that what is logged for ``app`` can be seen, and everything in debug mode."""
    parent = logging.getLogger(_ROOT)
    if not any(isinstance(handler, _LastResort) for handler in parent.handlers):
        parent.addHandler(_LastResort())
    for name, logger in logging.root.manager.loggerDict.items():
        # logging.config.dictConfig() disables loggers that exist already, if not told otherwise.
        if isinstance(logger, logging.Logger) and f"{name}.".startswith(f"{_ROOT}."):
            logger.disabled = False
    if app.debug and not parent.level:
        parent.setLevel(logging.DEBUG)
