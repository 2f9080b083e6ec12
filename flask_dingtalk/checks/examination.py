"""Loads the app and looks at everything that can be looked at."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from pathlib import Path

import click
from flask import Flask

from ..app_state import EXTENSION_KEY, app_state_of
from ..errors import ConfigurationError
from .dingtalk import dingtalk_findings
from .events import events_findings
from .findings import Finding, Verdict
from .sign_in import sign_in_findings
from .site import (
    cookie_findings,
    redirect_url_findings,
    secret_key_findings,
    settings_findings,
)
from .store import store_findings

_PACKAGE = Path(__file__).parents[1]


def examine(
    load: Callable[[], Flask],
    *,
    offline: bool = False,
    base_url: str | None = None,
    union_id: str | None = None,
    invite: Callable[[str], None] | None = None,
) -> list[Finding]:
    """Return what was found about the app that ``load`` returns.

    ``offline`` leaves DingTalk alone; ``base_url`` is the address at which visitors open the site;
    ``union_id`` is somebody who should be able to sign in. With ``invite``, somebody signs in in
    a browser: it is given the address that they have to open. Raises nothing for an app that cannot
    be loaded: that is a finding.
    """
    app, findings = _loaded(load)
    if app is None:
        return findings
    state = app_state_of(app)
    settings = state.settings
    findings += _kept("settings", settings_findings(app, settings))
    try:
        url, about_url = redirect_url_findings(app, settings, base_url)
    except Exception as error:
        url, about_url = None, [_broken("site", error)]
    findings += about_url
    findings += _kept("site", secret_key_findings(app))
    findings += _kept("site", cookie_findings(app, url or "http://127.0.0.1/"))
    findings += _kept("store", store_findings(state))
    findings += _kept("events", events_findings(app, settings, url, None if offline else base_url))
    if offline:
        return findings
    signs_in = invite is not None and url is not None
    findings += _kept(
        "dingtalk", dingtalk_findings(settings, url, union_id=union_id, signs_in=signs_in)
    )
    if invite is not None and url is not None:
        findings += _kept("dingtalk", sign_in_findings(settings, url, invite))
    return findings


def _kept(section: str, looking: Iterable[Finding]) -> list[Finding]:
    """Return the findings up to where a function of the site's raises, and that as a finding."""
    findings: list[Finding] = []
    try:
        findings.extend(looking)
    except Exception as error:
        findings.append(_broken(section, error))
    return findings


def _broken(section: str, error: Exception) -> Finding:
    said, place = _described(error)
    return Finding(
        section=section,
        name=section,
        verdict=Verdict.FAILED,
        problem=f"This could not be looked at: {said}{place}.",
        cure="Mend it there, then run this again.",
    )


def _loaded(load: Callable[[], Flask]) -> tuple[Flask | None, list[Finding]]:
    try:
        app = load()
    except ConfigurationError as error:
        return None, [_not_loaded(f"{error.detail}.", error.hint)]
    except click.ClickException as error:
        # Flask found no app; its text may end with the traceback of an import.
        return None, [_not_loaded(_brief(error.format_message()), "Name it: flask --app MODULE.")]
    except (Exception, SystemExit) as error:
        said, place = _described(error)
        problem = f"The app cannot be loaded: {said}{place}."
        return None, [_not_loaded(problem, "Mend it there, then run this again.")]
    if EXTENSION_KEY not in app.extensions:
        problem = f"Flask-DingTalk is not on the app {app.name!r}."
        return None, [_not_loaded(problem, "Call DingTalk(app), or dingtalk.init_app(app).")]
    return app, [Finding(section="app", name="app", verdict=Verdict.OK, value=app.name)]


def _not_loaded(problem: str, cure: str | None) -> Finding:
    return Finding(
        section="app",
        name="app",
        verdict=Verdict.FAILED,
        problem=problem,
        cure=None if cure is None else f"{cure[0].upper()}{cure[1:].rstrip('.')}.",
    )


def _described(error: BaseException) -> tuple[str, str]:
    """Return the error in one line, and the last place in the site's own code."""
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    places = [
        f"{frame.filename}, line {frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if not Path(frame.filename).is_relative_to(_PACKAGE) and "<frozen" not in frame.filename
    ]
    # The frames of Flask that load an app come first; a library's may come last.
    own = [place for place in places if "site-packages" not in place] or places
    return _one_line(said).rstrip("."), f" ({own[-1]})" if own else ""


def _brief(message: str) -> str:
    """Return Flask's sentence, and the last line of the traceback that it may quote."""
    first, *_ = message.partition("\n\nTraceback")
    last = message.strip().rpartition("\n")[2]
    return _one_line(first if last in first else f"{first} {last}")


def _one_line(said: str) -> str:
    return " ".join(said.split())
