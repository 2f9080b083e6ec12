"""The texts for visitors, in English and Chinese.

Two columns are enough for two languages and some thirty texts; a third language would need gettext
catalogues. Texts for developers (hints, log lines) are in English, in the code that uses them.
"""

from typing import Final, Literal, NamedTuple

Language = Literal["en", "zh"]

#: The first is the default if the visitor's browser names none.
LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")
#: The value of the ``lang`` attribute of a page.
HTML_LANG: Final[dict[Language, str]] = {"en": "en", "zh": "zh-CN"}


class Text(NamedTuple):
    """One text in each language."""

    en: str
    zh: str

    def in_(self, language: Language) -> str:
        """Return the text in one language."""
        return self.zh if language == "zh" else self.en


class ErrorText(NamedTuple):
    """The title and the text of the page for one ``error_code``."""

    title: Text
    message: Text


ERRORS: Final[dict[str, ErrorText]] = {
    "dingtalk_error": ErrorText(
        Text("Something went wrong", "出错了"),
        Text("Signing in with DingTalk did not work.", "未能使用钉钉登录。"),
    ),
    "invalid_state": ErrorText(
        Text("This sign-in is no longer valid", "此次登录已失效"),
        Text(
            "It took too long, was already used, or was started in another browser. "
            "Please sign in again here.",
            "登录耗时过长、链接已被使用，或者您是在另一个浏览器中开始登录的。请在当前浏览器中重新登录。",
        ),
    ),
    "access_denied": ErrorText(
        Text("The sign-in was not completed", "登录未完成"),
        Text(
            "DingTalk did not confirm the sign-in. Your account may not be allowed to use this "
            "application. If it should be, ask the site's administrator.",
            "钉钉未确认此次登录，您的账号可能无权使用此应用。如有需要，请联系网站管理员。",
        ),
    ),
    "invalid_code": ErrorText(
        Text("DingTalk did not accept this sign-in", "钉钉未通过此次登录"),
        Text(
            "The code from DingTalk is missing, was already used, or has expired. "
            "Please sign in again.",
            "钉钉授权码缺失、已被使用或已过期，请重新登录。",
        ),
    ),
    "login_required": ErrorText(
        Text("Please sign in", "请先登录"),
        Text("You need to sign in with DingTalk to continue.", "请使用钉钉登录后继续。"),
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
        Text("You do not have access", "您没有访问权限"),
        Text(
            "Your account is not allowed to do this. If it should be, ask the site's "
            "administrator.",
            "您的账号无权执行此操作。如有需要，请联系网站管理员。",
        ),
    ),
    "configuration_error": ErrorText(
        Text("This site is not set up correctly", "网站配置有误"),
        Text(
            "Signing in with DingTalk will not work until the site's administrator has corrected "
            "the settings.",
            "钉钉登录暂不可用，请联系网站管理员检查配置。",
        ),
    ),
    "rate_limited": ErrorText(
        Text("DingTalk is busy", "钉钉繁忙"),
        Text(
            "DingTalk is not accepting more requests right now. Please try again in a moment.",
            "钉钉当前请求过多，请稍后再试。",
        ),
    ),
    "dingtalk_unavailable": ErrorText(
        Text("DingTalk cannot be reached", "暂时无法连接钉钉"),
        Text(
            "DingTalk did not answer, or its answer made no sense. Please try again shortly.",
            "钉钉没有响应或响应异常，请稍后再试。",
        ),
    ),
    "store_unavailable": ErrorText(
        Text("One moment, please", "请稍候"),
        Text(
            "This site cannot look up sign-ins right now. Please try again in a moment; you need "
            "not sign in again.",
            "本站暂时无法读取登录信息，请稍后再试，无需重新登录。",
        ),
    ),
    "api_error": ErrorText(
        Text("DingTalk reported an error", "钉钉返回了错误"),
        Text(
            "DingTalk could not do what was asked. Please try again. If it happens again, "
            "tell the site's administrator.",
            "钉钉未能完成请求，请重试。如果问题依旧，请联系网站管理员。",
        ),
    ),
}


#: For a visitor who is signed in, and came back with a sign-in that was used or has expired.
SIGNED_IN_ALREADY: Final = ErrorText(
    Text("You are signed in already", "您已登录"),
    Text(
        "This sign-in was used before or has expired, and you do not need it any more.",
        "此次登录已被使用或已过期，无需再次登录。",
    ),
)
#: Instead of the text for ``access_denied`` if the visitor is known to have declined.
DECLINED: Final = ErrorText(
    Text("You cancelled the sign-in", "您已取消登录"),
    Text(
        "DingTalk told this site nothing about you. You can sign in whenever you like.",
        "本站未获取您的任何信息，您可以随时重新登录。",
    ),
)


def text_of(error_code: str) -> ErrorText:
    """Return the text for an ``error_code``; the general one for a site's own error class."""
    return ERRORS.get(error_code, ERRORS["dingtalk_error"])


TRY_AGAIN: Final = Text("Try again", "重试")
#: Instead of "Try again" after a refusal, since the same account would be refused again.
USE_ANOTHER_ACCOUNT: Final = Text("Use another account", "更换账号登录")
#: Instead of "Try again" after a POST, which a link cannot repeat, and after a refusal of a page.
HOME: Final = Text("Go to the home page", "返回首页")
#: For the developer, on the page of a ``configuration_error``.
DETAILS_IN_LOG: Final = Text("The details are in the site's log.", "详细信息见网站日志。")
#: Instead of "Try again" for a visitor who is signed in already.
CONTINUE: Final = Text("Continue", "继续")
SIGN_IN: Final = Text("Sign in with DingTalk", "使用钉钉登录")
SIGN_OUT: Final = Text("Sign out", "退出登录")

#: The sign-in page, by the names of the variables in its template.
LOGIN_PAGE: Final[dict[str, Text]] = {
    "title": Text("Sign in", "登录"),
    "otherwise": Text("or", "或"),
}

#: The page that reloads itself while DingTalk throttles, by the names of its variables.
WAITING: Final[dict[str, Text]] = {
    "title": Text("One moment, please", "请稍候"),
    "message": Text(
        "DingTalk is busy. This page reloads by itself, and then you will be signed in.",
        "钉钉当前繁忙。本页会自动刷新并继续登录，请勿关闭。",
    ),
    "retry": Text("Reload now", "立即刷新"),
    "start_over": Text("Start over", "重新登录"),
}

#: The embedded QR code.
QR: Final[dict[str, Text]] = {
    "label": Text("DingTalk's QR code", "钉钉二维码"),
    "loading": Text("Loading the QR code…", "正在加载二维码…"),
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
    "message": Text(
        "DingTalk is telling this site who you are.",
        "正在通过钉钉确认您的身份。",
    ),
}


def in_language(texts: dict[str, Text], language: Language) -> dict[str, str]:
    """Return the texts in one language, under the same names."""
    return {name: text.in_(language) for name, text in texts.items()}
