"""What makes the site run on a laptop that has no credentials of DingTalk."""

import atexit
import logging
import re
import secrets

import click
from flask import Flask


def use_simulator(app: Flask) -> None:
    """Start a simulator of DingTalk that lives as long as this process, and point the app at it."""
    # A site that has credentials does without.
    from flask_dingtalk.testing import DingTalkSimulator

    simulator = DingTalkSimulator().start()
    atexit.register(simulator.stop)
    organisations = list(simulator.organisations.values())
    app.config.from_mapping(
        simulator.settings,
        SIMULATED=True,
        # Another one at each start signs everybody out, which suits a simulator that starts anew
        # too. A site for real people keeps one for ever, the same in all its processes.
        SECRET_KEY=secrets.token_hex(),
        COMPANY_CORP_ID=organisations[0].corp_id,
        ORGANISATION_NAMES={each.corp_id: each.name for each in organisations},
    )
    app.extensions["simulator"] = simulator
    click.echo(
        f" * No FLASK_DINGTALK_CLIENT_ID: signing in with a simulator at {simulator.url}", err=True
    )


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
