"""People and organisations can be added and changed."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from flask_dingtalk.testing import DingTalkSimulator

from .helpers import Http


def test_there_are_three_people_in_two_organisations(
    simulator: DingTalkSimulator, own: str, other: str
) -> None:
    """One person is in both organisations, one in each."""
    belongings = {name: person.corp_ids for name, person in simulator.users.items()}
    assert belongings == {"zhang": (own, other), "li": (own,), "wang": (other,)}
    assert re.fullmatch(r"ding[0-9a-f]{32}", own)
    assert simulator.application.corp_id == own
    assert re.fullmatch(r"ding[a-z0-9]{16}", simulator.application.client_id)


def test_people_can_be_added(http: Http) -> None:
    """New people have the ids that they are given."""
    http.simulator.add_organisation("dingnew", "新公司")
    person = http.simulator.add_user(
        "zhao",
        nick="赵六",
        avatar_url="https://example.com/a.png",
        mobile="5550100",
        state_code="1",
        union_id="u1",
        open_id="o1",
        corp_ids=["dingnew"],
        user_ids={"dingnew": "manager01"},
    )
    assert person.memberships["dingnew"].user_id == "manager01"
    assert http.tokens("zhao", "dingnew")["corpId"] == "dingnew"
    assert http.profile("zhao") == {
        "nick": "赵六",
        "unionId": "u1",
        "openId": "o1",
        "avatarUrl": "https://example.com/a.png",
        "mobile": "5550100",
        "stateCode": "1",
        "visitor": False,
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda it: it.add_user("li", nick="x"), "already a user", id="user"),
        pytest.param(
            lambda it: it.add_organisation(it.application.corp_id, "x"),
            "already an organisation",
            id="organisation",
        ),
        pytest.param(
            lambda it: it.add_user("x", nick="x", corp_ids=["dingx"]),
            "no organisation 'dingx'",
            id="member-of-nothing",
        ),
        pytest.param(lambda it: it.leave("wang"), "not in the organisation", id="leave"),
        pytest.param(
            lambda it: it.authorization_code("nobody"), "There are zhang, li, wang", id="nobody"
        ),
        pytest.param(
            lambda it: it.authorization_code("li", corp_id="dingx"), "is not a member of", id="code"
        ),
        pytest.param(lambda it: it.in_app_code("wang"), "is not a member of", id="in-app-code"),
        pytest.param(
            lambda it: setattr(it, "in_app_user", "nobody"), "no user 'nobody'", id="phone"
        ),
        pytest.param(lambda it: it.advance(-1), "can only move forward", id="clock"),
    ],
)
def test_impossible_changes_are_refused(
    simulator: DingTalkSimulator,
    change: Callable[[DingTalkSimulator], object],
    words: str,
) -> None:
    """The error says what is wrong."""
    with pytest.raises(ValueError, match=words):
        change(simulator)


def test_person_can_join_an_organisation(simulator: DingTalkSimulator, own: str) -> None:
    """Memberships can change at any time."""
    simulator.join("wang")
    assert own in simulator.users["wang"].corp_ids
