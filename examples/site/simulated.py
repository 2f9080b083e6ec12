"""What the site needs to run without credentials: a DingTalk simulator, and people who can leave.

A site with credentials does not import this module.
"""

import atexit
import json
import secrets
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import click
from flask import Blueprint, Flask, current_app, flash, redirect, request, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response

from flask_dingtalk import NotPermitted, current_dingtalk_user
from flask_dingtalk.testing import DingTalkSimulator, SimulatorError
from flask_dingtalk.testing.people import Person, Role

from . import texts

_APPROVER: Final = "审批人"
_LATIN_NAME: Final = "英文名"
_DEPARTMENTS: Final = {"1": "全公司", "2": "研发部", "3": "市场部"}
#: The records of people in the company's directory, by their names in the simulator.
_RECORDS: Final[dict[str, dict[str, Any]]] = {
    "zhang": {
        "title": "总经理",
        "job_number": "0001",
        "department_ids": (1, 3),
        "leads": (1,),
        "roles": (Role(1, "主管理员", "默认"), Role(2, _APPROVER, "职务")),
        "hired_at": datetime(2015, 3, 2, tzinfo=UTC),
        "org_email": "zhang.san@org.example.com",
        "work_place": "杭州",
        "admin": True,
        "boss": True,
        "senior": True,
    },
    "li": {
        "title": "工程师",
        "job_number": "0042",
        "department_ids": (2,),
        "roles": (Role(3, "后端开发", "岗位"),),
        "hired_at": datetime(2021, 7, 5, tzinfo=UTC),
        "org_email": "li.si@org.example.com",
        "work_place": "杭州",
    },
}

controls = Blueprint("simulator", __name__, url_prefix="/simulator")


def use_simulator(app: Flask) -> None:
    """Start a DingTalk simulator that runs as long as this process, and point the app at it."""
    simulator = DingTalkSimulator().start()
    atexit.register(simulator.stop)
    company = simulator.application.corp_id
    app.config.from_mapping(
        simulator.settings,
        SIMULATED=True,
        # A new key at each start signs everybody out; the simulator starts anew as well. A real
        # site uses one fixed key in all its processes.
        SECRET_KEY=app.config["SECRET_KEY"] or secrets.token_hex(),
        COMPANY_NAME=simulator.organisations[company].name,
        APPROVER_ROLE=_APPROVER,
        DEPARTMENT_NAMES=_DEPARTMENTS,
        LATIN_NAME_FIELD=_LATIN_NAME,
    )
    for name, value in {
        "DINGTALK_MEMBERS_ONLY": True,
        "DINGTALK_EMPLOYEE_PROFILE": True,
        # Short enough to wait for. For a real site, an hour is enough.
        "DINGTALK_REVALIDATE_AFTER": 10,
        "DINGTALK_IN_APP_LOGIN": True,
        "DINGTALK_CORP_ID": company,
    }.items():
        app.config.setdefault(name, value)
    if app.config.get("DINGTALK_STORE") is not None:
        # The simulator tells the site at once who leaves.
        app.config.from_mapping(simulator.event_settings)
        # The people end with this process: their sign-ins need not stay in the store for long.
        app.config.setdefault("DINGTALK_SIGN_IN_LIFETIME", 86_400)
    for name in _RECORDS:
        _settle_in(simulator, simulator.users[name])
    app.extensions["simulator"] = simulator
    app.extensions["simulator_events"] = threading.Event()
    app.register_blueprint(controls)
    click.echo(
        f" * No FLASK_DINGTALK_CLIENT_ID: signing in with a simulator at {simulator.url}", err=True
    )


def _settle_in(simulator: DingTalkSimulator, person: Person) -> None:
    """Give a member of the company their record in the directory."""
    membership = person.memberships[simulator.application.corp_id]
    for field, value in _RECORDS[person.name].items():
        setattr(membership, field, value)
    # A field that a company adds to its directory.
    membership.extension = json.dumps({_LATIN_NAME: person.latin_name}, ensure_ascii=False)
    if person.name == "li":
        boss = simulator.users["zhang"].memberships.get(simulator.application.corp_id)
        membership.manager_user_id = boss.user_id if boss else None


@controls.app_template_global()
def phone_url() -> str:
    """Return the URL of the page that chooses who is signed in to the DingTalk client."""
    return f"{_simulator().url}/oauth2/phone"


@controls.app_template_global()
def demo_person(name: str) -> Markup:
    """Return the name of one of the simulator's people, for a text of the page."""
    return _in_both_scripts(_simulator().users[name])


def _in_both_scripts(person: Person) -> Markup:
    return texts.person(person.nick or person.name, person.latin_name)


# --- Leaving the company, and coming back ---


@controls.before_request
def refuse_other_sites() -> None:
    """Refuse a form that another site sent (W3C Fetch Metadata)."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        raise NotPermitted("a form that another site sent")


@controls.before_app_request
def subscribe_to_events() -> None:
    """Have the simulator push its events here, once it is known where this is.

    Then somebody who leaves in the simulator's own console is signed out at once, too.
    """
    simulator = _simulator()
    has_begun = current_app.extensions["simulator_events"]
    if current_app.config.get("DINGTALK_STORE") is None or has_begun.is_set():
        return
    has_begun.set()
    url = url_for("dingtalk.events", _external=True)

    def subscribe() -> None:
        # A test client is nowhere.
        with suppress(SimulatorError):
            simulator.subscribe(url)

    # The simulator asks this site for the right answer first.
    threading.Thread(target=subscribe, daemon=True).start()


@controls.post("/leave")
def leave() -> Response:
    """Make the signed-in person leave the company.

    Without a store, they stay signed in until the next check.
    """
    simulator = _simulator()
    for person in _people(simulator):
        is_member = simulator.application.corp_id in person.memberships
        if is_member and person.union_id == current_dingtalk_user.union_id:
            simulator.leave(person)
            has_store = current_app.config.get("DINGTALK_STORE") is not None
            if has_store:
                # At once, so that the next page shows it.
                simulator.push("user_leave_org", person, client=current_app.test_client())
            flash(
                texts.say(
                    "simulator.gone.at_once" if has_store else "simulator.gone",
                    organisation=texts.named(current_app.config["COMPANY_NAME"]),
                    seconds=f"{current_app.config['DINGTALK_REVALIDATE_AFTER']}",
                )
            )
    return redirect(url_for("pages.home"), 303)


@controls.post("/return")
def come_back() -> Response:
    """Let somebody who left join again, with the record that they had."""
    simulator = _simulator()
    for person in gone():
        if person.name != request.form.get("person"):
            continue
        simulator.join(person)
        _settle_in(simulator, person)
        flash(
            texts.say(
                "simulator.returned",
                nick=_in_both_scripts(person),
                organisation=texts.named(current_app.config["COMPANY_NAME"]),
            )
        )
    return redirect(url_for("pages.home"), 303)


@controls.app_template_global()
def gone() -> list[Person]:
    """Return the people who have left the company."""
    simulator = _simulator()
    corp_id = simulator.application.corp_id
    return [person for person in _people(simulator) if corp_id not in person.memberships]


def _people(simulator: DingTalkSimulator) -> list[Person]:
    return [simulator.users[name] for name in _RECORDS]


def _simulator() -> DingTalkSimulator:
    simulator: DingTalkSimulator = current_app.extensions["simulator"]
    return simulator
