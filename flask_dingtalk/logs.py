"""What goes into the log beside the text: fields for those who search a log by machine.

Each module logs to the logger that has its name, ``flask_dingtalk.…``. A line above DEBUG names no
person. Its ``dingtalk_event`` says what happened and stays the same when the text gets better.
"""

from __future__ import annotations

import logging

from .errors import ConfigurationError, DingTalkError


def facts(event: str, error: BaseException | None = None) -> dict[str, object]:
    """Return the ``extra`` of a log line: what happened, and which error it was.

    The fields are ``dingtalk_event``, ``dingtalk_error`` (the ``error_code``), ``dingtalk_code``
    and ``dingtalk_request_id``; ``None`` where there is none.
    """
    known = error if isinstance(error, DingTalkError) else None
    return {
        "dingtalk_event": event,
        "dingtalk_error": None if known is None else known.error_code,
        "dingtalk_code": None if known is None else known.dingtalk_code,
        "dingtalk_request_id": None if known is None else known.request_id,
    }


def level_of(error: DingTalkError) -> int:
    """Return ERROR for what a developer has to mend, and WARNING for anything else."""
    return logging.ERROR if isinstance(error, ConfigurationError) else logging.WARNING
