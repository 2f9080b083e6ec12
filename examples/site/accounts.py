"""The sign-in, and the site's own record of each person."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from flask import Flask, current_app

from flask_dingtalk import DingTalk, DingTalkError, DingTalkToken, DingTalkUser, Employee

dingtalk = DingTalk()


@dataclass(frozen=True, slots=True)
class Account:
    """What this site itself records about a person."""

    union_id: str
    user_id: str | None
    name: str | None
    latin_name: str | None
    first_sign_in: datetime
    last_sign_in: datetime
    sign_ins: int = 1


def init_app(app: Flask) -> None:
    """Add the sign-in and an empty table of accounts."""
    dingtalk.init_app(app)
    # A real site uses a database table; this one forgets everybody when it stops.
    app.extensions["accounts"] = {}
    app.extensions["managers"] = {}


def find(user: DingTalkUser) -> Account | None:
    """Return the account of a user; ``None`` if the site has restarted since they signed in."""
    return _table().get(user.union_id)


def manager_of(employee: Employee) -> str | None:
    """Return the name of an employee's manager, or the id if the directory does not tell the name.

    A record has only the manager's id. The directory knows the name of everybody in the company,
    whether or not they ever signed in here. [query-user-details]
    """
    user_id = employee.manager_user_id
    names: dict[str, str] = current_app.extensions["managers"]
    if user_id is not None and user_id not in names:
        try:
            answer = dingtalk.as_app.post("/topapi/v2/user/get", data={"userid": user_id})
            names[user_id] = answer.json()["result"]["name"]
        except (DingTalkError, KeyError) as error:
            current_app.logger.warning("The name of a manager is not known: %r", error)
            return user_id
    return None if user_id is None else names[user_id]


def latin_name_of(user: DingTalkUser) -> str | None:
    """Return a person's name in Latin letters, for pages in English."""
    account = find(user)
    return account.latin_name if account is not None else None


@dingtalk.on_login
def remember(user: DingTalkUser, token: DingTalkToken | None) -> None:
    """Create or update the account of the person who signs in."""
    now = datetime.now(UTC)
    name = (user.employee.name if user.employee is not None else None) or user.nick
    latin_name = _latin_name_in(user.employee)
    # Find people only by union_id: a phone number or e-mail address can change hands.
    account = find(user)
    _table()[user.union_id] = (
        Account(user.union_id, user.user_id, name, latin_name, first_sign_in=now, last_sign_in=now)
        if account is None
        else replace(
            account,
            user_id=user.user_id,
            name=name,
            latin_name=latin_name,
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


def _latin_name_in(employee: Employee | None) -> str | None:
    """Read the company's own field of a record; ``None`` without a record or the field."""
    fields = employee.extension if employee is not None else None
    name = (fields or {}).get(current_app.config["LATIN_NAME_FIELD"])
    return name if isinstance(name, str) and name else None


def _table() -> dict[str, Account]:
    table: dict[str, Account] = current_app.extensions["accounts"]
    return table
