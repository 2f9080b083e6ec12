"""Organisations, people and the application: plain data that a test may change at any moment."""

import hashlib
import secrets
import string
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from ..api import wire

_ALPHANUMERIC: Final = string.ascii_letters + string.digits


@dataclass(slots=True)
class Organisation:
    """A company, known to everybody by its corpId."""

    corp_id: str
    name: str
    #: 组织代码, typed in at an exclusive login. [dedicated-account-overview]
    code: str


@dataclass(frozen=True, slots=True)
class Role:
    """A role of a member, as ``role_list`` shows it."""

    id: int
    name: str
    group_name: str


@dataclass(slots=True)
class Membership:
    """A person's record in one organisation. [query-user-details]"""

    user_id: str
    #: An external contact has a userid as well, but is no member. [query-a-user-by-the-union-id]
    external: bool = False
    #: Manages the organisation: listed under ``org_type=management``, ``admin`` in the record.
    admin: bool = False
    boss: bool = False
    senior: bool = False
    active: bool = True
    #: In the organisation's directory; ``None``: the nick.
    name: str | None = None
    title: str = ""
    job_number: str = ""
    #: The numbers of the departments; 1 is the whole organisation.
    department_ids: tuple[int, ...] = (1,)
    #: The departments led.
    leads: tuple[int, ...] = ()
    manager_user_id: str | None = None
    hired_at: datetime | None = None
    org_email: str | None = None
    email: str | None = None
    telephone: str | None = None
    work_place: str | None = None
    remark: str | None = None
    #: JSON text of the organisation's own fields.
    extension: str | None = None
    roles: tuple[Role, ...] = ()


@dataclass(slots=True, eq=False)
class Person:
    """A DingTalk account, and what its owner is in each organisation."""

    #: What tests call them; shown beside the nick on the sign-in page.
    name: str
    nick: str | None
    union_id: str
    open_id: str
    avatar_url: str | None
    mobile: str | None
    state_code: str | None
    email: str | None
    #: By corpId. An external contact's record is among them.
    memberships: dict[str, Membership] = field(default_factory=dict)

    @property
    def corp_ids(self) -> tuple[str, ...]:
        """The organisations that the person is a member of, the first one first."""
        return tuple(corp for corp, member in self.memberships.items() if not member.external)

    @property
    def avatar_path(self) -> str:
        """Where the simulator serves a drawn avatar of the person."""
        # About as long as DingTalk's own addresses, so that sessions grow to their real size.
        return f"/media/l{made_up('avatar', self.name, length=64)}_640_640.svg"


@dataclass(slots=True)
class Application:
    """The application as DingTalk's console shows it; every field may be changed at any time."""

    #: The organisation that owns the application.
    corp_id: str
    name: str = "Flask Demo"
    client_id: str = field(default_factory=lambda: f"ding{random_text(16).lower()}")
    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)
    #: Scheme, host and port of a callback must agree with one of these; see `redirect_url_known`.
    redirect_urls: list[str] = field(
        default_factory=lambda: [
            "http://localhost/dingtalk/callback",
            "http://127.0.0.1/dingtalk/callback",
        ]
    )
    permissions: set[str] = field(
        default_factory=lambda: {
            wire.PERMISSION_USER_READ,
            wire.PERMISSION_USER_MOBILE,
            wire.PERMISSION_APP_BASE,
            wire.PERMISSION_BASE,
            wire.PERMISSION_GET_MEMBER,
            wire.PERMISSION_FIELD_MOBILE,
            wire.PERMISSION_FIELD_EMAIL,
        }
    )
    #: False: the pages and the token calls refuse the Client ID.
    released: bool = True
    #: False: who is no member of the owning organisation is refused on the page. Where DingTalk
    #: stops such a person is not documented, so both can be had.
    admits_outsiders: bool = True
    #: True: an application of the market, which gets mobile numbers masked.
    third_party: bool = False
    #: False: the page does not mind a missing ``prompt``.
    requires_prompt: bool = True
    #: Server egress addresses, each with at most one ``*``; empty: any address.
    allowed_ips: list[str] = field(default_factory=list)
    #: What a declined consent puts into ``error=``, and hands to the error function of the QR code;
    #: DingTalk's own values are not documented.
    decline_error: str = "access_denied"
    #: True: the success function of the QR code is called a second time, as has been seen.
    qr_fires_twice: bool = False
    #: 应用可见范围: the names of those for whom an in-client code is good; ``None``: everybody.
    #: [application-visible-range]
    visible_to: set[str] | None = None

    def accepts(self, client_id: object, client_secret: object) -> bool:
        """Tell whether these are the credentials of an application that has been released."""
        return self.released and (client_id, client_secret) == (self.client_id, self.client_secret)


def random_text(length: int) -> str:
    """Return unguessable letters and digits."""
    return "".join(secrets.choice(_ALPHANUMERIC) for _ in range(length))


def made_up(*seed: str, length: int, hexadecimal: bool = False) -> str:
    """Return letters and digits that depend on the seed alone, the same in every run."""
    digest = hashlib.shake_256("\0".join(seed).encode()).digest(length)
    alphabet = string.hexdigits[:16] if hexadecimal else _ALPHANUMERIC
    return "".join(alphabet[byte % len(alphabet)] for byte in digest)


def made_up_number(seed: str, length: int) -> str:
    """Return digits that depend on the seed alone."""
    digest = hashlib.shake_256(seed.encode()).digest(length)
    return "".join(str(byte % 10) for byte in digest)
