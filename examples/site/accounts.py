"""The sign-in, and the site's own record of each person."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from flask import Flask, current_app

from flask_dingtalk import DingTalk, DingTalkToken, DingTalkUser

dingtalk = DingTalk()


@dataclass(frozen=True, slots=True)
class Account:
    """What this site itself records about a person."""

    union_id: str
    user_id: str | None
    name: str | None
    first_sign_in: datetime
    last_sign_in: datetime
    sign_ins: int = 1


def init_app(app: Flask) -> None:
    """Add the sign-in and an empty table of accounts."""
    dingtalk.init_app(app)
    # A real site uses a database table; this one forgets everybody when it stops.
    app.extensions["accounts"] = {}


def find(user: DingTalkUser) -> Account | None:
    """Return the account of a user; ``None`` if the site has restarted since they signed in."""
    return _table().get(user.union_id)


def name_of(user_id: str) -> str | None:
    """Return the name of a member of the company, or ``None`` if they never signed in here."""
    names = (each.name for each in _table().values() if each.user_id == user_id)
    return next(names, None)


@dingtalk.on_login
def remember(user: DingTalkUser, token: DingTalkToken | None) -> None:
    """Create or update the account of the person who signs in."""
    now = datetime.now(UTC)
    name = (user.employee.name if user.employee is not None else None) or user.nick
    # Find people only by union_id: a phone number or e-mail address can change hands.
    account = find(user)
    _table()[user.union_id] = (
        Account(user.union_id, user.user_id, name, first_sign_in=now, last_sign_in=now)
        if account is None
        else replace(
            account,
            user_id=user.user_id,
            name=name,
            last_sign_in=now,
            sign_ins=account.sign_ins + 1,
        )
    )


def has_role(user: DingTalkUser, role: str) -> bool:
    """Tell whether a user has a role of this name in the company's directory."""
    roles = user.employee.roles if user.employee is not None else None
    return any(each.name == role for each in roles or ())


def company_of(user: DingTalkUser) -> str | None:
    """Return the name of the company, or ``None`` if the user is not known to be a member."""
    name: str | None = current_app.config["COMPANY_NAME"]
    return name if user.user_id is not None else None


def _table() -> dict[str, Account]:
    table: dict[str, Account] = current_app.extensions["accounts"]
    return table
