"""What a check found: plain values, to be printed or compared."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from typing import Final


class Verdict(StrEnum):
    """How good a finding is."""

    OK = "ok"
    #: Nobody can tell from here.
    UNKNOWN = "unknown"
    #: Works, and is probably not meant so.
    WARNING = "warning"
    #: Sign-ins fail, or are not safe.
    FAILED = "failed"


class Console:
    """Where something is set in DingTalk's developer console, in Chinese and English."""

    CREDENTIALS: Final = "基础信息 > 凭证与基础信息 (Basic information > Credentials)"
    REDIRECT_URL: Final = (
        "开发配置 > 安全设置 > 重定向URL（回调域名） "
        "(Development > Security settings > Redirect URL)"
    )
    EGRESS_IPS: Final = (
        "开发配置 > 安全设置 > 服务器出口IP (Development > Security settings > Server egress IPs)"
    )
    PERMISSIONS: Final = "开发配置 > 权限管理 (Development > Permissions)"
    AUTHORISED_RANGE: Final = (
        "权限管理 > 通讯录 > 授权范围 (Permissions > Directory > Authorised range)"
    )
    RELEASE: Final = "应用发布 > 版本管理与发布 (Release > Versions)"
    HOME: Final = "首页 (home page, open-dev.dingtalk.com)"
    EVENTS: Final = "开发配置 > 事件订阅 (Development > Event subscription)"
    #: Of an organisation's own administrators, at oa.dingtalk.com.
    DIRECTORY: Final = "管理后台 > 通讯录 (Admin console, oa.dingtalk.com > Directory)"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    #: ``settings``, ``site`` or ``dingtalk``, among others.
    section: str
    #: The setting, or what was looked at in few words.
    name: str
    verdict: Verdict
    _: KW_ONLY
    #: What is there; secrets never.
    value: str | None = None
    #: What is wrong, in one sentence.
    problem: str | None = None
    #: What to do about it, in one sentence.
    cure: str | None = None
    #: Where in DingTalk's console.
    console: str | None = None
    #: What DingTalk said, for a question to its support.
    dingtalk: str | None = None
