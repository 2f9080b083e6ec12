"""The authorisation request: checks the query of a sign-in link before any page is shown.

[obtain-identity-credentials, tutorial-obtaining-user-personal-information]
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from werkzeug.datastructures import MultiDict

from ..api import wire
from . import wire as testing_wire
from .loopback import LOOPBACK_HOSTS
from .people import Application, Organisation, Person
from .world import World

AUTHORIZE_PATH: Final = urlsplit(wire.AUTHORIZE_URL).path

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_REQUIRED: Final = (wire.CLIENT_ID, wire.REDIRECT_URI, wire.RESPONSE_TYPE, wire.SCOPE)


class Refused(Exception):
    """The login ends on a page of the simulator, and the site is not called back.

    `reason` is the key of the page's text, and `details` are the values that the text shows.
    """

    def __init__(self, reason: str, *, status: int = 400, **details: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.details = details


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """A query that has passed all checks that do not depend on the person."""

    redirect_uri: str
    state: str | None
    #: Whether the scope asks for an organisation.
    wants_corp: bool
    #: The preselected organisation.
    corp_id: str | None
    managed_only: bool
    exclusive: bool
    exclusive_corp_id: str | None

    @classmethod
    def parse(cls, args: MultiDict[str, str], world: World) -> Self:
        """Check a query; `Refused` says what is wrong with it."""
        application = world.application
        for name in args:
            if len(args.getlist(name)) > 1:
                raise Refused("repeated", name=name)
        for name in (*_REQUIRED, wire.PROMPT) if application.requires_prompt else _REQUIRED:
            if not args.get(name):
                raise Refused("missing", name=name)
        _check_application(args[wire.CLIENT_ID], application)
        redirect_uri = args[wire.REDIRECT_URI]
        if not is_registered_redirect_url(redirect_uri, application.redirect_urls):
            registered = "\n".join(application.redirect_urls) or "–"
            raise Refused(
                "redirect_uri",
                said=testing_wire.REDIRECT_URI_REFUSED,
                sent=redirect_uri,
                registered=registered,
            )
        _check_value(args, wire.RESPONSE_TYPE, (wire.RESPONSE_TYPE_CODE,))
        _check_value(args, wire.SCOPE, (wire.SCOPE_OPENID, wire.SCOPE_OPENID_CORPID))
        wants_corp = args[wire.SCOPE] == wire.SCOPE_OPENID_CORPID
        if wire.ORG_TYPE in args:
            _check_value(args, wire.ORG_TYPE, (wire.ORG_TYPE_MANAGEMENT,))
        state = args.get(wire.STATE)
        if state is not None and len(state.encode()) > wire.MAX_STATE_LENGTH:
            raise Refused("state", length=str(len(state.encode())))
        exclusive = args.get(wire.EXCLUSIVE_LOGIN) == "true"
        exclusive_corp_id = args.get(wire.EXCLUSIVE_CORP_ID) if exclusive else None
        if exclusive_corp_id is not None and exclusive_corp_id not in world.organisations:
            raise Refused("organisation", sent=exclusive_corp_id)
        return cls(
            redirect_uri=redirect_uri,
            state=state,
            wants_corp=wants_corp,
            corp_id=args.get(wire.CORP_ID) if wants_corp else None,
            managed_only=wants_corp and wire.ORG_TYPE in args,
            exclusive=exclusive,
            exclusive_corp_id=exclusive_corp_id,
        )

    @property
    def origin(self) -> str | None:
        """Scheme, host and port of the redirect URL."""
        return origin_of(self.redirect_uri)

    def eligible_people(self, world: World) -> list[Person]:
        """List the people who have an account of the kind that the link asks for."""
        corp_id = self.exclusive_corp_id
        people = world.users.values()
        return [person for person in people if corp_id is None or corp_id in person.corp_ids]

    def offered_organisations(self, world: World, person: Person) -> list[Organisation]:
        """List the organisations to choose from, none without ``corpid`` in the scope.

        `Refused` if the person may not log in, or has no organisation that fits.
        """
        owner = world.application.corp_id
        name = person.nick or person.name
        if owner not in person.corp_ids and not world.application.admits_outsiders:
            organisation = world.organisations[owner].name
            raise Refused("outsider", status=403, name=name, organisation=organisation)
        if not self.wants_corp:
            return []
        offered = [
            world.organisations[corp_id]
            for corp_id in person.corp_ids
            if person.memberships[corp_id].admin or not self.managed_only
        ]
        if self.corp_id is not None:
            offered = [each for each in offered if each.corp_id == self.corp_id]
            if not offered:
                raise Refused("not_member", status=403, sent=self.corp_id, name=name)
        if not offered:
            raise Refused("no_organisation", status=403, name=name)
        return offered

    def callback_url(self, parameters: dict[str, str]) -> str:
        """Return the redirect URL with these parameters and the state, unchanged, in its query."""
        if self.state is not None:
            parameters = {**parameters, wire.STATE: self.state}
        query = urlencode(parameters, quote_via=quote)
        return f"{self.redirect_uri}{'&' if '?' in self.redirect_uri else '?'}{query}"


def is_registered_redirect_url(url: str, registered: Iterable[str]) -> bool:
    """Compare scheme, host and port with the registered URLs; the path does not matter.

    DingTalk's documents disagree about how strict the comparison is. A loopback URL registered
    without a port allows every port; DingTalk's own command-line tool relies on that.
    [dingtalk-cli-performing-tasks-within]
    """
    sent = _split_url(url)
    if sent is None:
        return False
    for candidate in filter(None, map(_split_url, registered)):
        same_host = (sent.scheme, sent.hostname) == (candidate.scheme, candidate.hostname)
        any_port = candidate.hostname in LOOPBACK_HOSTS and candidate.port is None
        if same_host and (any_port or _port(sent) == _port(candidate)):
            return True
    return False


def origin_of(url: str) -> str | None:
    """Return the origin of a URL as browsers write it, or ``None`` if it has none."""
    parts = _split_url(url)
    if parts is None:
        return None
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    port = "" if _port(parts) == _DEFAULT_PORTS[parts.scheme] else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def is_registered_host(url: str, registered: Iterable[str]) -> bool:
    """Compare only the host with the registered URLs, as the DingTalk client does."""
    sent = _split_url(url)
    known = {parts.hostname for parts in map(_split_url, registered) if parts is not None}
    return sent is not None and sent.hostname in known


def _split_url(url: str) -> SplitResult | None:
    """Split an http or https URL; ``None`` for anything that could be read in two ways."""
    try:
        parts = urlsplit(url)
        valid_port = parts.port != 0
    except ValueError:
        return None
    plain = parts.username is None and not parts.fragment and "\\" not in url
    return (
        parts
        if parts.scheme in _DEFAULT_PORTS and parts.hostname and plain and valid_port
        else None
    )


def _port(parts: SplitResult) -> int:
    return parts.port or _DEFAULT_PORTS[parts.scheme]


def _check_application(client_id: str, application: Application) -> None:
    if client_id != application.client_id:
        raise Refused("application", sent=client_id, registered=application.client_id)
    if not application.released:
        raise Refused("unreleased", name=application.name)


def _check_value(args: MultiDict[str, str], name: str, allowed: tuple[str, ...]) -> None:
    sent = args.get(name, "")
    if sent not in allowed:
        raise Refused("value", name=name, sent=sent, expected="\n".join(allowed))
