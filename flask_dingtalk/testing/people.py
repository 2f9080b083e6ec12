"""Organisations, people and the application: plain data that a test may change at any time."""

import hashlib
import secrets
import string
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from ..api import wire

_ALPHANUMERIC: Final = string.ascii_letters + string.digits


@dataclass(slots=True)
class Organisation:
    """An organisation, identified by its corpId."""

    #: The corp id, by which applications know it.
    corp_id: str
    #: The name that the pages show.
    name: str
    #: 组织代码, which people type in at an exclusive login. [dedicated-account-overview]
    code: str


@dataclass(frozen=True, slots=True)
class Role:
    """A role of a member, an entry of ``role_list``."""

    #: The number of the role.
    id: int
    #: What the organisation calls it.
    name: str
    #: The group of roles that it is in.
    group_name: str


@dataclass(slots=True)
class Membership:
    """A person's record in one organisation. [query-user-details]"""

    #: The id within the organisation.
    user_id: str
    #: An external contact has a userid too, but is not a member. [query-a-user-by-the-union-id]
    external: bool = False
    #: Manages the organisation: ``admin`` in the record, and offered with ``org_type=management``.
    admin: bool = False
    #: Whether the person is a boss of the organisation.
    boss: bool = False
    #: Whether the person is in senior manager mode.
    senior: bool = False
    #: Whether the person has activated DingTalk.
    active: bool = True
    #: Name in the organisation's directory; ``None`` for the nick.
    name: str | None = None
    #: The position.
    title: str = ""
    #: The staff number.
    job_number: str = ""
    #: Department ids; 1 is the root department.
    department_ids: tuple[int, ...] = (1,)
    #: Ids of the departments that the person leads.
    leads: tuple[int, ...] = ()
    #: The ``user_id`` of the direct manager.
    manager_user_id: str | None = None
    #: When the member joined; an aware ``datetime``.
    hired_at: datetime | None = None
    #: The e-mail address that the organisation gave the member.
    org_email: str | None = None
    #: The e-mail address in the directory.
    email: str | None = None
    #: The extension in the office.
    telephone: str | None = None
    #: Where the member works.
    work_place: str | None = None
    #: A note by the organisation.
    remark: str | None = None
    #: The organisation's own fields, as JSON text.
    extension: str | None = None
    #: The roles of the member.
    roles: tuple[Role, ...] = ()


@dataclass(slots=True, eq=False)
class Person:
    """A DingTalk account and its records in organisations."""

    #: The name that tests use; the login page shows it beside the nick.
    name: str
    #: The name that applications are sent.
    nick: str | None
    #: The id in all applications of one developer.
    union_id: str
    #: The id in this application only.
    open_id: str
    #: The address of a picture.
    avatar_url: str | None
    #: The phone number: digits without country code.
    mobile: str | None
    #: Country code without plus, ``"86"``.
    state_code: str | None
    #: The e-mail address of the account.
    email: str | None
    #: The name in Latin letters, which the simulator's pages show beside the nick. DingTalk's
    #: interface has no such field.
    latin_name: str | None = None
    #: Records by corpId, those of an external contact included.
    memberships: dict[str, Membership] = field(default_factory=dict)
    #: The userids of organisations that the person has left, by corpId.
    former_user_ids: dict[str, str] = field(default_factory=dict)

    @property
    def corp_ids(self) -> tuple[str, ...]:
        """The organisations that the person is a member of, in the order of joining."""
        return tuple(corp for corp, member in self.memberships.items() if not member.external)

    @property
    def avatar_path(self) -> str:
        """Path at which the simulator serves the person's drawn avatar."""
        # As long as DingTalk's own addresses, so that sessions reach a realistic size.
        return f"/media/l{text_from_seed('avatar', self.name, length=64)}_640_640.svg"


@dataclass(slots=True)
class Application:
    """The application as DingTalk's console shows it; every field may be changed at any time."""

    #: The organisation that owns the application.
    corp_id: str
    #: The name that the pages show.
    name: str = "Flask Demo"
    #: Client ID.
    client_id: str = field(default_factory=lambda: f"ding{random_text(16).lower()}")
    #: Client Secret.
    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)
    #: A ``redirect_uri`` must have scheme, host and port of one of these.
    redirect_urls: list[str] = field(
        default_factory=lambda: [
            "http://localhost/dingtalk/callback",
            "http://127.0.0.1/dingtalk/callback",
        ]
    )
    #: The permissions that are enabled, by DingTalk's names; all that a site may need at first.
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
    #: False: login pages and token calls refuse the Client ID.
    released: bool = True
    #: False: the login page refuses people who are not members of the owning organisation.
    #: DingTalk is known to let them in with the scope ``openid``; for a scope with ``corpid`` and
    #: for the QR code nobody knows.
    admits_outsiders: bool = True
    #: True: a third-party application, which receives fewer fields and masked mobile numbers.
    third_party: bool = False
    #: False: ``prompt`` may be missing. Its value makes no difference, as far as is known.
    requires_prompt: bool = True
    #: True: who agreed once is not shown the consent page again. When DingTalk shows it is not
    #: documented; its login answers whether it wants to.
    asks_for_consent_once: bool = False
    #: Egress addresses of the site's servers, ``*`` as a wildcard; empty: any address.
    allowed_ips: list[str] = field(default_factory=list)
    #: Value of ``error=`` after a declined consent, also passed to the error callback of the QR
    #: code. DingTalk's own values are not documented.
    decline_error: str = wire.CALLBACK_DECLINED
    #: True: the QR code calls the success callback twice, as DingTalk sometimes does.
    qr_fires_twice: bool = False
    #: 应用可见范围: names of the people whose in-app codes are accepted, and whose records can be
    #: read; ``None``: everybody's. [application-visible-range]
    visible_to: set[str] | None = None
    #: In the headers of events. [basic-concepts-beta]
    unified_app_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    #: 签名 token of 开发配置 > 事件订阅. [configure-stream-push]
    event_token: str = field(default_factory=lambda: random_text(16), repr=False)
    #: 加密 aes_key, next to it.
    event_aes_key: str = field(default_factory=lambda: random_text(43), repr=False)
    #: 请求网址, next to it; set it with ``DingTalkSimulator.subscribe``.
    event_url: str | None = None
    #: True: events by HTTP are spelled as DingTalk's pages show them today, and not as in live
    #: bodies of 2021 and 2022.
    new_event_bodies: bool = False
    #: True: events wait for somebody who listens; otherwise they are lost if nobody does. What
    #: DingTalk does is not documented.
    keeps_events: bool = False

    def accepts(self, client_id: object, client_secret: object) -> bool:
        """Tell whether the credentials are right and the application has been released."""
        return self.released and (client_id, client_secret) == (self.client_id, self.client_secret)


def random_text(length: int) -> str:
    """Return letters and digits that nobody can guess."""
    return "".join(secrets.choice(_ALPHANUMERIC) for _ in range(length))


def text_from_seed(*seed: str, length: int, hexadecimal: bool = False) -> str:
    """Return letters and digits; the same seed gives the same text in every run."""
    digest = hashlib.shake_256("\0".join(seed).encode()).digest(length)
    alphabet = string.hexdigits[:16] if hexadecimal else _ALPHANUMERIC
    return "".join(alphabet[byte % len(alphabet)] for byte in digest)


def digits_from_seed(seed: str, length: int) -> str:
    """Return digits; the same seed gives the same digits in every run."""
    digest = hashlib.shake_256(seed.encode()).digest(length)
    return "".join(str(byte % 10) for byte in digest)
