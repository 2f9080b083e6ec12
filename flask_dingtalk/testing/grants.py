"""Codes and tokens: what was issued to whom, and until when it is good."""

import secrets
from dataclasses import dataclass, field
from typing import Final

from .people import Person, random_text
from .world import World

#: Seconds. The glossary gives it for in-client codes; none is stated for browsers.
#: [basic-concepts-beta]
CODE_LIFETIME: Final = 300
#: Seconds. [obtain-user-token]
ACCESS_TOKEN_LIFETIME: Final = 7200
#: Seconds: 30 days. [obtain-user-token]
REFRESH_TOKEN_LIFETIME: Final = 30 * 86400


@dataclass(frozen=True, slots=True)
class Code:
    """A code that has not been spent. The two kinds are good at one endpoint each."""

    client_id: str
    person: Person
    corp_id: str | None
    in_client: bool
    expires_at: float


@dataclass(slots=True)
class UserGrant:
    """The pair of tokens that stands for a person in one organisation, or in none."""

    client_id: str
    person: Person
    corp_id: str | None
    access_token: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    expires_at: float = 0
    refresh_expires_at: float = 0


@dataclass(slots=True)
class _AppToken:
    client_id: str
    access_token: str = field(repr=False)
    expires_at: float


class Grants:
    """Issues, redeems and checks them. The caller holds the world's lock."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._codes: dict[str, Code] = {}
        self._grants: list[UserGrant] = []
        self._app_tokens: list[_AppToken] = []
        #: Every code and token so far, dead or alive.
        self.issued: set[str] = set()

    def issue_code(self, person: Person, corp_id: str | None, *, in_client: bool = False) -> str:
        """Return a code for one exchange by the present application."""
        code = self._secret(random_text(32).lower())
        self._codes[code] = Code(
            self._world.application.client_id,
            person,
            corp_id,
            in_client,
            self._world.now() + CODE_LIFETIME,
        )
        return code

    def spend(self, code: str, *, in_client: bool) -> Code | None:
        """Use a code up; ``None`` if it is used, expired, made up, or not meant for this."""
        found = self._codes.get(code)
        client_id = self._world.application.client_id
        if found is None or (found.client_id, found.in_client) != (client_id, in_client):
            return None
        del self._codes[code]
        return found if found.expires_at > self._world.now() else None

    def redeem(self, code: str) -> UserGrant | None:
        """Exchange a browser's code for tokens; ``None`` if it is no good."""
        found = self.spend(code, in_client=False)
        if found is None:
            return None
        client_id, now = found.client_id, self._world.now()
        for grant in self._grants:
            if (grant.client_id, grant.person, grant.corp_id) == (
                client_id,
                found.person,
                found.corp_id,
            ) and grant.expires_at > now:
                # "The same result, and extended", while it is valid. [obtain-user-token]
                return self._extend(grant)
        grant = UserGrant(client_id, found.person, found.corp_id)
        self._grants.append(grant)
        return self._renew(grant)

    def refresh(self, refresh_token: str) -> UserGrant | None:
        """Replace both tokens; the old ones are dead from now on. ``None`` if this one is."""
        client_id = self._world.application.client_id
        for grant in self._grants:
            if secrets.compare_digest(grant.refresh_token.encode(), refresh_token.encode()):
                alive = grant.refresh_expires_at > self._world.now()
                return self._renew(grant) if alive and grant.client_id == client_id else None
        return None

    def user(self, access_token: str) -> UserGrant | None:
        """Return whom a user token stands for, if it is good."""
        for grant in self._grants:
            if grant.access_token == access_token and grant.expires_at > self._world.now():
                return grant
        return None

    def app_token(self) -> str:
        """Return the application's own token: the same one while valid, and extended."""
        client_id, now = self._world.application.client_id, self._world.now()
        for token in self._app_tokens:
            if token.client_id == client_id and token.expires_at > now:
                token.expires_at = now + ACCESS_TOKEN_LIFETIME
                return token.access_token
        access_token = self._secret(secrets.token_hex(16))
        token = _AppToken(client_id, access_token, now + ACCESS_TOKEN_LIFETIME)
        self._app_tokens.append(token)
        return token.access_token

    def is_app_token(self, access_token: str) -> bool:
        """Tell whether this is a good token of the application itself."""
        now = self._world.now()
        return any(
            token.access_token == access_token and token.expires_at > now
            for token in self._app_tokens
        )

    def _secret(self, text: str) -> str:
        self.issued.add(text)
        return text

    def _renew(self, grant: UserGrant) -> UserGrant:
        grant.access_token = self._secret(secrets.token_hex(16))
        grant.refresh_token = self._secret(secrets.token_hex(16))
        return self._extend(grant)

    def _extend(self, grant: UserGrant) -> UserGrant:
        now = self._world.now()
        grant.expires_at = now + ACCESS_TOKEN_LIFETIME
        grant.refresh_expires_at = now + REFRESH_TOKEN_LIFETIME
        return grant
