"""GET /call_back/get_call_back_failed_result lists the events that were pushed and given up."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from flask_dingtalk.testing import DingTalkSimulator
from flask_dingtalk.testing.events import Delivery

from ..helpers import free_port
from ..redis_servers import until
from .helpers import Http

PATH = "/call_back/get_call_back_failed_result"


@pytest.fixture
def listed(http: Http) -> Callable[[], dict[str, Any]]:
    """Return what asks for the list, as documented."""
    token = http.app_token().json()["accessToken"]

    def ask() -> dict[str, Any]:
        answer: dict[str, Any] = http.get(PATH, params={"access_token": token}).json()
        return answer

    return ask


def give_up(simulator: DingTalkSimulator, *events: tuple[str, dict[str, Any]]) -> None:
    """Push events to where nobody is, until the last attempt at each."""
    simulator.application.event_url = f"http://127.0.0.1:{free_port()}/"
    deliveries = [simulator.push(event, **how) for event, how in events]
    for number, seconds in ((1, 10), (2, 30)):
        for each in deliveries:
            until(partial(_was_tried, each, number), "the attempt")
        simulator.advance(seconds)
    assert not any(each.wait() for each in deliveries)


def _was_tried(delivery: Delivery, number: int) -> bool:
    return len(delivery.attempts) == number


def test_an_event_is_listed_three_minutes_after_it_was_given_up(
    simulator: DingTalkSimulator, listed: Callable[[], dict[str, Any]], own: str
) -> None:
    """In a third spelling, with the time at which it happened."""
    give_up(simulator, ("user_leave_org", {"user": "li"}))
    simulator.advance(170)
    assert listed() == {"errcode": 0, "errmsg": "ok", "failed_list": [], "has_more": False}
    simulator.advance(10)
    (entry,) = listed()["failed_list"]
    assert simulator.now() * 1000 - entry.pop("event_time") == pytest.approx(220_000, abs=60_000)
    assert entry == {
        "call_back_tag": "user_leave_org",
        "user_leave_org": {
            "userid": [simulator.users["li"].memberships[own].user_id],
            "corpid": own,
        },
    }


def test_events_of_roles_and_others_have_another_key(
    simulator: DingTalkSimulator, listed: Callable[[], dict[str, Any]], own: str
) -> None:
    """Departments are under the name of the event, as people are."""
    give_up(
        simulator,
        ("label_user_change", {"user": "li"}),
        ("org_dept_create", {"data": {"deptId": [7]}}),
        ("org_change", {}),
    )
    simulator.advance(180)
    by_tag = {each.pop("call_back_tag"): each for each in listed()["failed_list"]}
    assert by_tag["label_user_change"]["roleLabelChange"]["labelidlist"] == [1]
    assert by_tag["org_dept_create"]["org_dept_create"] == {"deptid": [7], "corpid": own}
    assert by_tag["org_change"]["callbackData"] == {"corpid": own}


def test_a_call_deletes_what_the_one_before_returned(
    simulator: DingTalkSimulator, listed: Callable[[], dict[str, Any]]
) -> None:
    """At most 200 come at a time."""
    give_up(simulator, *[("org_change", {}) for _ in range(201)])
    simulator.advance(180)
    answers = [listed() for _ in range(3)]
    assert [len(each["failed_list"]) for each in answers] == [200, 1, 0]
    assert [each["has_more"] for each in answers] == [True, False, False]


def test_an_event_that_arrived_is_not_listed(
    simulator: DingTalkSimulator, listed: Callable[[], dict[str, Any]]
) -> None:
    """Nor is one that nobody heard by Stream mode."""
    assert not simulator.push("user_leave_org", user="li").wait()
    simulator.advance(180)
    assert listed()["failed_list"] == []


def test_the_list_needs_a_token_and_a_permission(simulator: DingTalkSimulator, http: Http) -> None:
    """As every call of the old API."""
    assert http.get(PATH).json()["sub_code"] == "40000"
    token = http.app_token().json()["accessToken"]
    simulator.application.permissions.discard("qyapi_base")
    assert http.get(PATH, params={"access_token": token}).json()["sub_code"] == "60011"
    assert http.post(PATH, params={"access_token": token}).json()["errcode"] == 43001
