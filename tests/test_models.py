"""``DingTalkUser`` and ``DingTalkToken``."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import FrozenInstanceError, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask, jsonify
from flask.typing import ResponseReturnValue

from flask_dingtalk import DingTalkToken, DingTalkUser, current_dingtalk_user
from flask_dingtalk.api.employee import Employee
from flask_dingtalk.testing import DingTalkSimulator, signed_in

USER = DingTalkUser(
    union_id="u-1", nick="张三", mobile="15012349144", state_code="86", email="z@example.com",
    raw={"nick": "张三", "tags": ["a", {"b": 1}]},
)  # fmt: skip
TOKEN = DingTalkToken("access-secret", "refresh-secret", datetime.now(UTC), "ding1")


def test_only_the_identity_is_required() -> None:
    """Fields that DingTalk did not send are None."""
    user = DingTalkUser(union_id="u-1")
    assert (user.open_id, user.nick, user.avatar_url, user.mobile, user.state_code) == (None,) * 5
    assert (user.email, user.corp_id, user.user_id, user.employee) == (None,) * 4
    assert user.raw == {}


def test_nobody_is_no_user() -> None:
    """An empty union id is refused."""
    with pytest.raises(ValueError, match="union_id"):
        DingTalkUser(union_id="")


@pytest.mark.parametrize("value", [USER, TOKEN], ids=["user", "token"])
def test_it_cannot_be_changed(value: Any) -> None:
    """Requests share it."""
    with pytest.raises(FrozenInstanceError):
        value.corp_id = "x"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda raw: raw.update(nick="x"), id="update"),
        pytest.param(lambda raw: raw.__setitem__("nick", "x"), id="assignment"),
        pytest.param(lambda raw: raw.pop("nick"), id="pop"),
        pytest.param(lambda raw: raw.clear(), id="clear"),
        pytest.param(lambda raw: raw.setdefault("x", 1), id="setdefault"),
        pytest.param(lambda raw: raw["tags"][1].update(b=2), id="deep inside"),
    ],
)
def test_what_dingtalk_sent_cannot_be_changed_either(change: Any) -> None:
    """Nested data cannot be changed either."""
    with pytest.raises(TypeError):
        change(USER.raw)
    assert USER.raw["nick"] == "张三"


def test_a_dict_given_to_it_is_copied() -> None:
    """Later changes to the dict have no effect."""
    mine = {"nick": "a"}
    user = DingTalkUser(union_id="u", raw=mine)
    mine["nick"] = "b"
    assert user.raw["nick"] == "a"


def test_what_dingtalk_sent_can_be_sent_on_as_json() -> None:
    """Flask's jsonify takes it."""
    app = Flask(__name__)
    with app.app_context():
        assert jsonify(USER.raw).get_json() == {"nick": "张三", "tags": ["a", {"b": 1}]}


def test_the_current_user_can_be_sent_as_json(app: Flask) -> None:
    """Flask's jsonify takes it, with the record and with what DingTalk sent."""

    @app.get("/me")
    def me() -> ResponseReturnValue:
        return jsonify(user=current_dingtalk_user)

    employee = Employee({"userid": "e-1", "role_list": [{"id": 1, "name": "Manager"}]})
    client = signed_in(app.test_client(), replace(USER, employee=employee))
    answer = client.get("/me").json
    assert answer is not None
    sent = answer["user"]
    assert (sent["union_id"], sent["nick"], sent["corp_id"]) == ("u-1", "张三", None)
    assert sent["raw"] == {"nick": "张三", "tags": ["a", {"b": 1}]}
    assert sent["employee"]["raw"]["role_list"] == [{"id": 1, "name": "Manager"}]


def test_nobody_can_be_sent_as_json(app: Flask) -> None:
    """Every field is null."""

    @app.get("/me")
    def me() -> ResponseReturnValue:
        return jsonify(current_dingtalk_user)

    answer = app.test_client().get("/me").json
    assert answer is not None
    assert answer.keys() == {each.name for each in fields(DingTalkUser)}
    assert not any(answer.values())


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda u: pickle.loads(pickle.dumps(u))]
)
def test_a_user_can_be_copied_and_handed_to_another_process(duplicate: Any) -> None:
    """A background job may want it."""
    again = duplicate(USER)
    assert again == USER
    assert again.raw == USER.raw


def test_users_can_be_compared_and_be_members_of_a_set() -> None:
    """By their documented fields."""
    assert len({USER, copy.deepcopy(USER), DingTalkUser(union_id="u-2")}) == 2


def test_it_can_be_a_flask_login_user() -> None:
    """With the four things that Flask-Login asks for."""
    assert (USER.is_authenticated, USER.is_active, USER.is_anonymous) == (True, True, False)
    assert USER.get_id() == "u-1"


def test_the_repr_of_a_token_shows_no_secret() -> None:
    """A ``repr`` may be logged."""
    assert "secret" not in repr(TOKEN)
    assert "ding1" in repr(TOKEN)


def test_the_repr_of_a_user_shows_no_private_data() -> None:
    """Neither number nor address; nick and union id tell who it is."""
    assert "15012349144" not in repr(USER)
    assert "example.com" not in repr(USER)
    assert "u-1" in repr(USER)


@pytest.mark.parametrize(
    ("state_code", "mobile", "expected"),
    [
        pytest.param("86", "15012349144", "+8615012349144", id="China"),
        pytest.param("1", "2025550123", "+12025550123", id="one-digit country code"),
        pytest.param("852", "51234567", "+85251234567", id="three-digit country code"),
        pytest.param("86", "155****3240", None, id="masked"),
        pytest.param("86", None, None, id="withheld"),
        pytest.param(None, "15012349144", None, id="no country code"),
        pytest.param("+86", "15012349144", None, id="country code with plus"),
        pytest.param("086", "15012349144", None, id="country code with zero"),
        pytest.param("86", "+8615012349144", None, id="number with plus"),
        pytest.param("86", "150-1234-9144", None, id="number with dashes"),
        pytest.param("86", "１５０１２３４９１４４", None, id="full-width digits"),
        pytest.param("86", "15012349144\n", None, id="line break"),
        pytest.param("86", "123456789012345", None, id="too long for E.164"),
    ],
)
def test_the_phone_number_is_e164_or_none(
    state_code: str | None, mobile: str | None, expected: str | None
) -> None:
    """Only where both parts are digits."""
    user = DingTalkUser(union_id="u", state_code=state_code, mobile=mobile)
    assert user.phone_number == expected


@pytest.mark.parametrize(
    ("left", "leeway", "expected"),
    [(120, 60, False), (30, 60, True), (30, 0, False), (-1, 0, True), (120, 200, True)],
)
def test_a_token_counts_as_expired_some_seconds_ahead(
    left: int, leeway: float, expected: bool
) -> None:
    """A minute unless said otherwise."""
    token = DingTalkToken("a", "b", datetime.now(UTC) + timedelta(seconds=left))
    assert token.is_expired(leeway) is expected


def test_a_token_without_a_time_zone_is_refused() -> None:
    """Its end would be unknown."""
    with pytest.raises(ValueError, match="aware"):
        DingTalkToken("a", "b", datetime(2030, 1, 1))


def test_a_profile_gives_what_logtos_connector_gives(
    simulator: DingTalkSimulator, client: Any
) -> None:
    """Id, name, avatar, e-mail and phone from the same fields."""
    from flask_dingtalk import user_logged_in

    users: list[DingTalkUser] = []

    def listen(sender: Flask, user: DingTalkUser, token: DingTalkToken) -> None:
        users.append(user)

    with user_logged_in.connected_to(listen):
        simulator.sign_in(client, "zhang")
    (user,) = users
    raw = json.loads(json.dumps(user.raw))
    assert user.union_id == raw["unionId"]
    assert user.nick == raw["nick"]
    assert user.avatar_url == raw["avatarUrl"]
    assert user.email == raw["email"]
    assert user.phone_number == "+" + raw["stateCode"] + raw["mobile"]
    assert user.open_id == raw["openId"]
