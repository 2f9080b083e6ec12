"""The ``DINGTALK_*`` settings, read once into one frozen object.

``app.config.from_prefixed_env()`` hands them over as parsed JSON: a secret of digits arrives as a
number, ``False`` as text (JSON says ``false``), a list as a list or as comma-separated text. Each
form is either understood or refused by the setting's name; a value is never guessed at.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, Final, NoReturn, Self
from urllib.parse import urlsplit

from .api import wire
from .errors import ConfigurationError
from .redirects import origin_of

_PREFIX: Final = "DINGTALK_"
_WHERE_CREDENTIALS: Final = (
    "copy it from the console (open-dev.dingtalk.com): the application's page, "
    "基础信息 > 凭证与基础信息 (basic information > credentials)"
)

_WHERE_CORP_ID: Final = "the console's home page (open-dev.dingtalk.com) shows it"
#: How alike two names have to be, from 0 to 1, for one to be taken for a slip of the pen.
_LIKENESS: Final = 0.85
#: Settings of a later version. Ignored, they would promise what does not happen.
_COMING: Final = ("DINGTALK_STORE", "DINGTALK_EVENT_TOKEN", "DINGTALK_EVENT_AES_KEY")
_ORIGIN: Final = re.compile(r"https?://(\[[0-9a-f:.]+\]|[\w.-]+)(:\d+)?", re.ASCII | re.IGNORECASE)
#: Seconds; a page that takes longer is lost anyway, and sockets know no much larger numbers.
_MAX_TIMEOUT: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the developer decided, checked. One field for each setting, without its prefix."""

    client_id: str
    client_secret: str = field(repr=False)
    scope: str = wire.SCOPE_OPENID
    redirect_uri: str | None = None
    corp_id: str | None = None
    org_type: str | None = None
    exclusive_login: bool = False
    exclusive_corp_id: str | None = None
    allowed_corp_ids: frozenset[str] | None = None
    trusted_origins: tuple[str, ...] = ()
    login_redirect: str = "/"
    logout_redirect: str = "/"
    login_page: bool = False
    in_app_login: bool = False
    #: ``None``: not decided, which admits everybody with a warning.
    members_only: bool | None = None
    employee_profile: bool = False
    #: Seconds.
    revalidate_after: float | None = None
    #: Seconds.
    revalidate_grace: float = 3600
    #: Seconds.
    sign_in_lifetime: float = 30 * 86_400
    #: Seconds.
    state_lifetime: float = 600
    #: Seconds to connect and to wait for each part of an answer; their sum bounds a whole call.
    timeout: tuple[float, float] = (3.05, 10.0)
    authorize_url: str = wire.AUTHORIZE_URL
    api_base_url: str = wire.API_BASE_URL
    oapi_base_url: str = wire.OAPI_BASE_URL
    qr_script_url: str = wire.QR_SCRIPT_URL
    jsapi_url: str = wire.JSAPI_URL

    @property
    def is_open_to_all(self) -> bool:
        """Whether anybody with a DingTalk account may come in, and nobody has said so."""
        return self.members_only is None and self.allowed_corp_ids is None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Read the settings from a Flask config.

        Raises ``ConfigurationError``, with the setting's name, for one that is missing or
        malformed, for a name that resembles a setting and is none, or for two that contradict each
        other.
        """
        _refuse_misspelt_names(config)
        read = {name: config.get(_PREFIX + name.upper()) for name in _READERS}
        values: dict[str, Any] = {
            name: _READERS[name](_PREFIX + name.upper(), value)
            for name, value in read.items()
            if value is not None or name in _REQUIRED
        }
        if values.get("exclusive_corp_id") and not values.get("exclusive_login"):
            _refuse(
                "DINGTALK_EXCLUSIVE_CORP_ID",
                "means nothing to DingTalk without DINGTALK_EXCLUSIVE_LOGIN",
                "set DINGTALK_EXCLUSIVE_LOGIN = True as well, or remove it",
            )
        if values.get("corp_id") and values["corp_id"] not in values.get(
            "allowed_corp_ids", (values["corp_id"],)
        ):
            _refuse(
                "DINGTALK_CORP_ID",
                "is not among DINGTALK_ALLOWED_CORP_IDS: whom it preselects would be refused",
                "add it there, or preselect another organisation",
            )
        if "allowed_corp_ids" in values:
            # Which organisation was chosen comes with this scope alone.
            values["scope"] = wire.SCOPE_OPENID_CORPID
        settings = cls(**values)
        if settings.in_app_login and settings.corp_id is None:
            _refuse(
                "DINGTALK_IN_APP_LOGIN",
                "needs DINGTALK_CORP_ID: the client wants to know for which organisation",
                f"set DINGTALK_CORP_ID to the application's own; {_WHERE_CORP_ID}",
            )
        if settings.login_page:
            settings.check_qr("DINGTALK_LOGIN_PAGE")
        return settings

    def check_qr(self, what: str) -> None:
        """Raise ``ConfigurationError`` if DingTalk's QR code cannot work with these settings.

        ``what`` names what asks for the code. [obtain-identity-credentials]
        """
        if self.scope == wire.SCOPE_OPENID_CORPID and self.corp_id is None:
            _refuse(
                what,
                f"shows DingTalk's QR code, which with the scope {self.scope!r} wants "
                "DINGTALK_CORP_ID",
                f"set it to the organisation to preselect; {_WHERE_CORP_ID}. To admit only members "
                "of the application's own organisation, use DINGTALK_MEMBERS_ONLY with the scope "
                "'openid' and without DINGTALK_ALLOWED_CORP_IDS",
            )
        if self.exclusive_login and self.exclusive_corp_id is None:
            _refuse(
                what,
                "shows DingTalk's QR code, which with DINGTALK_EXCLUSIVE_LOGIN wants "
                "DINGTALK_EXCLUSIVE_CORP_ID",
                f"set it to the organisation that owns the accounts; {_WHERE_CORP_ID}",
            )


def _refuse_misspelt_names(config: Mapping[str, Any]) -> None:
    """Raise ``ConfigurationError`` for a ``DINGTALK_*`` name that resembles a setting.

    Ignored, ``DINGTALK_ONLY_MEMBERS`` would open the site to everybody.
    """
    for name in config:
        if name in _COMING:
            _refuse(name, "is not supported by this version", "remove it")
        if name.startswith(_PREFIX) and name.removeprefix(_PREFIX).lower() not in _READERS:
            meant = _resembled(name.removeprefix(_PREFIX))
            if meant is not None:
                _refuse(
                    name,
                    f"is not a setting of Flask-DingTalk; {meant} resembles it",
                    f"write {meant}, or choose another name if it is the site's own",
                )


def _resembled(name: str) -> str | None:
    """Return the setting that ``name`` resembles: in its letters, or in its words in any order."""
    words = sorted(name.split("_"))
    best, best_likeness = None, 0.0
    for known in (reader.upper() for reader in _READERS):
        known_words = sorted(known.split("_"))
        likeness = max(
            SequenceMatcher(None, name, known).ratio(),
            SequenceMatcher(None, "".join(words), "".join(known_words)).ratio(),
        )
        if likeness < _LIKENESS and not _differ_by_one_word(words, known_words):
            continue
        if likeness > best_likeness:
            best, best_likeness = _PREFIX + known, likeness
    return best


def _differ_by_one_word(some: list[str], others: list[str]) -> bool:
    shorter, longer = sorted((some, others), key=len)
    return len(longer) - len(shorter) == 1 and not Counter(shorter) - Counter(longer)


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` is this machine and nothing else (RFC 5735, RFC 6761 section 6.3)."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse(name: str, problem: str, cure: str) -> NoReturn:
    raise ConfigurationError(f"{name} {problem}", hint=cure)


def _text(name: str, value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        # A text of digits, as from_prefixed_env() hands it over.
        return str(value)
    if not isinstance(value, str):
        _refuse(name, "has to be text", "put it in quotes; in the environment, in quotes twice")
    if not value.strip() or value != value.strip() or not value.isprintable():
        _refuse(
            name, "is empty, or has blanks around it or invisible characters in it", "retype it"
        )
    return value


def _credential(name: str, value: Any) -> str:
    if value is None or value == "":
        _refuse(name, "is not set", _WHERE_CREDENTIALS)
    text = _text(name, value)
    if any(character.isspace() for character in text) or not text.isascii():
        _refuse(name, "has blanks or characters in it that DingTalk never uses", _WHERE_CREDENTIALS)
    return text


def _corp_id(name: str, value: Any) -> str:
    text = _text(name, value)
    if any(character.isspace() or character == "," for character in text) or not text.isascii():
        _refuse(name, "is no corp id", f"a corp id begins with ding; {_WHERE_CORP_ID}")
    return text


def _scope(name: str, value: Any) -> str:
    if value not in (wire.SCOPE_OPENID, wire.SCOPE_OPENID_CORPID):
        _refuse(
            name,
            f"is {value!r}, which DingTalk does not know",
            f"use {wire.SCOPE_OPENID!r} or {wire.SCOPE_OPENID_CORPID!r}",
        )
    return str(value)


def _org_type(name: str, value: Any) -> str:
    if value != wire.ORG_TYPE_MANAGEMENT:
        _refuse(name, f"is {value!r}", f"use {wire.ORG_TYPE_MANAGEMENT!r} or leave it unset")
    return wire.ORG_TYPE_MANAGEMENT


def _flag(name: str, value: Any) -> bool:
    if isinstance(value, str):
        value = {"true": True, "1": True, "false": False, "0": False}.get(value.strip().lower())
    if isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    _refuse(
        name, "is neither true nor false", "use True or False; in the environment true or false"
    )


def _texts(name: str, value: Any, kind: str) -> frozenset[str]:
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list | tuple | set | frozenset) or not all(
        isinstance(item, str) for item in value
    ):
        _refuse(name, f"is no list of {kind}", "use a list of texts, or one comma-separated text")
    return frozenset(item.strip() for item in value) - {""}


def _corp_ids(name: str, value: Any) -> frozenset[str]:
    corp_ids = _texts(name, value, "corp ids")
    if not corp_ids:
        # Taking it for "not set" would open the site to everybody.
        _refuse(name, "is empty, which would admit nobody", "name an organisation, or remove it")
    for corp_id in corp_ids:
        _corp_id(name, corp_id)
    return corp_ids


def _origins(name: str, value: Any) -> tuple[str, ...]:
    return tuple(sorted(_origin(name, text) for text in _texts(name, value, "origins")))


def _origin(name: str, text: str) -> str:
    origin = origin_of(text)
    # Browsers send an international name in ASCII (RFC 6454, section 6.2).
    if origin is None or not _ORIGIN.fullmatch(text):
        _refuse(
            name,
            f"has {text!r} in it, which is not an origin",
            "write scheme, host and, where there is one, port, as a browser shows them: "
            "https://app.example.com. There are no wildcards, and no path or slash follows",
        )
    return origin


def _number(name: str, value: Any) -> float:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            value = None
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse(name, "is no number of seconds", "use a number above 0")
    if not math.isfinite(value) or value <= 0:
        _refuse(name, f"is {value}", "use a number of seconds above 0")
    return value


def _number_or_zero(name: str, value: Any) -> float:
    return 0.0 if value in (0, "0") and value is not False else _number(name, value)


def _timeout(name: str, value: Any) -> tuple[float, float]:
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list | tuple):
        value = (value, value)
    if len(value) != 2:
        _refuse(name, "is no pair of seconds", "use one number, or two: (connect, read)")
    connect, read = (_number(name, item) for item in value)
    if max(connect, read) > _MAX_TIMEOUT:
        _refuse(name, f"is over {_MAX_TIMEOUT} seconds", "use a few seconds")
    return connect, read


def _url(name: str, value: Any) -> str:
    text = _text(name, value)
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises for a port that is no number
    except ValueError:
        parts = urlsplit("")
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or "@" in parts.netloc
        or "#" in text
        or "\\" in text
        or any(character.isspace() for character in text)
    ):
        _refuse(name, "is no absolute http(s) URL without fragment", "write https://host/path")
    return text


def _dingtalk_url(name: str, value: Any) -> str:
    text = _url(name, value)
    parts = urlsplit(text)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        _refuse(name, "is plain http, which shows every secret to the network", "use https")
    return text


def _base_url(name: str, value: Any) -> str:
    text = _dingtalk_url(name, value)
    if "?" in text:
        _refuse(name, "has a query", "write scheme and host alone")
    return text.rstrip("/")


def _landing(name: str, value: Any) -> str:
    text = _text(name, value)
    if text.startswith("/") and not text.startswith(("//", "/\\")):
        return text
    return _url(name, value)


_READERS: Final = {
    "client_id": _credential,
    "client_secret": _credential,
    "scope": _scope,
    "redirect_uri": _url,
    "corp_id": _corp_id,
    "org_type": _org_type,
    "exclusive_login": _flag,
    "exclusive_corp_id": _corp_id,
    "allowed_corp_ids": _corp_ids,
    "members_only": _flag,
    "employee_profile": _flag,
    "revalidate_after": _number,
    "revalidate_grace": _number_or_zero,
    "sign_in_lifetime": _number,
    "trusted_origins": _origins,
    "login_redirect": _landing,
    "logout_redirect": _landing,
    "login_page": _flag,
    "in_app_login": _flag,
    "state_lifetime": _number,
    "timeout": _timeout,
    "authorize_url": _dingtalk_url,
    "api_base_url": _base_url,
    "oapi_base_url": _base_url,
    "qr_script_url": _dingtalk_url,
    "jsapi_url": _dingtalk_url,
}
_REQUIRED: Final = ("client_id", "client_secret")
