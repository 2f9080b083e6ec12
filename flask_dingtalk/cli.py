"""The commands ``flask dingtalk …``.

Every ``flask`` command loads this module, so imports that only one command needs are inside it.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import time
from typing import Final

import click
from flask import Flask, current_app
from flask.cli import ScriptInfo, with_appcontext

_HIGHEST_PORT: Final = 65_535


@click.group()
def dingtalk() -> None:
    """Sign-in with DingTalk."""


@dingtalk.command()
@click.option("--offline", is_flag=True, help="Ask DingTalk nothing.")
@click.option(
    "--base-url", metavar="URL", help="The address at which visitors open the site: try its proxy."
)
@click.option(
    "--user", "union_id", metavar="UNION_ID", help="Look whether this person could sign in."
)
@click.option(
    "--sign-in", "signs_in", is_flag=True, help="Wait for a sign-in in a browser, which shows more."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def check(
    context: click.Context,
    offline: bool,
    base_url: str | None,
    union_id: str | None,
    signs_in: bool,
    as_json: bool,
) -> None:
    """Look for what is wrong with the set-up; exit status 1 if something is."""
    from .checks import report
    from .checks.examination import examine

    if base_url is not None and not base_url.startswith(("http://", "https://")):
        raise click.ClickException("--base-url begins with http:// or https://.")
    # What a site prints while it is loaded would get into the JSON.
    with contextlib.redirect_stdout(sys.stderr):
        findings = examine(
            context.ensure_object(ScriptInfo).load_app,
            offline=offline,
            base_url=base_url,
            union_id=union_id,
            invite=_invite if signs_in else None,
        )
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Chinese names of menus, on a console that may not have the letters.
        sys.stdout.reconfigure(errors="replace")
    if as_json:
        click.echo(report.as_json(findings))
    else:
        width = shutil.get_terminal_size().columns
        click.echo(report.text(findings, width=width, colours=_wants_colours()))
    if not report.is_good(findings):
        context.exit(1)


def _invite(address: str) -> None:
    click.echo(f"Open this address and sign in; Ctrl-C gives up:\n\n{address}\n", err=True)


def _wants_colours() -> bool:
    """Tell whether standard output shows colours, and its reader wants them (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


@dingtalk.command()
@click.argument("union_id")
@with_appcontext
def logout(union_id: str) -> None:
    """End every sign-in of the person with this UNION_ID, everywhere; needs a store."""
    from .errors import DingTalkError

    if "dingtalk" not in current_app.extensions:
        raise click.ClickException("This app does not use Flask-DingTalk.")
    try:
        ended = current_app.extensions["dingtalk"].logout_everywhere(union_id)
    except DingTalkError as error:
        raise click.ClickException(error.log_message) from error
    click.echo(f"{ended} sign-in{'' if ended == 1 else 's'} ended.")


@dingtalk.command(
    # What follows the command belongs to it.
    context_settings={"allow_interspersed_args": False}
)
@click.option(
    "--port",
    type=int,
    default=8765,
    show_default=True,
    help="Port on 127.0.0.1; 0 picks a free one.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["env", "dotenv", "sh", "powershell"]),
    default="env",
    show_default=True,
    help="How to print the settings.",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def simulator(context: click.Context, port: int, format_: str, command: tuple[str, ...]) -> None:
    """Run the DingTalk simulator until Ctrl-C, by itself or beside a COMMAND.

    By itself it prints the settings for a site's environment. A COMMAND gets them in its
    environment, and both end together: flask dingtalk simulator -- flask --app app run
    """
    from .testing import standalone

    if not 0 <= port <= _HIGHEST_PORT:
        raise click.ClickException(f"{port} is not a port: choose one from 0 to {_HIGHEST_PORT}.")
    running = standalone.lasting_simulator(port)
    try:
        running.start()
    except OSError as error:
        raise click.ClickException(
            f"Port {port} cannot be used: {error.strerror}. Choose another one with --port."
        ) from error
    try:
        if command:
            click.echo(f"DingTalk simulator on {running.url}", err=True)
            context.exit(standalone.run_beside(running, command))
        click.echo(f"DingTalk simulator on {running.url}, until Ctrl-C.", err=True)
        click.echo("Settings for your site's environment:\n", err=True)
        # Together, so that whoever reads a pipe gets all of them or none.
        click.echo(
            "".join(
                standalone.FORMATS[format_](name, value) + "\n"
                for name, value in standalone.environment_of(running).items()
            )
        )
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)
    finally:
        running.stop()


@dingtalk.command()
@with_appcontext
def listen() -> None:
    """Hear DingTalk's events by Stream mode, until Ctrl-C; needs a store."""
    from .app_state import app_state_of
    from .errors import DingTalkError

    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    if "dingtalk" not in app.extensions:
        raise click.ClickException("This app does not use Flask-DingTalk.")
    state = app_state_of(app)
    if not state.has_store:
        raise click.ClickException(
            "There is no store that knows whose sign-ins an event ends: set DINGTALK_STORE, or give"
            " DingTalk(app, store=client)."
        )
    if not state.settings.knows_members:
        raise click.ClickException(
            "DingTalk's events name people by their user id, which is not known without"
            " DINGTALK_MEMBERS_ONLY or DINGTALK_EMPLOYEE_PROFILE: set one of the two to True."
        )
    try:
        from .listen import listen as hear
    except ImportError as error:
        raise click.ClickException(
            f"DingTalk's SDK is missing ({error.name}): pip install 'Flask-DingTalk[stream]'."
        ) from error
    try:
        hear(app, lambda line: click.echo(line, err=True))
    except DingTalkError as error:
        raise click.ClickException(error.log_message) from error
    click.echo("Stopped.", err=True)
