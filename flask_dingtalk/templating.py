"""What every template of the site can use."""

from __future__ import annotations

from flask import Flask, render_template, request
from markupsafe import Markup

from .guard import current_dingtalk_user
from .messages import SIGN_IN
from .pages import language
from .signin import login_url


def install(app: Flask) -> None:
    """Add the globals to the app's templates; imported macros see them too."""
    app.jinja_env.globals.update(
        current_dingtalk_user=current_dingtalk_user, dingtalk_button=dingtalk_button
    )


def dingtalk_button(next: str | None = None) -> Markup:  # noqa: A002  # the promised name
    """Return a sign-in link with DingTalk's mark; ``next`` is a path of this site to land on.

    The text is Chinese or English by ``Accept-Language``. The site's own ``dingtalk/button.html``
    replaces ours.
    """
    return Markup(  # noqa: S704  # rendered by Jinja, which escapes
        render_template(
            "dingtalk/button.html",
            url=login_url(next),
            text=getattr(SIGN_IN, language(request.environ)),
        )
    )
