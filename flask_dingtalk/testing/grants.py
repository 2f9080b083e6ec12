"""Codes and tokens: to whom they were issued, and how long they are valid."""

import secrets
from dataclasses import dataclass, field
from typing import Final

from .people import Person, random_text
from .world import World

#: Seconds. The glossary states it for in-app codes; nothing is stated for browser codes.
#: [basic-concepts-beta]
CODE_LIFETIME: Final = 300
#: Seconds. [obtain-user-token]
ACCESS_TOKEN_LIFETIME: Final = 7200
#: Seconds: 30 days. [obtain-user-token]
REFRESH_TOKEN_LIFETIME: Final = 30 * 86400


@dataclass(frozen=True, slots=True)
class Code:
    """An unused code. A browser code and an in-app code each work at one endpoint only."""

    client_id: str
    person: Person
    corp_id: str | None
    in_app: bool
    expires_at: float


@dataclass(slots=True)
class UserGrant:
    """A person's pair of tokens, for one organisation or for none."""

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
    """Issues, redeems and checks codes and tokens. The caller holds the world's lock."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._codes: dict[str, Code] = {}
        self._grants: list[UserGrant] = []
        self._app_tokens: list[_AppToken] = []
        #: Every code and token issued so far, valid or not.
        self.issued: set[str] = set()

    def forget(self) -> None:
        """Make all codes and tokens worthless."""
        self._codes.clear()
        self._grants.clear()
        self._app_tokens.clear()

    def issue_code(self, person: Person, corp_id: str | None, *, in_app: bool = False) -> str:
        """Return a new code, for the application as it is now."""
        code = self._note_issued(random_text(32).lower())
        self._codes[code] = Code(
            self._world.application.client_id,
            person,
            corp_id,
            in_app,
            self._world.now() + CODE_LIFETIME,
        )
        return code

    def spend(self, code: str, *, in_app: bool) -> Code | None:
        """Use a code up; ``None`` if it is used, expired, made up or of the other kind."""
        found = self._codes.get(code)
        client_id = self._world.application.client_id
        if found is None or (found.client_id, found.in_app) != (client_id, in_app):
            return None
        del self._codes[code]
        return found if found.expires_at > self._world.now() else None

    def redeem(self, code: str) -> UserGrant | None:
        """Exchange a browser code for tokens; ``None`` if it is not valid."""
        found = self.spend(code, in_app=False)
        if found is None:
            return None
        client_id, now = found.client_id, self._world.now()
        for grant in self._grants:
            if (grant.client_id, grant.person, grant.corp_id) == (
                client_id,
                found.person,
                found.corp_id,
            ) and grant.expires_at > now:
                # DingTalk returns a token that is still valid, and extends it. [obtain-user-token]
                return self._extend(grant)
        grant = UserGrant(client_id, found.person, found.corp_id)
        self._grants.append(grant)
        return self._renew(grant)

    def refresh(self, refresh_token: str) -> UserGrant | None:
        """Replace both tokens by new ones; ``None`` if this refresh token is not valid."""
        client_id = self._world.application.client_id
        for grant in self._grants:
            if secrets.compare_digest(grant.refresh_token.encode(), refresh_token.encode()):
                is_valid = grant.refresh_expires_at > self._world.now()
                return self._renew(grant) if is_valid and grant.client_id == client_id else None
        return None

    def user_grant(self, access_token: str) -> UserGrant | None:
        """Return the grant that a user access token belongs to; ``None`` if it is not valid."""
        for grant in self._grants:
            if grant.access_token == access_token and grant.expires_at > self._world.now():
                return grant
        return None

    def app_token(self) -> str:
        """Return the app token: the same one while it is valid, with its lifetime extended."""
        client_id, now = self._world.application.client_id, self._world.now()
        for token in self._app_tokens:
            if token.client_id == client_id and token.expires_at > now:
                token.expires_at = now + ACCESS_TOKEN_LIFETIME
                return token.access_token
        access_token = self._note_issued(secrets.token_hex(16))
        token = _AppToken(client_id, access_token, now + ACCESS_TOKEN_LIFETIME)
        self._app_tokens.append(token)
        return token.access_token

    def is_app_token(self, access_token: str) -> bool:
        """Tell whether this is a valid app token."""
        now = self._world.now()
        return any(
            token.access_token == access_token and token.expires_at > now
            for token in self._app_tokens
        )

    def _note_issued(self, text: str) -> str:
        self.issued.add(text)
        return text

    def _renew(self, grant: UserGrant) -> UserGrant:
        grant.access_token = self._note_issued(secrets.token_hex(16))
        grant.refresh_token = self._note_issued(secrets.token_hex(16))
        return self._extend(grant)

    def _extend(self, grant: UserGrant) -> UserGrant:
        now = self._world.now()
        grant.expires_at = now + ACCESS_TOKEN_LIFETIME
        grant.refresh_expires_at = now + REFRESH_TOKEN_LIFETIME
        return grant
