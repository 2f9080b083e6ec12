"""Who the people of this site are: the sign-in, and the site's own record of each person."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from flask import Flask, current_app

from flask_dingtalk import DingTalk, DingTalkToken, DingTalkUser

dingtalk = DingTalk()


@dataclass(frozen=True, slots=True)
class Account:
    """What this site itself knows of a person."""

    union_id: str
    first_sign_in: datetime
    last_sign_in: datetime
    sign_ins: int = 1


def init_app(app: Flask) -> None:
    """Add the sign-in and an empty table of accounts."""
    dingtalk.init_app(app)
    # A real site has a database table here; this one forgets everybody when it stops.
    app.extensions["accounts"] = {}


def find(user: DingTalkUser) -> Account | None:
    """Return the account of a user; ``None`` for one who signed in before the last start."""
    return _table().get(user.union_id)


@dingtalk.on_login
def remember(user: DingTalkUser, token: DingTalkToken | None) -> None:
    """Open or update the account of whoever signs in."""
    now = datetime.now(UTC)
    account = find(user)
    # By union_id alone. Two people can have had the same phone number or e-mail address.
    _table()[user.union_id] = (
        Account(user.union_id, first_sign_in=now, last_sign_in=now)
        if account is None
        else replace(account, last_sign_in=now, sign_ins=account.sign_ins + 1)
    )


def has_role(user: DingTalkUser, role: str) -> bool:
    """Tell whether the company's directory gives a user a role of that name."""
    roles = user.employee.roles if user.employee is not None else None
    return any(each.name == role for each in roles or ())


def company_of(user: DingTalkUser) -> str | None:
    """Return the name of the company if the user is known as one of its members."""
    name: str | None = current_app.config["COMPANY_NAME"]
    return name if user.user_id is not None else None


def _table() -> dict[str, Account]:
    table: dict[str, Account] = current_app.extensions["accounts"]
    return table
