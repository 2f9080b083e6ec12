"""The commands ``flask dingtalk …``.

Every ``flask`` command loads this module, so imports that only one command needs are inside it.
"""

import time

import click


@click.group()
def dingtalk() -> None:
    """Sign-in with DingTalk."""


@dingtalk.command()
@click.option(
    "--port", default=8765, show_default=True, help="Port on 127.0.0.1; 0 picks a free one."
)
def simulator(port: int) -> None:
    """Run the DingTalk simulator on its own, until Ctrl-C."""
    from .testing import DingTalkSimulator

    try:
        running = DingTalkSimulator(port).start()
    except OSError as error:
        raise click.ClickException(f"Port {port} cannot be used: {error.strerror}") from error
    click.echo(f"DingTalk simulator on {running.url}, until Ctrl-C. For your site's environment:\n")
    for name, value in running.settings.items():
        click.echo(f"FLASK_{name}={value}")
    click.echo()
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        click.echo("Stopped.")
    finally:
        running.stop()
