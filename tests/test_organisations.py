"""``DINGTALK_ALLOWED_CORP_IDS``: only some organisations are admitted."""

from __future__ import annotations

import pytest

from flask_dingtalk.testing import DingTalkSimulator

from .helpers import AppFactory, come_back, query_of, start


@pytest.fixture
def corp_ids(simulator: DingTalkSimulator) -> list[str]:
    """Name the two organisations: the application's own and another one."""
    return list(simulator.organisations)


def test_setting_it_asks_dingtalk_for_the_organisation(
    make_app: AppFactory, corp_ids: list[str]
) -> None:
    """It does so whatever DINGTALK_SCOPE says, since the check needs the answer."""
    app = make_app(DINGTALK_ALLOWED_CORP_IDS=corp_ids[:1], DINGTALK_SCOPE="openid")
    location = app.test_client().get("/dingtalk/login").headers["Location"]
    assert query_of(location)["scope"] == "openid corpid"


def test_who_chooses_an_allowed_organisation_gets_in(
    make_app: AppFactory, simulator: DingTalkSimulator, corp_ids: list[str]
) -> None:
    """The user has the ``corp_id`` of that organisation."""
    client = make_app(DINGTALK_ALLOWED_CORP_IDS=corp_ids[0]).test_client()
    simulator.sign_in(client, "zhang", corp_id=corp_ids[0])
    whoami = client.get("/whoami").json
    assert whoami is not None
    assert whoami["corp_id"] == corp_ids[0]


def test_who_chooses_another_organisation_stays_out(
    make_app: AppFactory, simulator: DingTalkSimulator, corp_ids: list[str]
) -> None:
    """An error page says so."""
    client = make_app(DINGTALK_ALLOWED_CORP_IDS=[corp_ids[0]]).test_client()
    response = simulator.sign_in(client, "zhang", corp_id=corp_ids[1])
    assert response.status_code == 403
    assert "organisation_not_allowed" in response.text
    assert client.get("/").text == "nobody"


def test_who_is_in_no_allowed_organisation_stays_out(
    make_app: AppFactory, simulator: DingTalkSimulator, corp_ids: list[str]
) -> None:
    """DingTalk itself may let them through."""
    client = make_app(DINGTALK_ALLOWED_CORP_IDS=[corp_ids[0]]).test_client()
    assert simulator.sign_in(client, "wang").status_code == 403


def test_who_comes_back_without_an_organisation_stays_out(
    make_app: AppFactory, simulator: DingTalkSimulator, corp_ids: list[str]
) -> None:
    """A code for another scope does not prove anything."""
    client = make_app(DINGTALK_ALLOWED_CORP_IDS=corp_ids).test_client()
    response = come_back(client, start(client), simulator.authorization_code("zhang"))
    assert response.status_code == 403
    assert client.get("/").text == "nobody"


def test_without_it_every_organisation_is_welcome(
    make_app: AppFactory, simulator: DingTalkSimulator
) -> None:
    """And with the scope openid no organisation is known."""
    client = make_app().test_client()
    simulator.sign_in(client, "wang")
    whoami = client.get("/whoami").json
    assert whoami is not None
    assert (whoami["nick"], whoami["corp_id"]) == ("王五", None)
