"""The authorisation request: what the page asks of its query before it shows anything.

[obtain-identity-credentials, tutorial-obtaining-user-personal-information]
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from werkzeug.datastructures import MultiDict

from ..api import wire
from .people import Application, Organisation, Person
from .world import World

AUTHORIZE_PATH: Final = urlsplit(wire.AUTHORIZE_URL).path

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS: Final = {"http": 80, "https": 443}
_REQUIRED: Final = (wire.CLIENT_ID, wire.REDIRECT_URI, wire.RESPONSE_TYPE, wire.SCOPE)


class Refused(Exception):
    """A page that ends the sign-in; DingTalk calls nobody back then. `reason` names its text."""

    def __init__(self, reason: str, *, status: int = 400, **facts: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.facts = facts


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """A query that has passed every check that does not depend on the person."""

    redirect_uri: str
    state: str | None
    #: The scope asks for an organisation.
    wants_corp: bool
    #: Preselected organisation.
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
        if not redirect_url_known(redirect_uri, application.redirect_urls):
            registered = "\n".join(application.redirect_urls) or "–"
            raise Refused("redirect_uri", sent=redirect_uri, registered=registered)
        scopes = (wire.SCOPE_OPENID, wire.SCOPE_OPENID_CORPID)
        _expect(args, wire.RESPONSE_TYPE, (wire.RESPONSE_TYPE_CODE,))
        _expect(args, wire.SCOPE, scopes)
        if application.requires_prompt:
            _expect(args, wire.PROMPT, (wire.PROMPT_CONSENT,))
        wants_corp = args[wire.SCOPE] == wire.SCOPE_OPENID_CORPID
        if wire.ORG_TYPE in args:
            _expect(args, wire.ORG_TYPE, (wire.ORG_TYPE_MANAGEMENT,))
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
        """Scheme, host and port of the callback."""
        return origin_of(self.redirect_uri)

    def people(self, world: World) -> list[Person]:
        """List those who have an account of the kind that the sign-in link wants."""
        corp_id = self.exclusive_corp_id
        people = world.users.values()
        return [person for person in people if corp_id is None or corp_id in person.corp_ids]

    def choices(self, world: World, person: Person) -> list[Organisation]:
        """List the organisations that the person may act for; `Refused` if that cannot be."""
        owner = world.application.corp_id
        name = person.nick or person.name
        if owner not in person.corp_ids and not world.application.admits_outsiders:
            organisation = world.organisations[owner].name
            raise Refused("outsider", status=403, name=name, organisation=organisation)
        if not self.wants_corp:
            return []
        choices = [
            world.organisations[corp_id]
            for corp_id in person.corp_ids
            if person.memberships[corp_id].admin or not self.managed_only
        ]
        if self.corp_id is not None:
            choices = [choice for choice in choices if choice.corp_id == self.corp_id]
            if not choices:
                raise Refused("not_member", status=403, sent=self.corp_id, name=name)
        if not choices:
            raise Refused("no_organisation", status=403, name=name)
        return choices

    def callback(self, parameters: dict[str, str]) -> str:
        """Return the address that brings the browser back, with the state as it came."""
        if self.state is not None:
            parameters = {**parameters, wire.STATE: self.state}
        query = urlencode(parameters, quote_via=quote)
        return f"{self.redirect_uri}{'&' if '?' in self.redirect_uri else '?'}{query}"


def redirect_url_known(url: str, registered: Iterable[str]) -> bool:
    """Compare scheme, host and port with the registered URLs; the path does not matter.

    DingTalk's pages disagree about how strict it is. A registered loopback URL without a port
    admits every port, which DingTalk's own command line relies on.
    [dingtalk-cli-performing-tasks-within]
    """
    sent = _split(url)
    if sent is None:
        return False
    for candidate in filter(None, map(_split, registered)):
        same_host = (sent.scheme, sent.hostname) == (candidate.scheme, candidate.hostname)
        any_port = candidate.hostname in _LOOPBACK and candidate.port is None
        if same_host and (any_port or _port(sent) == _port(candidate)):
            return True
    return False


def origin_of(url: str) -> str | None:
    """Return scheme, host and port the way browsers write an origin; ``None`` if there is none."""
    parts = _split(url)
    if parts is None:
        return None
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    port = "" if _port(parts) == _PORTS[parts.scheme] else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def host_known(url: str, registered: Iterable[str]) -> bool:
    """Compare the host alone with the registered URLs, as the DingTalk client does."""
    sent = _split(url)
    known = {parts.hostname for parts in map(_split, registered) if parts is not None}
    return sent is not None and sent.hostname in known


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        port_is_number = parts.port != 0
    except ValueError:
        return None
    plain = parts.username is None and not parts.fragment and "\\" not in url
    return parts if parts.scheme in _PORTS and parts.hostname and plain and port_is_number else None


def _port(parts: SplitResult) -> int:
    return parts.port or _PORTS[parts.scheme]


def _check_application(client_id: str, application: Application) -> None:
    if client_id != application.client_id:
        raise Refused("application", sent=client_id, registered=application.client_id)
    if not application.released:
        raise Refused("unreleased", name=application.name)


def _expect(args: MultiDict[str, str], name: str, values: tuple[str, ...]) -> None:
    sent = args.get(name, "")
    if sent not in values:
        raise Refused("value", name=name, sent=sent, expected="\n".join(values))
