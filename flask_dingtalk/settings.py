"""The ``DINGTALK_*`` settings, read once into one frozen object.

``app.config.from_prefixed_env()`` parses environment variables as JSON: a secret made of digits
arrives as a number, ``False`` as text (JSON says ``false``), and a list as a list or as
comma-separated text. The readers below accept each of these forms. They refuse any other by the
setting's name and never guess.

To add a setting, add a field to ``Settings``: its type, its reader and its default.
"""

from __future__ import annotations

import ipaddress
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from difflib import SequenceMatcher
from typing import Annotated, Any, Final, NoReturn, Self, get_type_hints
from urllib.parse import urlsplit

from .api import wire
from .errors import ConfigurationError
from .redirects import origin_of
from .secret import without_inner_frames

#: What the name of each setting begins with.
PREFIX: Final = "DINGTALK_"
_WHERE_CREDENTIALS: Final = (
    "copy it from the console (open-dev.dingtalk.com): the application's page, "
    "基础信息 > 凭证与基础信息 (basic information > credentials)"
)

_WHERE_CORP_ID: Final = "the console's home page (open-dev.dingtalk.com) shows it"
_WHERE_EVENTS: Final = (
    "copy it from the console (open-dev.dingtalk.com): the application's page, "
    "开发配置 > 事件订阅 (development > event subscription)"
)
#: From 0 to 1: names at least this similar count as misspelt.
_LIKENESS: Final = 0.85
_ORIGIN: Final = re.compile(r"https?://(\[[0-9a-f:.]+\]|[\w.-]+)(:\d+)?", re.ASCII | re.IGNORECASE)
#: Seconds. No visitor waits longer, and sockets overflow at much larger numbers.
_MAX_TIMEOUT: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings after checking: one field for each, under its name without the prefix.

    The annotation names the function that reads the value from the config. A field without a
    default is a required setting.
    """

    client_id: Annotated[str, _credential]
    client_secret: Annotated[str, _credential] = field(repr=False)
    scope: Annotated[str, _scope] = wire.SCOPE_OPENID
    redirect_uri: Annotated[str | None, _url] = None
    corp_id: Annotated[str | None, _corp_id] = None
    org_type: Annotated[str | None, _org_type] = None
    exclusive_login: Annotated[bool, _flag] = False
    exclusive_corp_id: Annotated[str | None, _corp_id] = None
    allowed_corp_ids: Annotated[frozenset[str] | None, _corp_ids] = None
    trusted_origins: Annotated[tuple[str, ...], _origins] = ()
    login_redirect: Annotated[str, _landing] = "/"
    logout_redirect: Annotated[str, _landing] = "/"
    login_page: Annotated[bool, _flag] = False
    in_app_login: Annotated[bool, _flag] = False
    #: ``None`` means undecided: everybody is admitted, with a warning at start.
    members_only: Annotated[bool | None, _flag] = None
    employee_profile: Annotated[bool, _flag] = False
    #: Seconds.
    revalidate_after: Annotated[float | None, _number] = None
    #: Seconds.
    revalidate_grace: Annotated[float, _number_or_zero] = 3600
    #: Seconds.
    sign_in_lifetime: Annotated[float, _number] = 30 * 86_400
    #: Seconds.
    state_lifetime: Annotated[float, _number] = 600
    #: The address may hold a password.
    store: Annotated[str | None, _store] = field(default=None, repr=False)
    #: Both or neither.
    event_token: Annotated[str | None, _event_token] = field(default=None, repr=False)
    event_aes_key: Annotated[str | None, _event_aes_key] = field(default=None, repr=False)
    #: Seconds to connect, and seconds to wait for each part of an answer. Their sum limits a call.
    timeout: Annotated[tuple[float, float], _timeout] = (3.05, 10.0)
    authorize_url: Annotated[str, _dingtalk_url] = wire.AUTHORIZE_URL
    api_base_url: Annotated[str, _base_url] = wire.API_BASE_URL
    oapi_base_url: Annotated[str, _base_url] = wire.OAPI_BASE_URL
    qr_script_url: Annotated[str, _dingtalk_url] = wire.QR_SCRIPT_URL
    jsapi_url: Annotated[str, _dingtalk_url] = wire.JSAPI_URL

    @property
    def is_open_to_all(self) -> bool:
        """Whether anybody with a DingTalk account may sign in, without the site having said so."""
        return self.members_only is None and self.allowed_corp_ids is None

    @classmethod
    @without_inner_frames
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Read the settings from a Flask config; ``None`` counts as not set.

        Raises ``ConfigurationError`` that names the setting if one is missing or malformed, if a
        name looks like a misspelt setting, or if two settings contradict each other.
        """
        _refuse_misspelt_names(config)
        values: dict[str, Any] = {}
        for each in fields(cls):
            key = PREFIX + each.name.upper()
            value = config.get(key)
            if value is not None or each.default is MISSING:
                values[each.name] = _READERS[each.name](key, value)
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
                "is not among DINGTALK_ALLOWED_CORP_IDS: people would sign in with the "
                "organisation that it preselects, and be refused",
                "add it there, or preselect another organisation",
            )
        if "allowed_corp_ids" in values:
            # Only with this scope does DingTalk say which organisation the user chose.
            values["scope"] = wire.SCOPE_OPENID_CORPID
        settings = cls(**values)
        if settings.in_app_login and settings.corp_id is None:
            _refuse(
                "DINGTALK_IN_APP_LOGIN",
                "needs DINGTALK_CORP_ID: the client issues codes for one organisation",
                f"set DINGTALK_CORP_ID to the organisation that owns the application; "
                f"{_WHERE_CORP_ID}",
            )
        if settings.login_page:
            settings.check_qr("DINGTALK_LOGIN_PAGE")
        settings._check_events()
        return settings

    @property
    def knows_members(self) -> bool:
        """Whether the user id of each member who signs in is known."""
        return bool(self.members_only or self.employee_profile)

    def _check_events(self) -> None:
        """Raise ``ConfigurationError`` unless events can be decrypted, and say who is meant."""
        given = {"DINGTALK_EVENT_TOKEN": self.event_token}
        given["DINGTALK_EVENT_AES_KEY"] = self.event_aes_key
        missing = [name for name, value in given.items() if value is None]
        if len(missing) == 1:
            (other,) = given.keys() - set(missing)
            _refuse(
                missing[0], f"is not set, and {other} is", f"{_WHERE_EVENTS}; or remove {other}"
            )
        if not missing and not self.knows_members:
            _refuse(
                "DINGTALK_EVENT_TOKEN",
                "needs DINGTALK_MEMBERS_ONLY or DINGTALK_EMPLOYEE_PROFILE: DingTalk's events name "
                "people by their user id, which is not known otherwise",
                "set one of the two to True",
            )

    def check_qr(self, what: str) -> None:
        """Raise ``ConfigurationError`` if DingTalk's QR code cannot work with these settings.

        ``what`` goes into the error: the setting or function that shows the code.
        [obtain-identity-credentials]
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
    """Raise ``ConfigurationError`` for a ``DINGTALK_*`` name that looks like a misspelt setting.

    If ``DINGTALK_ONLY_MEMBERS`` were ignored, the site would be open to everybody.
    """
    for name in config:
        known = name.removeprefix(PREFIX).lower() in _READERS
        if name.startswith(PREFIX) and not known:
            meant = _resembled(name.removeprefix(PREFIX))
            if meant is not None:
                _refuse(
                    name,
                    f"is not a setting of Flask-DingTalk; {meant} resembles it",
                    f"write {meant}, or rename it if it is a setting of the site",
                )


def _resembled(name: str) -> str | None:
    """Return the setting that ``name`` resembles, by its letters or by its words in any order."""
    words = sorted(name.split("_"))
    best, best_likeness = None, 0.0
    for known in map(str.upper, _READERS):
        known_words = sorted(known.split("_"))
        likeness = max(
            SequenceMatcher(None, name, known).ratio(),
            SequenceMatcher(None, "".join(words), "".join(known_words)).ratio(),
        )
        if likeness < _LIKENESS and not _differ_by_one_word(words, known_words):
            continue
        if likeness > best_likeness:
            best, best_likeness = PREFIX + known, likeness
    return best


def _differ_by_one_word(some: list[str], others: list[str]) -> bool:
    shorter, longer = sorted((some, others), key=len)
    return len(longer) - len(shorter) == 1 and not Counter(shorter) - Counter(longer)


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` always means this machine (RFC 5735, RFC 6761 section 6.3)."""
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
        # from_prefixed_env() turns a text of digits into a number.
        return str(value)
    if not isinstance(value, str):
        _refuse(name, "has to be text", "put it in quotes; in the environment, in quotes twice")
    if not value.strip() or value != value.strip() or not value.isprintable():
        _refuse(
            name, "is empty, has spaces around it, or contains invisible characters", "retype it"
        )
    return value


def _credential(name: str, value: Any) -> str:
    if value is None or value == "":
        _refuse(name, "is not set", _where_it_is(name) or _WHERE_CREDENTIALS)
    text = _text(name, value)
    if any(character.isspace() for character in text) or not text.isascii():
        _refuse(name, "contains characters that DingTalk never uses", _WHERE_CREDENTIALS)
    return text


def _where_it_is(name: str) -> str | None:
    """Return what to do about a setting that is in the environment but not in the config."""
    prefixed = f"FLASK_{name}"
    if os.environ.get(prefixed):
        return (
            f"the environment has {prefixed}, which app.config.from_prefixed_env() reads: call it "
            "before DingTalk(app) or init_app(app)"
        )
    if os.environ.get(name):
        return (
            f"the environment has {name}, without the prefix: call it {prefixed}, which "
            "app.config.from_prefixed_env() reads"
        )
    return None


def _corp_id(name: str, value: Any) -> str:
    text = _text(name, value)
    if any(character.isspace() or character == "," for character in text) or not text.isascii():
        _refuse(name, "is not a corp id", f"a corp id begins with ding; {_WHERE_CORP_ID}")
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


def _event_token(name: str, value: Any) -> str:
    return _letters_and_digits(name, value, range(3, 33), "3 to 32 letters and digits")


def _event_aes_key(name: str, value: Any) -> str:
    return _letters_and_digits(name, value, range(43, 44), "43 letters and digits")


def _letters_and_digits(name: str, value: Any, lengths: range, what: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        # from_prefixed_env() turns a text of digits into a number.
        value = str(value)
    if (
        not isinstance(value, str)
        or len(value) not in lengths
        or not (value.isascii() and value.isalnum())
    ):
        # Without the value, which is a secret.
        _refuse(name, f"does not consist of {what}", _WHERE_EVENTS)
    return value


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
        _refuse(
            name, f"is not a list of {kind}", "use a list of texts, or one comma-separated text"
        )
    return frozenset(item.strip() for item in value) - {""}


def _corp_ids(name: str, value: Any) -> frozenset[str]:
    corp_ids = _texts(name, value, "corp ids")
    if not corp_ids:
        # If it counted as "not set", the site would be open to everybody.
        _refuse(name, "is empty, which would admit nobody", "name an organisation, or remove it")
    for corp_id in corp_ids:
        _corp_id(name, corp_id)
    return corp_ids


def _origins(name: str, value: Any) -> tuple[str, ...]:
    return tuple(sorted({_origin(name, text) for text in _texts(name, value, "origins")}))


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
        _refuse(name, "is not a number of seconds", "use a number above 0")
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
        _refuse(name, "is not a pair of seconds", "use one number, or two: (connect, read)")
    connect, read = (_number(name, item) for item in value)
    if max(connect, read) > _MAX_TIMEOUT:
        _refuse(name, f"is more than {_MAX_TIMEOUT} seconds", "use a few seconds")
    return connect, read


def _url(name: str, value: Any) -> str:
    text = _text(name, value)
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises ValueError if it is not a number
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
        _refuse(
            name, "is not an absolute http(s) URL without a fragment", "write https://host/path"
        )
    return text


def _store(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.startswith(("redis://", "rediss://", "unix://")):
        # Without the value: it may hold a password.
        _refuse(
            name,
            "is not the address of a Redis server",
            "write redis://host:6379/0, rediss://… for TLS, or unix:///path/to/socket; for "
            "Sentinel or a Cluster, give DingTalk(app, store=client)",
        )
    return value


def _dingtalk_url(name: str, value: Any) -> str:
    text = _url(name, value)
    parts = urlsplit(text)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        _refuse(name, "is plain http, which sends secrets unencrypted", "use https")
    return text


def _base_url(name: str, value: Any) -> str:
    text = _dingtalk_url(name, value)
    if "?" in text:
        _refuse(name, "has a query", "write only scheme and host")
    return text.rstrip("/")


def _landing(name: str, value: Any) -> str:
    text = _text(name, value)
    if text.startswith("/") and not text.startswith(("//", "/\\")):
        return text
    return _url(name, value)


#: The reader of each setting, from the annotations of ``Settings``.
_READERS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    name: hint.__metadata__[0]
    for name, hint in get_type_hints(Settings, include_extras=True).items()
}
