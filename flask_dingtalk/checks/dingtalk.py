"""What DingTalk lets one find out: credentials, permissions, addresses, the clock, one person."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from ..api import wire
from ..api.authorization import authorize_url
from ..api.error_codes import (
    ADDRESS_REFUSED,
    CREDENTIALS_REFUSED,
    NOT_A_MEMBER,
    OUT_OF_RANGE,
    PERMISSION_MISSING,
    UNKNOWN_ORGANISATION,
)
from ..api.probe import Came, Probe, Reply
from ..errors import ConfigurationError, DingTalkError, InvalidCode, RateLimited
from ..secret import Secret
from ..settings import Settings, is_loopback
from .findings import Console, Finding, Verdict

_finding = partial(Finding, "dingtalk")

#: Seconds by which two clocks may differ before somebody notices: certificates, events, a state
#: that another machine checks.
_NOTICEABLE_SKEW: Final = 30
_HARMFUL_SKEW: Final = 300
_UNITS: Final = ((86_400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))
#: By permission: the name in the console.
PERMISSION_NAMES: Final = {
    wire.PERMISSION_USER_READ: "通讯录个人信息读权限",
    wire.PERMISSION_USER_MOBILE: "个人手机号信息",
    wire.PERMISSION_GET_MEMBER: "成员信息读权限",
    wire.PERMISSION_FIELD_MOBILE: "企业员工手机号信息",
    wire.PERMISSION_FIELD_EMAIL: "邮箱等个人信息",
    wire.PERMISSION_BASE: "调用企业API时需要具备的基本权限",
    wire.PERMISSION_APP_BASE: "获取钉钉开放接口用户访问凭证的基础权限",
}


def dingtalk_findings(
    settings: Settings,
    redirect_url: str | None,
    *,
    union_id: str | None = None,
    signs_in: bool = False,
) -> Iterator[Finding]:
    """Yield what DingTalk says: one call for each thing, none of which changes anything.

    ``union_id`` is somebody who should be able to sign in, if one was named. With ``signs_in``,
    a sign-in follows, which shows more.
    """
    probe = Probe(settings)
    token_reply = probe.app_token()
    yield from _clock(token_reply)
    app_token = None
    unanswered = _unanswered("credentials", token_reply)
    if unanswered is not None:
        yield unanswered
    else:
        page = _page_of_application(probe, settings, redirect_url)
        yield _credentials(token_reply, page)
        yield from _redirect_url_at_dingtalk(page, redirect_url)
        token = token_reply.content.get(wire.TOKEN_ACCESS_TOKEN)
        app_token = Secret(token) if isinstance(token, str) and token else None
    if app_token is None:
        return
    yield _permission("sign-in", wire.PERMISSION_APP_BASE, probe.made_up_code())
    if not signs_in:
        yield from _permissions_at_sign_in()
    if settings.in_app_login:
        yield from _in_app(probe, settings, app_token)
    if settings.members_only or settings.employee_profile or union_id is not None:
        yield from _members(probe, settings, app_token, union_id)


# --- Whether anything came -----------------------------------------------------------------------


def _unanswered(name: str, reply: Reply) -> Finding | None:
    """Return the finding for a reply that is none of DingTalk's answers, else ``None``."""
    where = reply.origin
    environment = "the variables https_proxy and no_proxy"
    problems = {
        Came.NO_SUCH_NAME: (
            f"This machine does not know the name in {where}.",
            "Correct the DINGTALK_…_URL setting, or this machine's DNS.",
        ),
        Came.NOBODY: (
            f"Nobody answers at {where}.",
            "Correct the DINGTALK_…_URL setting or start the simulator that it names, or open the "
            "firewall for this machine.",
        ),
        Came.BAD_CERTIFICATE: (
            f"The certificate of {where} is not one that this machine trusts.",
            "If a proxy of your company looks into https, name its certificate in "
            "REQUESTS_CA_BUNDLE; if not, look at this machine's clock and DNS.",
        ),
        Came.PROXY: (
            f"The proxy on the way to {where} does not forward the call.",
            f"Correct {environment}.",
        ),
        Came.TIMEOUT: (
            f"{where} does not answer in time.",
            f"Open the firewall for this machine, correct {environment}, or raise "
            "DINGTALK_TIMEOUT.",
        ),
        Came.REDIRECT: (
            f"{where} redirects to {reply.target}, which DingTalk's APIs never do.",
            "Correct the DINGTALK_…_URL setting, or sign this machine in to the network that "
            "redirects it.",
        ),
        Came.PAGE: (
            f"A web page came from {where} (HTTP {reply.status}) instead of an API's answer: a "
            "proxy sent it, or DingTalk has banned this machine's address.",
            f"Correct {environment} or the DINGTALK_…_URL setting; a ban ends after five minutes "
            "without a call.",
        ),
        Came.BAN: (
            "DingTalk has banned this machine's address for five minutes, because of too many "
            "calls.",
            "Call nothing for five minutes, then call less often.",
        ),
        Came.NONSENSE: (
            f"What came from {where} (HTTP {reply.status}) is not an answer of DingTalk's.",
            f"Correct {environment} or the DINGTALK_…_URL setting.",
        ),
    }
    if reply.came is Came.ANSWER:
        return None
    problem, cure = problems[reply.came]
    return _finding(name, Verdict.FAILED, problem=problem, cure=cure)


def _clock(reply: Reply) -> Iterator[Finding]:
    ahead = reply.clock_ahead
    if ahead is None:
        return
    size, direction = abs(ahead), "fast" if ahead > 0 else "slow"
    verdict = Verdict.OK
    if size > _NOTICEABLE_SKEW:
        verdict = Verdict.FAILED if size > _HARMFUL_SKEW else Verdict.WARNING
    if verdict is Verdict.OK:
        yield _finding("clock", verdict, value="agrees with DingTalk's")
        return
    shown = next(f"{size / seconds:.0f} {unit}" for seconds, unit in _UNITS if size >= 2 * seconds)
    yield _finding(
        "clock",
        verdict,
        value=f"{shown} {direction}",
        problem=f"This machine's clock is {shown} {direction}.",
        cure="Let it follow a time server (NTP).",
    )


# --- The application -----------------------------------------------------------------------------


def _page_of_application(
    probe: Probe, settings: Settings, redirect_url: str | None
) -> Reply | None:
    """Load the page that a sign-in would begin with."""
    if redirect_url is None:
        return None
    return probe.sign_in_page(authorize_url(settings, state="check", redirect_uri=redirect_url))


def _credentials(reply: Reply, page: Reply | None) -> Finding:
    refusal = _refusal("credentials", reply)
    if refusal is not None:
        return refusal
    error = reply.error
    if error is None:
        return _finding("credentials", Verdict.OK, value="DingTalk accepts them")
    said = _said(reply)
    if error.dingtalk_code in CREDENTIALS_REFUSED:
        text = page.text if page is not None else ""
        if wire.PAGE_UNKNOWN_APPLICATION in text:
            return _finding(
                "credentials",
                Verdict.FAILED,
                problem="DingTalk knows no application with this DINGTALK_CLIENT_ID.",
                cure="Copy the Client ID from the console.",
                console=Console.CREDENTIALS,
                dingtalk=said,
            )
        if wire.PAGE_NOT_RELEASED in text:
            return _finding(
                "release",
                Verdict.FAILED,
                problem="No version of the application is released.",
                cure="Create a version and release it.",
                console=Console.RELEASE,
                dingtalk=said,
            )
        return _finding(
            "credentials",
            Verdict.FAILED,
            problem="DINGTALK_CLIENT_SECRET does not belong to DINGTALK_CLIENT_ID, or no version "
            "of the application is released.",
            cure="Copy both from the console; if they are right, release a version there.",
            console=f"{Console.CREDENTIALS}; {Console.RELEASE}",
            dingtalk=said,
        )
    return _other("credentials", reply)


def _redirect_url_at_dingtalk(page: Reply | None, url: str | None) -> Iterator[Finding]:
    name = "redirect URL at DingTalk"
    if page is None or url is None:
        return
    unanswered = _unanswered("sign-in page", page)
    if unanswered is not None and page.came is not Came.PAGE:
        # It may lead on to a page on another host, which a browser would follow.
        if page.came is not Came.REDIRECT:
            yield unanswered
        return
    if wire.PAGE_REDIRECT_URI_REFUSED in page.text:
        yield _finding(
            name,
            Verdict.FAILED,
            value=url,
            problem="DingTalk's page refuses this redirect URL: it is not registered.",
            cure="Register it in the console, character by character, and save.",
            console=Console.REDIRECT_URL,
        )
    elif wire.PAGE_UNKNOWN_APPLICATION in page.text or wire.PAGE_NOT_RELEASED in page.text:
        # The finding on the credentials says so.
        return
    elif (page.status or 0) >= 400:
        yield _finding(
            "sign-in page",
            Verdict.FAILED,
            problem=f"DingTalk's sign-in page answers HTTP {page.status}.",
            cure="Correct DINGTALK_AUTHORIZE_URL, or open a sign-in in a browser and read what "
            "the page says.",
        )
    elif is_loopback(urlsplit(page.origin).hostname or ""):
        yield _finding(name, Verdict.OK, value=url)
    else:
        yield _finding(
            name,
            Verdict.UNKNOWN,
            value=url,
            problem="DingTalk's page did not refuse it, but a script on it may still do so.",
            cure="Open a sign-in in a browser once.",
            console=Console.REDIRECT_URL,
        )


def _permission(use: str, permission: str, reply: Reply) -> Finding:
    """Return whether DingTalk took a call with a made-up value for a permission that it needs."""
    name = f"permission {permission}"
    unanswered = _unanswered(name, reply) or _refusal(name, reply)
    if unanswered is not None:
        return unanswered
    error = reply.error
    if error is not None and error.dingtalk_code in PERMISSION_MISSING:
        return missing_permission(permission, use, error)
    if error is None or isinstance(error, InvalidCode) or error.dingtalk_code in NOT_A_MEMBER:
        # What was asked about does not exist, which is what DingTalk should say.
        return _finding(name, Verdict.OK, value=f"enabled, for {use}")
    return _other(name, reply)


def missing_permission(permission: str, use: str, error: DingTalkError | None) -> Finding:
    """Return the finding for a permission that is missing; ``error`` is how DingTalk said so."""
    return _finding(
        f"permission {permission}",
        Verdict.FAILED,
        problem=f"The permission {permission} ({PERMISSION_NAMES[permission]}) is missing, which "
        f"{use} needs.",
        cure="Search for its code in the console and enable it.",
        console=Console.PERMISSIONS,
        dingtalk=None if error is None else said_by_dingtalk(error),
    )


def _permissions_at_sign_in() -> Iterator[Finding]:
    for permission, verb in (
        (wire.PERMISSION_USER_READ, "every sign-in needs it"),
        (wire.PERMISSION_USER_MOBILE, "only mobile and state_code need it"),
    ):
        yield _finding(
            f"permission {permission}",
            Verdict.UNKNOWN,
            problem=f"Only a sign-in shows whether {permission} ({PERMISSION_NAMES[permission]}) "
            f"is enabled; {verb}.",
            cure="Look in the console, or run this command with --sign-in.",
            console=Console.PERMISSIONS,
        )


def _in_app(probe: Probe, settings: Settings, app_token: Secret) -> Iterator[Finding]:
    reply = probe.organisation_token(settings.corp_id or "")
    name = "organisation of the application"
    unanswered = _unanswered(name, reply) or _refusal(name, reply)
    if unanswered is not None:
        yield unanswered
    elif reply.error is None:
        yield _finding(name, Verdict.OK, value=settings.corp_id)
    elif reply.error.dingtalk_code in UNKNOWN_ORGANISATION:
        yield _finding(
            name,
            Verdict.FAILED,
            value=settings.corp_id,
            problem="DINGTALK_CORP_ID is not an organisation that has this application.",
            cure="Set it to the corpId of the organisation that owns the application.",
            console=Console.HOME,
            dingtalk=_said(reply),
        )
    else:
        yield _other(name, reply)
    yield _permission(
        "sign-in inside the client", wire.PERMISSION_BASE, probe.made_up_in_app_code(app_token)
    )


# --- Members -------------------------------------------------------------------------------------


def _members(
    probe: Probe, settings: Settings, app_token: Secret, union_id: str | None
) -> Iterator[Finding]:
    reply = probe.member(app_token, union_id)
    permission = _permission("DINGTALK_MEMBERS_ONLY", wire.PERMISSION_GET_MEMBER, reply)
    if union_id is None:
        yield permission
        if permission.verdict is Verdict.OK:
            yield _finding(
                "authorised range",
                Verdict.UNKNOWN,
                problem="Only a member shows whom the application may read.",
                cure="Run this command with --user and the unionId of somebody who should get in.",
                console=Console.AUTHORISED_RANGE,
            )
        return
    error = reply.error
    if reply.came is Came.ANSWER and error is not None and error.dingtalk_code in NOT_A_MEMBER:
        yield _finding(f"permission {wire.PERMISSION_GET_MEMBER}", Verdict.OK, value="enabled")
        yield _not_in(settings, "The application's organisation does not know this person.", reply)
        return
    if error is not None and error.dingtalk_code in OUT_OF_RANGE:
        yield _out_of_range(reply)
        return
    if permission.verdict is not Verdict.OK:
        yield permission
        return
    yield permission
    result = reply.content.get(wire.RESULT)
    result = result if isinstance(result, dict) else {}
    if str(result.get(wire.CONTACT_TYPE)) != "0":
        yield _not_in(settings, "This person is an external contact and not a member.", reply)
        return
    user_id = str(result.get(wire.USER_ID))
    yield _finding("this person", Verdict.OK, value=f"a member, userid {user_id}")
    yield from _record(probe.record(app_token, user_id))


def _record(reply: Reply) -> Iterator[Finding]:
    name = "record of this person"
    unanswered = _unanswered(name, reply) or _refusal(name, reply)
    error = reply.error
    if unanswered is not None:
        yield unanswered
        return
    if error is not None and error.dingtalk_code in OUT_OF_RANGE:
        yield _out_of_range(reply)
        return
    if error is not None:
        yield _other(name, reply)
        return
    yield _finding(name, Verdict.OK, value="can be read; the authorised range covers them")
    result = reply.content.get(wire.RESULT)
    record = result if isinstance(result, dict) else {}
    fields_of = {
        wire.PERMISSION_FIELD_MOBILE: (wire.EMPLOYEE_MOBILE,),
        wire.PERMISSION_FIELD_EMAIL: (
            wire.EMPLOYEE_EMAIL,
            wire.EMPLOYEE_WORK_PLACE,
            wire.EMPLOYEE_REMARK,
            wire.EMPLOYEE_EXTENSION,
        ),
    }
    for permission, names in fields_of.items():
        if any(each in record for each in names):
            yield _finding(f"permission {permission}", Verdict.OK, value="enabled")
        else:
            yield _finding(
                f"permission {permission}",
                Verdict.WARNING,
                problem=f"This record has no {', '.join(names)}: the permission {permission} "
                f"({PERMISSION_NAMES[permission]}) is missing, or nobody filled them in.",
                cure="Enable it in the console if the site uses these fields.",
                console=Console.PERMISSIONS,
            )


def _not_in(settings: Settings, problem: str, reply: Reply) -> Finding:
    refused = bool(settings.members_only)
    return _finding(
        "this person",
        Verdict.FAILED if refused else Verdict.WARNING,
        problem=f"{problem} " + ("A sign-in is refused." if refused else "employee is None."),
        cure="Look at the unionId, or let an administrator add them to the organisation.",
        console=Console.DIRECTORY,
        dingtalk=_said(reply),
    )


def _out_of_range(reply: Reply) -> Finding:
    return _finding(
        "authorised range",
        Verdict.FAILED,
        problem="This person is outside the range that the application may see.",
        cure="Widen the visible range and the authorised range.",
        console=f"{Console.RELEASE}; {Console.AUTHORISED_RANGE}",
        dingtalk=_said(reply),
    )


# --- Errors that any call may get ----------------------------------------------------------------


def _refusal(name: str, reply: Reply) -> Finding | None:
    """Return the finding for an error that is not about what was asked, else ``None``."""
    error = reply.error
    if error is None:
        return None
    if error.dingtalk_code in ADDRESS_REFUSED:
        return _finding(
            "egress IP",
            Verdict.FAILED,
            problem="This machine's address is not on the console's list of egress IPs.",
            cure="Add the address that DingTalk names, or empty the list.",
            console=Console.EGRESS_IPS,
            dingtalk=_said(reply),
        )
    if isinstance(error, RateLimited):
        return _finding(
            name,
            Verdict.FAILED,
            problem="DingTalk throttles this application.",
            cure="Run this command again in a minute; if that stays so, the site calls too often.",
            dingtalk=_said(reply),
        )
    return None


def _other(name: str, reply: Reply) -> Finding:
    error = reply.error
    hint = error.hint if error is not None and error.hint else "try again later"
    is_ours = isinstance(error, ConfigurationError)
    return _finding(
        name,
        Verdict.FAILED,
        problem="DingTalk refuses the call." if is_ours else "DingTalk answers with an error.",
        cure=f"{hint[0].upper()}{hint[1:]}.",
        dingtalk=_said(reply),
    )


def _said(reply: Reply) -> str | None:
    return None if reply.error is None else said_by_dingtalk(reply.error)


def said_by_dingtalk(error: DingTalkError) -> str | None:
    """Return code, message and request id of an error, where DingTalk gave a code."""
    if error.dingtalk_code is None:
        return None
    request = f", request id {error.request_id}" if error.request_id else ""
    return f"{error.dingtalk_code}: {error.dingtalk_message}{request}"
