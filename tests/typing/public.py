"""Read by mypy alone: what a type checker sees of the public names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, assert_type

import requests
from flask import Blueprint, Flask, Response
from flask.views import View

from flask_dingtalk import (
    DingTalk,
    DingTalkToken,
    DingTalkUser,
    current_dingtalk_user,
    login_required,
)

app = Flask(__name__)
dingtalk = DingTalk(app)


@login_required
def plain(number: int) -> str:
    """Keep the signature."""
    return str(number)


@login_required(corp_ids=["ding1"], check=lambda user: user.nick == "张三")
async def asynchronous(name: str) -> Response:
    """Keep the signature, of an async view with rules."""
    return Response(name)


class Page(View):
    """Take both forms as decorators."""

    decorators = [login_required, login_required(corp_ids={"ding1"})]  # noqa: RUF012


@dingtalk.on_login
def without_answer(user: DingTalkUser, token: DingTalkToken | None) -> None:
    """Answer nothing."""


@dingtalk.on_login
def with_answer(user: DingTalkUser, token: DingTalkToken | None) -> tuple[str, int] | None:
    """Answer what a view may."""
    return user.nick or "", 200


assert_type(plain(1), str)
assert_type(current_dingtalk_user, DingTalkUser)
assert_type(current_dingtalk_user.nick, str | None)
assert_type(current_dingtalk_user.phone_number, str | None)
assert_type(dingtalk.token, DingTalkToken | None)
assert_type(dingtalk.get("/v1.0/contact/users/me"), requests.Response)
assert_type(dingtalk.blueprint, Blueprint)
if current_dingtalk_user.employee is not None:
    assert_type(current_dingtalk_user.employee.name, str | None)
    assert_type(current_dingtalk_user.employee.hired_date, datetime | None)
    assert_type(current_dingtalk_user.employee.department_ids, tuple[int, ...] | None)
    assert_type(current_dingtalk_user.employee.extension, Mapping[str, Any] | None)
    assert_type(current_dingtalk_user.employee.admin, bool | None)
    for role in current_dingtalk_user.employee.roles or ():
        assert_type(role.group_name, str | None)
if dingtalk.token is not None:
    assert_type(dingtalk.token.expires_at, datetime)
    assert_type(dingtalk.token.is_expired(leeway=5), bool)

a_guard: Callable[[Callable[[], str]], Callable[[], str]] = login_required(corp_ids=["ding1"])
