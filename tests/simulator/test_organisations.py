"""Which organisation a login is for, and who may log in."""

from __future__ import annotations

import re

from .helpers import Http, page_refusal


def test_organisations_are_offered_on_the_consent_page(http: Http, own: str, other: str) -> None:
    """The first organisation is selected."""
    page = http.choose("zhang", scope="openid corpid")
    assert f'value="{own}" checked' in page.text
    assert f'value="{other}">' in page.text


def test_openid_alone_offers_no_organisation(http: Http, own: str) -> None:
    """Without corpid in the scope there is no choice, even with a preselected organisation."""
    assert "consent" in http.choose("zhang", corpId="nonsense", org_type="management").text
    assert own not in http.choose("li").text


def test_organisation_can_be_preselected(http: Http, own: str, other: str) -> None:
    """With a corpId no other organisation is offered."""
    page = http.choose("zhang", scope="openid corpid", corpId=other)
    assert own not in page.text.partition("<fieldset>")[2]
    callback = http.consent("zhang", scope="openid corpid", corpId=other)
    assert http.user_token(code=callback["code"][0]).json()["corpId"] == other


def test_preselected_organisation_must_be_the_persons_own(http: Http, own: str) -> None:
    """Any other organisation ends on a page that offers another account."""
    page = http.choose("wang", scope="openid corpid", corpId=own)
    assert page_refusal(page) == "not_member"
    assert "Use another account" in page.text


def test_organisations_can_be_limited_to_managed_ones(http: Http, own: str, other: str) -> None:
    """org_type=management offers only organisations that the person manages."""
    page = http.choose("zhang", scope="openid corpid", org_type="management")
    assert own in page.text
    assert f'value="{other}"' not in page.text
    page = http.choose("li", scope="openid corpid", org_type="management")
    assert page_refusal(page) == "no_organisation"


def test_form_cannot_name_an_organisation_that_was_not_offered(http: Http) -> None:
    """A made-up organisation in the form is refused."""
    page = http.choose("li", scope="openid corpid")
    answer = http.submit(page, "/oauth2/consent", decision="agree", organisation="dingx")
    assert page_refusal(answer) == "form"


def test_outsiders_can_be_refused(http: Http) -> None:
    """With admits_outsiders=False, the page refuses people of other organisations."""
    assert "consent" in http.choose("wang").text
    http.simulator.application.admits_outsiders = False
    page = http.choose("wang")
    assert page_refusal(page) == "outsider"
    assert "11055" in page.text
    assert page.status_code == 403


def test_exclusive_login_asks_for_the_organisation_code(http: Http, other: str) -> None:
    """The code leads to the people of that organisation only."""
    page = http.authorize(exclusiveLogin="true")
    assert "Organisation code" in page.text
    wrong = http.submit(page, "/oauth2/login", organisation_code="--------")
    assert "There is no organisation with this code." in wrong.text
    code = http.simulator.organisations[other].code
    right = http.submit(page, "/oauth2/login", organisation_code=code.lower())
    people = http.get(right.headers["Location"]).text
    assert ("王五" in people, "李四" in people) == (True, False)


def test_exclusive_login_can_name_the_organisation(http: Http, own: str) -> None:
    """ExclusiveCorpId leads straight to the people, but only with exclusiveLogin."""
    page = http.authorize(exclusiveLogin="true", exclusiveCorpId=own)
    assert ("王五" in page.text, "李四" in page.text) == (False, True)
    assert "王五" in http.authorize(exclusiveCorpId=own).text
    page = http.authorize(exclusiveLogin="true", exclusiveCorpId="dingx")
    assert page_refusal(page) == "organisation"


def test_exclusive_login_refuses_consent_of_others(http: Http, other: str) -> None:
    """A person without such an account cannot submit the consent form either."""
    token = re.search(r'name="form_token" value="(\w+)"', http.choose("li").text)
    assert token is not None
    query = http.query(exclusiveLogin="true", exclusiveCorpId=other)
    data = {"form_token": token[1], "decision": "agree"}
    assert page_refusal(http.post(f"/oauth2/consent?{query}", data=data)) == "form"
