"""Tests that a site has for itself, with the tools of `flask_dingtalk.testing`.

    pytest examples/test_site.py

The first ones need no server: somebody is signed in. The others walk through a simulated DingTalk.
"""

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from examples.site import create_app
from flask_dingtalk.testing import DingTalkSimulator, make_employee, make_user, signed_in

pytest_plugins = ["flask_dingtalk.testing.fixtures"]

APPROVER = "审批人"
SETTINGS = {
    "SECRET_KEY": "only for tests",
    "TESTING": True,
    "APPROVER_ROLE": APPROVER,
    "DINGTALK_MEMBERS_ONLY": True,
    "DINGTALK_EMPLOYEE_PROFILE": True,
    "DINGTALK_REVALIDATE_AFTER": 3600,
}


@pytest.fixture(scope="session")
def site(lasting_dingtalk_simulator: DingTalkSimulator) -> Flask:
    """Build the site once; the simulator's address and secrets stay."""
    return create_app({**lasting_dingtalk_simulator.settings, **SETTINGS})


@pytest.fixture
def simulator(lasting_dingtalk_simulator: DingTalkSimulator) -> Iterator[DingTalkSimulator]:
    """Undo what a test does to DingTalk."""
    yield lasting_dingtalk_simulator
    lasting_dingtalk_simulator.reset()


@pytest.fixture
def client(site: Flask) -> FlaskClient:
    """Open a browser."""
    return site.test_client()


# --- Without DingTalk ----------------------------------------------------------------------------


def test_an_approver_sees_the_approvals(client: FlaskClient) -> None:
    """The role stands in the record."""
    boss = make_user(nick="李四", employee=make_employee(name="李四", roles=[APPROVER]))
    assert signed_in(client, boss).get("/approvals").status_code == 200


def test_nobody_else_sees_the_approvals(client: FlaskClient) -> None:
    """Whoever `signed_in` makes is a member without that role."""
    assert signed_in(client).get("/approvals").status_code == 403


def test_an_outsider_is_no_user_of_this_site(client: FlaskClient) -> None:
    """A mistake in a test is an error, and not a redirect that nobody understands."""
    with pytest.raises(ValueError, match="DINGTALK_MEMBERS_ONLY"):
        signed_in(client, make_user(user_id=None))


# --- With a simulated DingTalk -------------------------------------------------------------------


def test_a_sign_in_leads_back(client: FlaskClient, simulator: DingTalkSimulator) -> None:
    """To the page that was asked for."""
    assert simulator.sign_in(client, "li", next="/record").location == "/record"


def test_an_hour_later_a_leaver_is_out(client: FlaskClient, simulator: DingTalkSimulator) -> None:
    """One clock for DingTalk and the site."""
    simulator.sign_in(client, "li")
    simulator.leave("li")
    simulator.advance(3500, site=True)
    assert client.get("/record").status_code == 200
    simulator.advance(200, site=True)
    assert client.get("/record").status_code == 302


def test_a_page_asks_dingtalk_for_nothing(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """All that it shows was there since the sign-in."""
    simulator.sign_in(client, "li")
    simulator.calls.since()
    client.get("/record")
    assert simulator.calls.since() == []
