"""The texts that a visitor reads, in English and Chinese.

Two columns are enough for two languages and some thirty texts; a third language would bring gettext
catalogues. What a developer reads (hints, log lines) is English and stands where it is raised.
"""

from typing import Final, Literal, NamedTuple

Language = Literal["en", "zh"]

#: In order of preference where the visitor does not say.
LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")
#: The value of the ``lang`` attribute of a page.
HTML_LANG: Final[dict[Language, str]] = {"en": "en", "zh": "zh-CN"}


class Text(NamedTuple):
    """One text in each language."""

    en: str
    zh: str


class ErrorText(NamedTuple):
    """What a page says of one ``error_code``."""

    title: Text
    message: Text


ERRORS: Final[dict[str, ErrorText]] = {
    "dingtalk_error": ErrorText(
        Text("Something went wrong", "出错了"),
        Text("Signing in with DingTalk did not work.", "钉钉登录未能完成。"),
    ),
    "invalid_state": ErrorText(
        Text("This sign-in is no longer valid", "此次登录已失效"),
        Text(
            "It took too long, was used already, or was started in another browser. "
            "Please sign in again in this one.",
            "登录等待时间过长、链接已被使用，或是在另一个浏览器中发起的。请在当前浏览器中重新登录。",
        ),
    ),
    "access_denied": ErrorText(
        Text("You did not sign in", "您尚未登录"),
        Text(
            "DingTalk reports that the sign-in was declined. Nothing has changed.",
            "钉钉反馈登录授权已被拒绝或取消，您的账号没有任何变化。",
        ),
    ),
    "invalid_code": ErrorText(
        Text("DingTalk did not accept this sign-in", "钉钉未接受此次登录"),
        Text(
            "The code from DingTalk is missing, was used before or has expired. "
            "Please sign in again.",
            "钉钉授权码缺失、已被使用或已过期，请重新登录。",
        ),
    ),
    "login_required": ErrorText(
        Text("Please sign in", "请先登录"),
        Text("You need to sign in with DingTalk to go on.", "请使用钉钉登录后继续。"),
    ),
    "organisation_not_allowed": ErrorText(
        Text("Your organisation has no access", "您所在的组织无权访问"),
        Text(
            "You signed in to DingTalk, but not as a member of an organisation that may use "
            "this site. Choose another organisation or account, or ask the site's administrator.",
            "您已通过钉钉验证，但所选组织无权使用本站。请更换组织或账号，或联系网站管理员。",
        ),
    ),
    "not_permitted": ErrorText(
        Text("This is not open to you", "您没有访问权限"),
        Text(
            "You are not allowed to do this here. If you should be, ask the site's administrator.",
            "您无权执行此操作。如有需要，请联系网站管理员。",
        ),
    ),
    "configuration_error": ErrorText(
        Text("This site is not set up correctly", "网站配置有误"),
        Text(
            "Signing in with DingTalk does not work until the site's administrator has corrected "
            "the settings. The details are in the site's log.",
            "钉钉登录暂不可用，请联系网站管理员检查配置，详细信息见网站日志。",
        ),
    ),
    "rate_limited": ErrorText(
        Text("DingTalk is busy", "钉钉繁忙"),
        Text(
            "DingTalk accepts no more requests just now. Please try again in a moment.",
            "钉钉暂时不接受更多请求，请稍后再试。",
        ),
    ),
    "dingtalk_unavailable": ErrorText(
        Text("DingTalk cannot be reached", "暂时无法连接钉钉"),
        Text(
            "DingTalk did not answer, or not in a way that makes sense. Please try again shortly.",
            "钉钉没有响应或响应异常，请稍后再试。",
        ),
    ),
    "api_error": ErrorText(
        Text("DingTalk reported an error", "钉钉返回了错误"),
        Text(
            "DingTalk could not do what was asked. Please try again; if it happens again, "
            "tell the site's administrator.",
            "钉钉未能完成请求，请重试；如仍有问题，请联系网站管理员。",
        ),
    ),
}


def text_of(error_code: str) -> ErrorText:
    """Return the text for an error; a site's own error without one gets the general text."""
    return ERRORS.get(error_code, ERRORS["dingtalk_error"])


TRY_AGAIN: Final = Text("Try again", "重试")
SIGN_IN: Final = Text("Sign in with DingTalk", "使用钉钉登录")

#: The sign-in page, by the names that its template uses.
LOGIN_PAGE: Final[dict[str, Text]] = {
    "title": Text("Sign in", "登录"),
    "otherwise": Text("or", "或"),
}

#: The embedded QR code.
QR: Final[dict[str, Text]] = {
    "label": Text("DingTalk's QR code", "钉钉二维码"),
    "unavailable": Text(
        "The QR code cannot be shown here. Please use the button instead.",
        "无法显示二维码，请改用按钮登录。",
    ),
    "failed": Text(
        "Nobody was signed in with the QR code. Try a new code, or use the button instead.",
        "扫码登录未成功。请刷新二维码，或改用按钮登录。",
    ),
    "not_in_organisation": Text(
        "You are not in the organisation that may use this site. "
        "Use another account, or ask the site's administrator.",
        "您不在可使用本站的组织内。请更换账号，或联系网站管理员。",
    ),
    "renew": Text("Show a new code", "刷新二维码"),
}

#: The page inside the DingTalk client.
IN_APP: Final[dict[str, Text]] = {
    "title": Text("Signing you in…", "正在登录…"),
}


def in_language(texts: dict[str, Text], language: Language) -> dict[str, str]:
    """Return texts in one language, by the same names."""
    return {name: getattr(text, language) for name, text in texts.items()}
