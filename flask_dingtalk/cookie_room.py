"""How much of a login the session cookie has room for.

Browsers drop a cookie that is too long without a word (RFC 6265, section 6.1). So a session is
measured before it is changed, and what is least needed is left out. A session that is kept on the
server has room for everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from flask import current_app
from flask.sessions import SecureCookieSessionInterface
from werkzeug.wrappers import Response

from .api import wire
from .api.employee import FIELD_NAMES, LEFT_OUT, Employee
from .api.frozen_json import FrozenDict, frozen
from .api.models import DingTalkUser
from .app_state import this_app
from .codec import pack
from .errors import ConfigurationError
from .login import Login

if TYPE_CHECKING:
    from .seal import Sealer

#: The longest cookie that every browser keeps.
_MAX_COOKIE_BYTES: Final = 4093
#: What is left of it at a sign-in for the states of later ones.
_STATES_BYTES: Final = 220
#: What a sealed login may take of a cookie, so that the site has room for its own data.
_MAX_SEALED_BYTES: Final = 2000


@dataclass(frozen=True, slots=True)
class Measured:
    """A session that was measured before it is kept."""

    #: The size of the whole cookie; ``None`` where the session is kept on the server.
    cookie_bytes: int | None

    @property
    def fits(self) -> bool:
        """Whether browsers keep the cookie."""
        return self.cookie_bytes is None or self.cookie_bytes <= _MAX_COOKIE_BYTES

    @property
    def fits_with_states(self) -> bool:
        """Whether there is also room for the states of later sign-ins."""
        return self.cookie_bytes is None or self.cookie_bytes <= _MAX_COOKIE_BYTES - _STATES_BYTES

    def too_large(self) -> ConfigurationError:
        """Return the error for a session that does not fit."""
        return ConfigurationError(
            f"the session cookie would have {self.cookie_bytes} bytes, and browsers drop one over "
            f"{_MAX_COOKIE_BYTES} ({_STATES_BYTES} of them are for sign-ins under way)",
            hint="keep less in the session, or use server-side sessions (Flask-Session)",
        )


@dataclass(frozen=True, slots=True)
class Fitting(Measured):
    """As much of a login as fits, and its sealed text."""

    login: Login
    text: str

    def lost_of(self, whole: Login) -> list[str]:
        """Return the names of what the whole login has and this one has no room for."""
        pairs = [(whole.user.raw, self.login.user.raw)]
        if whole.user.employee is not None and self.login.user.employee is not None:
            pairs.insert(0, (whole.user.employee.raw, self.login.user.employee.raw))
        return [name for all_of, kept in pairs for name in all_of if name not in kept]


def measure(content: Mapping[str, Any]) -> Measured:
    """Measure the cookie of a session with this content."""
    interface = current_app.session_interface
    if not isinstance(interface, SecureCookieSessionInterface):
        return Measured(None)
    trial: Any = Response()
    trial.max_cookie_size = 0  # we measure; Werkzeug need not warn
    session = interface.session_class(content)
    session.modified = True
    interface.save_session(this_app(), session, trial)
    return Measured(max((len(cookie) for cookie in trial.headers.getlist("Set-Cookie")), default=0))


def fit(login: Login, sealer: Sealer, content: Mapping[str, Any], key: str) -> Fitting:
    """Seal as much of a login as fits into a session with this content, under ``key``.

    What has to stay is sealed whatever its size: see ``fits`` of the result.
    """
    *smaller, smallest = _slimmer(login.user)
    for user in smaller:
        fitting = _seal(replace(login, user=user), sealer, content, key)
        has_room = fitting.fits_with_states and len(fitting.text) <= _MAX_SEALED_BYTES
        if fitting.cookie_bytes is None or has_room:
            return fitting
    return _seal(replace(login, user=smallest), sealer, content, key)


def _seal(login: Login, sealer: Sealer, content: Mapping[str, Any], key: str) -> Fitting:
    text = sealer.seal(pack(login))
    return Fitting(measure({**content, key: text}).cookie_bytes, login, text)


def _slimmer(user: DingTalkUser) -> Iterator[DingTalkUser]:
    """Yield ``user``, then with less and less in ``raw``: of the employee, then of the profile.

    What no field of `Employee` shows goes first, then the organisation's own fields and the remark,
    then the roles, and last what DingTalk added to the profile without documenting it. The record
    remembers which of its fields are gone.
    """
    yield user
    if user.employee is not None:
        raw = user.employee.raw
        user = replace(user, employee=Employee(_only(raw, FIELD_NAMES)))
        yield user
        left_out = frozenset[str]()
        for names in ((wire.EMPLOYEE_EXTENSION, wire.EMPLOYEE_REMARK), (wire.EMPLOYEE_ROLES,)):
            left_out |= raw.keys() & set(names)
            kept = tuple(name for name in FIELD_NAMES if name not in left_out)
            trimmed = {**_only(raw, kept), LEFT_OUT: sorted(left_out)}
            user = replace(user, employee=Employee(trimmed))
            yield user
    yield replace(user, raw=_only(user.raw, wire.PROFILE_FIELDS + wire.USER_INFO_FIELDS))


def _only(raw: Mapping[str, Any], names: tuple[str, ...]) -> FrozenDict:
    return frozen({name: raw[name] for name in names if name in raw})
