"""The page at the simulator's address: what DingTalk's consoles do, and what happens meanwhile."""

import hmac
import math
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPMethod
from typing import TYPE_CHECKING, Any, Final

from werkzeug.datastructures import MultiDict
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from ..api import wire
from . import SimulatorError
from .authorization import Refused
from .new_api import json_response
from .people import Role
from .rendering import Renderer

if TYPE_CHECKING:
    from .dispatch import Call
    from .simulator import DingTalkSimulator

PERMISSIONS: Final = (
    wire.PERMISSION_USER_READ,
    wire.PERMISSION_USER_MOBILE,
    wire.PERMISSION_GET_MEMBER,
    wire.PERMISSION_FIELD_MOBILE,
    wire.PERMISSION_FIELD_EMAIL,
    wire.PERMISSION_APP_BASE,
    wire.PERMISSION_BASE,
)
#: By name on the form: the arguments of `DingTalkSimulator.fail`.
FAILURES: Final[Mapping[str, Mapping[str, Any]]] = {
    "status": {"status": 500},
    "throttled": {"throttled": True},
    "ban": {"throttled": "ban"},
    "timeout": {"timeout": True},
    "reset": {"reset": True},
    "nonsense": {"nonsense": True},
}
#: Events that name a person, and those that do not.
_PERSONAL_EVENTS: Final = (wire.EVENT_USER_LEAVE, *wire.EVENTS_OF_MEMBERS)
EVENTS: Final = (*_PERSONAL_EVENTS, wire.EVENT_ORG_REMOVE, *wire.EVENTS_OF_GROUPS)
#: Seconds that the clock moves at a click.
STEPS: Final = (300, 7200, 86_400, 30 * 86_400)
#: Characters of a text that is typed in.
_MAX_TEXT: Final = 2000
#: How many calls and events the page shows, the latest ones.
_SHOWN: Final = 50
#: How often an endpoint fails for good: until it is told to work again.
_FOR_EVER: Final = "0"


class _Mistake(Exception):
    """What was typed in cannot be used; the text is the key of what the page says."""


class Console:
    """Answers with the page, and does what its forms ask for. The caller holds the world's lock."""

    def __init__(self, simulator: "DingTalkSimulator") -> None:
        self._simulator = simulator
        self._renderer = Renderer(simulator)
        #: In each form. No other site can read the page, nor find it under another name.
        self._form_token = secrets.token_urlsafe(24)
        post = HTTPMethod.POST
        #: By name: method, path and handler.
        self.endpoints: dict[str, tuple[HTTPMethod, str, Callable[..., Response]]] = {
            "index": (HTTPMethod.GET, "/", self._index),
            "console/calls": (HTTPMethod.GET, "/console/calls", self._calls),
            "console/application": (post, "/console/application", self._form(self._application)),
            "console/add": (post, "/console/add", self._form(self._add)),
            "console/join": (post, "/console/join", self._form(self._join)),
            "console/leave": (post, "/console/leave", self._form(self._leave)),
            "console/record": (post, "/console/record", self._form(self._record)),
            "console/fail": (post, "/console/fail", self._form(self._fail)),
            "console/mend": (post, "/console/mend", self._form(self._mend)),
            "console/subscribe": (post, "/console/subscribe", self._form(self._subscribe)),
            "console/push": (post, "/console/push", self._form(self._push)),
            "console/clock": (post, "/console/clock", self._form(self._clock)),
        }

    # --- The page ---

    def _index(self, request: Request) -> Response:
        return self._page(request)

    def _page(self, request: Request, problem: str | None = None) -> Response:
        simulator = self._simulator
        return self._renderer.page(
            request,
            "index.html",
            400 if problem else 200,
            scripted=True,
            problem=problem,
            form_token=self._form_token,
            permissions=PERMISSIONS,
            failures=FAILURES,
            events=EVENTS,
            steps=STEPS,
            # Pages fail as well, but those of this console are not DingTalk's.
            endpoints=[name for name in simulator.endpoints if name not in self.endpoints],
            pending=simulator.failures,
            clock=datetime.fromtimestamp(simulator.now(), UTC),
            calls=[_shown(call) for call in simulator.calls[-_SHOWN:]][::-1],
            total=len(simulator.calls),
            deliveries=simulator.deliveries[-_SHOWN:][::-1],
            shown=_SHOWN,
        )

    def _calls(self, request: Request) -> Response:
        """Return the calls that the page does not show yet."""
        calls = self._simulator.calls
        known = request.args.get("known", 0, type=int)
        if not 0 <= known <= len(calls):
            known = 0
        new = calls[max(known, len(calls) - _SHOWN) :]
        return json_response({"total": len(calls), "new": [_shown(call) for call in new]})

    # --- Forms ---

    def _form(self, act: Callable[[MultiDict[str, str]], str]) -> Callable[[Request], Response]:
        """Return a handler that does what a form asks for, and shows that part of the page."""

        def handle(request: Request) -> Response:
            token = request.form.get("form_token", "")
            if not hmac.compare_digest(self._form_token.encode(), token.encode()):
                raise Refused("form", status=403)
            form = MultiDict([(key, text[:_MAX_TEXT]) for key, text in request.form.items(True)])
            try:
                part = act(form)
            except _Mistake as mistake:
                return self._page(request, self._renderer.translator(request)(str(mistake)))
            except (ValueError, SimulatorError) as error:
                say = self._renderer.translator(request)
                return self._page(request, say("console.wrong", detail=str(error)))
            return redirect(f"/#{part}", 303)

        return handle

    def _application(self, form: MultiDict[str, str]) -> str:
        application = self._simulator.application
        application.released = "released" in form
        application.admits_outsiders = "admits_outsiders" in form
        application.redirect_urls = form.get("redirect_urls", "").split()
        application.allowed_ips = form.get("allowed_ips", "").split()
        known = set(PERMISSIONS)
        # Permissions that the form does not list stay.
        application.permissions = (application.permissions - known) | (
            known & set(form.getlist("permission"))
        )
        return "application"

    def _add(self, form: MultiDict[str, str]) -> str:
        name, nick = form.get("name", "").strip(), form.get("nick", "").strip()
        if name in self._simulator.users:
            raise _Mistake("console.wrong.taken")
        if not name or not name.isprintable():
            raise _Mistake("console.wrong.name")
        self._simulator.add_user(
            name,
            nick=nick or name,
            email=form.get("email", "").strip() or None,
            corp_ids=form.getlist("corp_id"),
        )
        return "people"

    def _join(self, form: MultiDict[str, str]) -> str:
        self._simulator.join(
            form.get("person", ""), form.get("corp_id", ""), external="external" in form
        )
        return "people"

    def _leave(self, form: MultiDict[str, str]) -> str:
        self._simulator.leave(form.get("person", ""), form.get("corp_id", ""))
        return "people"

    def _record(self, form: MultiDict[str, str]) -> str:
        departments = form.get("departments", "").replace("，", ",").split(",")
        self._simulator.change(
            form.get("person", ""),
            form.get("corp_id", ""),
            title=form.get("title", "").strip(),
            job_number=form.get("job_number", "").strip(),
            department_ids=tuple(_department(text) for text in departments if text.strip()),
            roles=_roles(form.get("roles", "")),
            admin="admin" in form,
            boss="boss" in form,
            active="active" in form,
        )
        return "people"

    def _fail(self, form: MultiDict[str, str]) -> str:
        how = FAILURES.get(form.get("how", ""))
        if how is None:
            raise _Mistake("console.wrong.failure")
        times = form.get("times", "1")
        if not (times.isascii() and times.isdigit()):
            raise _Mistake("console.wrong.times")
        self._simulator.fail(
            form.get("endpoint", ""), times=None if times == _FOR_EVER else int(times), **how
        )
        return "failures"

    def _mend(self, _: MultiDict[str, str]) -> str:
        self._simulator.clear_failures()
        return "failures"

    def _subscribe(self, form: MultiDict[str, str]) -> str:
        url = form.get("url", "").strip()
        if url:
            self._simulator.subscribe(url)
        else:
            self._simulator.application.event_url = None
        return "events"

    def _push(self, form: MultiDict[str, str]) -> str:
        event = form.get("event", "")
        if event not in EVENTS:
            raise _Mistake("console.wrong.event")
        person = form.get("person", "")
        self._simulator.push(event, person if event in _PERSONAL_EVENTS else ())
        return "events"

    def _clock(self, form: MultiDict[str, str]) -> str:
        seconds = form.get("seconds", 0.0, type=float)
        if not math.isfinite(seconds) or not 0 <= seconds <= 10 * 365 * 86_400:
            raise _Mistake("console.wrong.seconds")
        self._simulator.advance(seconds)
        return "clock"


def _shown(call: "Call") -> dict[str, Any]:
    """Return what the page shows of a call: nothing secret is in it."""
    return {
        "at": call.at.strftime("%H:%M:%S"),
        "call": f"{call.method} {call.path}",
        "kind": call.grant_type or "",
        "status": "–" if call.status is None else str(call.status),
        "code": call.code or "",
    }


def _department(text: str) -> int:
    if not text.strip().isdecimal():
        raise _Mistake("console.wrong.departments")
    return int(text)


def _roles(text: str) -> tuple[Role, ...]:
    """Read roles, one in a line: number, group, name."""
    roles = []
    for line in text.splitlines():
        if not line.strip():
            continue
        number, *words = line.split(None, 2)
        if not number.isdecimal() or len(words) != 2:
            raise _Mistake("console.wrong.roles")
        roles.append(Role(id=int(number), group_name=words[0], name=words[1].strip()))
    return tuple(roles)
