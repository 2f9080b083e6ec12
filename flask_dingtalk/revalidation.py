"""Check a signed-in user with DingTalk again: somebody who left must not stay signed in.

The order matters. Membership first, with the application's own token: it tells of leavers even if
the user's tokens are of no use any more. A check that cannot be completed is not a no: the user
stays, it is tried again after a while, and only after the grace does the sign-in end.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from dataclasses import replace
from typing import Final

from flask import current_app

from . import policy, session, user_api
from .api.error_codes import TOKEN_REFUSED
from .api.models import DingTalkToken
from .app_state import AppState, app_state
from .errors import DingTalkError, DingTalkUnavailable, OrganisationNotAllowed, RateLimited
from .login import Login
from .signin import sign_out

#: Seconds until a check that could not be completed is tried again.
_TRY_AGAIN_AFTER: Final = 30
#: Where a moment is kept before which no user's check is tried again.
_EVERYBODY: Final = "everybody"
#: Seconds by which the clocks of several servers may differ.
_CLOCK_TOLERANCE: Final = 60


def still_signed_in(present: Login) -> Login | None:
    """Return who is signed in after a check that was due, or ``None`` if nobody is any more.

    Many requests at once check once; each of them keeps the outcome in its own session.
    """
    state = app_state()
    after = state.settings.revalidate_after
    if not policy.fits(present.user, state.settings):
        current_app.logger.warning(
            "DingTalk user signed out: %r is outside the rules", present.user
        )
        sign_out()
        return None
    now = time.time()
    if after is None or _overdue(present, after, now) < 0:
        return present
    checked = present
    # What an old session became may be due by now, too; what was asked just now is not, however
    # long that took.
    while _overdue(checked, after, now) >= 0 and _checked_at(checked, now) < now:
        in_grace = _overdue(checked, after, now) <= state.settings.revalidate_grace
        outcome = _outcome(state, checked, patient=in_grace)
        if outcome is checked and in_grace:
            break
        if outcome is None or outcome is checked:
            sign_out()
            return None
        checked = outcome
    if checked is not present:
        # Straight there the next time, however many checks lie between.
        state.revalidations.outcomes.put(_key(present), (checked,))
    if checked.token is not None:
        # A check that broke off may have renewed the tokens before it did.
        checked = replace(checked, token=state.rotations.latest(checked.token))
    if checked.token != present.token or (checked.token is None and checked is not present):
        session.replace_user(checked)
        # What a cookie has no room for is gone for the rule of this view, too.
        return session.signed_in()
    return checked


def _key(present: Login) -> Hashable:
    # Not by the token, which a check that breaks off may have replaced.
    return present.user, present.token is None, present.checked_at


def _overdue(present: Login, after: float, now: float) -> float:
    """Return for how many seconds a check has been due; less than 0 if it is not."""
    return now - _checked_at(present, now) - after


def _checked_at(present: Login, now: float) -> float:
    # Somebody of whom no check is known, or one yet to come, is as overdue as can be.
    checked_at = present.checked_at or 0.0
    return checked_at if checked_at <= now + _CLOCK_TOLERANCE else 0.0


def _outcome(state: AppState, present: Login, *, patient: bool) -> Login | None:
    """Return the user as DingTalk sees them now, ``None`` if they may not stay.

    ``present`` itself means that the check could not be completed, or, for the ``patient``, that it
    was not tried, since DingTalk could not be reached a moment ago.
    """
    memory = state.revalidations
    key = _key(present)

    def work() -> Login | None:
        known = memory.outcomes.get(key)
        if known is not None:
            return known[0]
        if patient and time.time() < max(
            memory.not_before.get(key) or 0, memory.not_before.get(_EVERYBODY) or 0
        ):
            return present
        try:
            outcome = _ask(state, present)
        except OrganisationNotAllowed as error:
            current_app.logger.warning("DingTalk user signed out: %s", error.log_message)
            outcome = None
        except DingTalkError as error:
            current_app.logger.error(
                "DingTalk could not be asked about a user: %s", error.log_message
            )
            again = time.time() + _TRY_AGAIN_AFTER
            if isinstance(error, RateLimited):
                again = max(again, time.time() + error.retry_after)
            unreachable = isinstance(error, RateLimited | DingTalkUnavailable)
            memory.not_before.put(_EVERYBODY if unreachable else key, again)
            return present
        memory.outcomes.put(key, (outcome,))
        return outcome

    return memory.single_flight.run(key, work)


def _ask(state: AppState, present: Login) -> Login:
    """Ask DingTalk; raise ``OrganisationNotAllowed`` for who may not stay."""
    checked_at = time.time()
    member = policy.admit(present.user, state.settings, lambda: state.directory)
    if present.token is None:
        if not state.settings.members_only:
            # Nothing else would tell of somebody who left: who signed in inside the client is a
            # member of the application's own organisation, or nobody.
            state.directory.user_id(member.union_id)
        return Login(member, None, checked_at)
    try:
        token = _fresh(state.rotations.latest(present.token), present)
        user = state.client.user(token)
    except DingTalkError as error:
        refused = error.spent or error.dingtalk_code in TOKEN_REFUSED
        if not (refused and state.settings.members_only):
            raise
        # A member, as the application's own token has just shown; the pair was used elsewhere,
        # and the session is left to whoever has the new one.
        current_app.logger.warning("DingTalk gave no new tokens: %s", error.log_message)
        return replace(present, checked_at=checked_at)
    if user.union_id != member.union_id:
        raise OrganisationNotAllowed("DingTalk names another person for this token")
    policy.check_allowed(user, state.settings)
    user = replace(user, user_id=member.user_id, employee=member.employee)
    return Login(user, token, checked_at)


def _fresh(token: DingTalkToken, present: Login) -> DingTalkToken:
    """Return renewed tokens, or the ones at hand while those are good."""
    try:
        return user_api.renew(present, token)
    except DingTalkError as error:
        # Another process may have been quicker, or an answer got lost.
        if token.is_expired():
            raise
        current_app.logger.warning(
            "DingTalk could not be asked for new tokens: %s", error.log_message
        )
        return token
