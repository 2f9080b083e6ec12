"""Check a signed-in user with DingTalk again: somebody who left must not stay signed in.

A check asks up to four things, each of another API: membership and record with the application's
own token, then new tokens and the profile with the user's. What DingTalk does say counts, whatever
else of the check fails. A check ends in one of three outcomes:

- `Stays`: everything that the settings ask for was answered, and the user may stay;
- `MustLeave`: DingTalk said no, and the login ends at once;
- `Unknown`: something could not be found out. The user stays for the grace period, with what was
  learned, and DingTalk is asked again after a pause. Refused tokens get a minute, however long the
  check was overdue.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

from . import policy, session, signals
from .api.error_codes import TOKEN_REFUSED
from .api.models import DingTalkToken
from .app_state import AppState, app_state, this_app
from .errors import (
    DingTalkError,
    DingTalkUnavailable,
    LoginRequired,
    OrganisationNotAllowed,
    RateLimited,
    StoreUnavailable,
)
from .login import Login, MustLeave, Outcome, Stays, Unknown
from .logs import facts
from .signin import sign_out
from .store.people import marked_at

_log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

#: Seconds until an API that gave no answer is asked again, about anybody.
_TRY_AGAIN_AFTER: Final = 30
#: Seconds after which tokens that DingTalk refuses end a login. Not at the first refusal: another
#: process may have renewed the pair, and the browser may be about to bring the new one.
_REFUSED_FOR_GOOD: Final = 60
#: The APIs that a check asks; each is left alone by itself when it gives no answer.
_MEMBERSHIP: Final = "membership"
_RECORD: Final = "record"
_TOKENS: Final = "tokens"
_PROFILE: Final = "profile"


def still_signed_in(login: Login) -> Login | None:
    """Return the login with which this request goes on after a check that was due.

    Returns ``None`` if nobody is signed in any more. Many requests at once check once.
    """
    state = app_state()
    after = state.settings.revalidate_after
    if not policy.fits(login.user, state.settings):
        _sign_out(login, "the user is outside the rules of the settings")
        return None
    if after is None and login.mark is None:
        return login
    now = time.time()
    overdue = -1.0 if after is None else now - login.last_check(now) - after
    if login.mark is not None:
        overdue = max(overdue, now - marked_at(login.mark), 0.0)
    if overdue < 0:
        return login
    in_grace = overdue <= state.settings.revalidate_grace
    outcome = _check_once(state, login, in_grace=in_grace)
    if isinstance(outcome, Unknown) and not (in_grace or outcome.may_still_renew):
        outcome = MustLeave("the check was overdue for longer than DINGTALK_REVALIDATE_GRACE")
    if isinstance(outcome, MustLeave):
        _sign_out(login, outcome.reason)
        return None
    return session.replace_login(outcome.login)


def _sign_out(login: Login, reason: str) -> None:
    _log.info("DingTalk: a user was signed out: %s", reason, extra=facts("signed_out_by_check"))
    _log.debug("DingTalk: that was %r", login.user.union_id, extra=facts("signed_out_by_check"))
    sign_out()


def _check_once(state: AppState, login: Login, *, in_grace: bool) -> Outcome:
    """Check a login, or wait for another request that is checking it."""
    check = _Check(state, login, in_grace=in_grace)
    key = (login.id, login.checked_at, login.mark)
    try:
        outcome = state.memory.checks.run(key, check.run, state.patience)
    except DingTalkUnavailable as error:
        if state.has_store and not in_grace:
            # The request that is checking may be about to say that the user stays.
            raise StoreUnavailable(error.detail) from None
        # Another request is checking this login, and takes too long for this one.
        _log.warning(
            "DingTalk could not be asked about a user: %s",
            error.log_message,
            extra=facts("check_impossible", error),
        )
        outcome = Unknown(login)
    if check.refreshed is not None:
        # Send the signal when no request waits for this check: a receiver may do anything.
        signals.token_refreshed.send(this_app(), user=login.user, token=check.refreshed)
    return outcome


class _NoAnswer(Exception):
    """DingTalk could not be asked, or gave no answer to the question."""


class _Unreachable(_NoAnswer):
    """No answer came; another call of the same server would not get one either."""


class _Check:
    """One check of one login."""

    def __init__(self, state: AppState, login: Login, *, in_grace: bool) -> None:
        self._state = state
        self._login = login
        self._in_grace = in_grace
        self._refresh_refused = False
        #: The pair of tokens that this check fetched.
        self.refreshed: DingTalkToken | None = None

    def run(self) -> Outcome:
        """Ask DingTalk, unless somebody else has just done so or it is too early."""
        now = time.time()
        logins = self._state.memory.logins
        known = logins.read(self._login, now)
        if known is None:
            return MustLeave("the sign-in has ended")
        has_been_checked = known.last_check(now) > self._login.last_check(now)
        if known.mark is None and (has_been_checked or self._login.mark is not None):
            # Another request has already checked.
            return Stays(known)
        pauses = self._state.memory.pauses
        if pauses.is_paused((known.id, "refused")):
            return Unknown(known, may_still_renew=True)
        if self._in_grace and pauses.is_paused(known.id):
            return Unknown(known)
        outcome = self._ask(known)
        if isinstance(outcome, MustLeave):
            return outcome
        kept = logins.update(known, outcome.login, now)
        if kept is None:
            return MustLeave("the sign-in has ended")
        if isinstance(outcome, Stays):
            # The mark that was there before DingTalk was asked, and no later one.
            logins.clear_mark(known)
        return replace(outcome, login=kept)

    def _ask(self, login: Login) -> Outcome:
        checked_at = int(time.time())
        learned, is_complete = login, True
        asks = [self._membership, self._record, self._tokens, self._profile]
        while asks:
            ask = asks.pop(0)
            try:
                learned = ask(learned)
            except _NoAnswer as no_answer:
                is_complete = False
                if ask == self._membership:
                    # The user's tokens do not tell of somebody who left. The record does, if its
                    # server answers.
                    asks = [] if isinstance(no_answer, _Unreachable) else [self._record]
            except OrganisationNotAllowed as error:
                return MustLeave(error.log_message)
            except LoginRequired:
                # DingTalk takes neither token, but the membership check succeeded.
                if self._state.settings.members_only:
                    continue
                if self._refused_for_good(learned.token):
                    return MustLeave("DingTalk has refused the user's tokens for a minute")
                self._state.memory.pauses.pause((login.id, "refused"), _REFUSED_FOR_GOOD)
                return Unknown(learned, may_still_renew=True)
        if not is_complete:
            self._state.memory.pauses.pause(login.id, _TRY_AGAIN_AFTER)
            return Unknown(learned)
        return Stays(replace(learned, checked_at=checked_at))

    def _membership(self, login: Login) -> Login:
        settings = self._state.settings
        policy.check_allowed(login.user, settings)
        # Somebody who signed in inside the client is a member, or nobody: no token tells of them.
        is_required = settings.members_only or login.token is None
        if not (is_required or settings.employee_profile):
            return replace(login, user=policy.without_membership(login.user))
        try:
            user_id = self._question(
                _MEMBERSHIP, self._state.directory.user_id, login.user.union_id
            )
        except OrganisationNotAllowed:
            if is_required:
                raise
            return replace(login, user=replace(login.user, user_id=None, employee=None))
        return replace(login, user=replace(login.user, user_id=user_id))

    def _record(self, login: Login) -> Login:
        user = login.user
        if not self._state.settings.employee_profile or user.user_id is None:
            return login
        try:
            employee = self._question(
                _RECORD, self._state.directory.employee, user.user_id, user.union_id
            )
        except OrganisationNotAllowed:
            if self._state.settings.members_only:
                raise
            return replace(login, user=replace(user, user_id=None, employee=None))
        return replace(login, user=replace(user, employee=employee))

    def _tokens(self, login: Login) -> Login:
        token = login.token
        if token is None or not session.can_be_saved():
            return login
        memory, client = self._state.memory, self._state.client
        try:
            refreshed = self._question(
                _TOKENS, memory.refreshes.refresh, token, client.refresh, self._state.patience
            )
        except LoginRequired as error:
            _log.info(
                "DingTalk could not be asked for new tokens: %s",
                error.log_message,
                extra=facts("tokens_refused", error),
            )
            self._refresh_refused = True
            return login
        except _NoAnswer:
            if token.is_expired():
                raise
            # The access token at hand is still good enough to ask with.
            return login
        if refreshed.is_new:
            self.refreshed = refreshed.token
            if (store := self._state.store) is not None:
                # At once: whatever else of this check fails, the old pair is of no use any more.
                before = replace(login, token=refreshed.follows)
                store.logins.update_token(before, refreshed.token, time.time())
        return replace(login, token=refreshed.token)

    def _profile(self, login: Login) -> Login:
        """Ask who the user is; raise ``LoginRequired`` if DingTalk takes neither token."""
        token = login.token
        if token is None:
            return login
        if token.is_expired():
            raise self._no_profile()
        try:
            profile = self._question(_PROFILE, self._state.client.user, token)
        except DingTalkError as error:
            if error.dingtalk_code not in TOKEN_REFUSED:
                raise
            raise self._no_profile() from None
        if profile.union_id != login.user.union_id:
            raise OrganisationNotAllowed("DingTalk names another person for this token")
        policy.check_allowed(profile, self._state.settings)
        user = replace(profile, user_id=login.user.user_id, employee=login.user.employee)
        return replace(login, user=user)

    def _no_profile(self) -> Exception:
        return LoginRequired() if self._refresh_refused else _NoAnswer()

    def _refused_for_good(self, token: DingTalkToken | None) -> bool:
        if token is None:
            return False
        seconds = self._state.memory.refreshes.refused_for(token, time.time())
        return seconds is not None and seconds >= _REFUSED_FOR_GOOD

    def _question(self, api: str, function: Callable[..., Answer], *arguments: Any) -> Answer:
        """Ask one API; raise ``_NoAnswer`` if it cannot answer, or could not a moment ago.

        Raises ``OrganisationNotAllowed``, ``LoginRequired`` and, for the profile, the codes of a
        refused token: these are answers.
        """
        pauses = self._state.memory.pauses
        # Beyond the grace, only a DingTalk that was out of reach a moment ago is not asked.
        if pauses.is_paused((api, "unreachable")):
            raise _Unreachable
        if self._in_grace and pauses.is_paused((api, "throttled")):
            raise _NoAnswer
        try:
            return function(*arguments)
        except (OrganisationNotAllowed, LoginRequired):
            raise
        except DingTalkError as error:
            if api == _PROFILE and error.dingtalk_code in TOKEN_REFUSED:
                raise
            _log.error(
                "DingTalk could not be asked about a user: %s",
                error.log_message,
                extra=facts("check_impossible", error),
            )
            if isinstance(error, RateLimited):
                pauses.pause((api, "throttled"), max(_TRY_AGAIN_AFTER, error.retry_after))
            elif isinstance(error, DingTalkUnavailable):
                pauses.pause((api, "unreachable"), _TRY_AGAIN_AFTER)
                raise _Unreachable from None
            raise _NoAnswer from None
