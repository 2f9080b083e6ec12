"""The figures in the texts are those of the package."""

from __future__ import annotations

import json
import random
import re
from itertools import groupby
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient

from flask_dingtalk import current_dingtalk_user
from flask_dingtalk.testing import DingTalkSimulator

from ..helpers import come_back, sign_in_with, site_on, start
from ..stub import PROFILE, TOKEN, Answer, StubDingTalk
from .pages import CALLING, MEMBERS, STORAGE


def limit(page: Path, pattern: str) -> int:
    """Read a number out of a page, which has it once or says it twice alike."""
    (number,) = set(re.findall(pattern, page.read_text(encoding="utf-8")))
    return int(number.replace(",", ""))


def test_a_cookie_over_the_documented_size_is_refused(
    app: Flask, simulator: DingTalkSimulator
) -> None:
    """And one below it is not."""
    most = limit(STORAGE, r"(?:over|exceed) ([0-9],[0-9]{3}) bytes")
    outcomes = {}
    for size in range(1900, 2500, 40):
        client = app.test_client()
        with client.session_transaction() as session:
            session["basket"] = random.Random(1).randbytes(size).hex()
        status = simulator.sign_in(client, "zhang").status_code
        cookie = client.get_cookie("session")
        assert cookie is not None
        outcomes[status] = len(f"{cookie.key}={cookie.value}")
    # The largest that was let in, with what is kept free for sign-ins under way.
    assert outcomes.keys() == {302, 500}
    assert most - 400 < outcomes[302] <= most


def test_as_many_sign_ins_as_documented_are_under_way_in_one_browser(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The oldest make room."""
    states = [start(client) for _ in range(9)]
    cookie = client.get_cookie("session")
    assert cookie is not None
    statuses = []
    for state in states:
        client.set_cookie("session", cookie.value)
        code = simulator.authorization_code("zhang")
        statuses.append(come_back(client, state, code).status_code)
    most = limit(STORAGE, r"up to ([0-9]) ")
    assert statuses == [400] * (9 - most) + [302] * most


def test_an_answer_over_the_documented_size_is_refused(stub: StubDingTalk) -> None:
    """One of just that size is read."""
    most = limit(CALLING, "([0-9]) MiB") * 2**20
    rest = len(json.dumps(TOKEN | {"filler": ""}))
    statuses = []
    for size in (most, most + 1):
        stub.token = Answer(TOKEN | {"filler": "x" * (size - rest)})
        statuses.append(sign_in_with(site_on(stub).test_client()).status_code)
    assert statuses == [302, 502]


def test_what_goes_from_a_cookie_first_is_documented() -> None:
    """In four steps."""
    steps = re.findall(r"^[1-4]\. (.*)$", MEMBERS.read_text(encoding="utf-8"), re.MULTILINE)[:4]
    named = ("`employee.raw`", "`extension`", "`roles`", "`user.raw`")
    assert all(name in step for name, step in zip(named, steps, strict=True))


def test_a_cookie_is_emptied_in_the_documented_steps(stub: StubDingTalk) -> None:
    """One after the other, as the site's own part of the cookie grows."""
    noise = random.Random(1)
    record = {
        "userid": "zhang-1",
        "unionid": PROFILE["unionId"],
        "undocumented": noise.randbytes(150).hex(),
        "extension": noise.randbytes(150).hex(),
        "role_list": [{"id": 1, "name": noise.randbytes(150).hex(), "group_name": "g"}],
    }
    results = {
        "/topapi/user/getbyunionid": {"contact_type": 0, "userid": "zhang-1"},
        "/topapi/v2/user/get": record,
    }
    stub.token = lambda asked: Answer(
        {"errcode": 0, "result": results[asked.path]} if asked.path in results else TOKEN
    )
    stub.user = Answer(PROFILE | {"new": noise.randbytes(150).hex()})
    app = site_on(stub, DINGTALK_MEMBERS_ONLY=True, DINGTALK_EMPLOYEE_PROFILE=True)

    @app.get("/kept")
    def kept() -> list[str]:
        user = current_dingtalk_user
        assert user.employee is not None
        return [*user.employee.raw, *user.raw]

    seen = []
    for size in range(1000, 2000, 40):
        client = app.test_client()
        with client.session_transaction() as site:
            site["basket"] = random.Random(size).randbytes(size).hex()
        if sign_in_with(client).status_code == 302:
            left = set(client.get("/kept").json or ())
            gone = [name for name in (*record, "new") if name not in left]
            seen.append(sorted(gone))
    in_order = ("undocumented", "extension", "role_list", "new")
    assert [gone for gone, _ in groupby(seen)] == [sorted(in_order[:n]) for n in range(5)]
