"""The texts of the pages in English and Chinese."""

from collections.abc import Mapping
from typing import Final

LANGUAGES: Final = {"en": 0, "zh": 1}

_TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "brand": ("DingTalk simulator", "钉钉模拟器"),
    "notice": (
        "A simulator for developers. No real DingTalk account is involved.",
        "供开发者使用的模拟器，不涉及任何真实的钉钉账号。",
    ),
    "comma": (", ", "、"),
    "login.title": ("Sign in to {app}", "登录 {app}"),
    "login.lead": ("Choose a demo account", "请选择一个演示账号"),
    "login.exclusive": ("Accounts of {organisation}", "{organisation}的专属账号"),
    "login.none": ("There are no accounts here.", "暂无可用账号。"),
    "login.outside": ("no organisation", "未加入任何组织"),
    "code.title": ("Exclusive account", "专属账号登录"),
    "code.lead": (
        "Enter the 8-character code of the organisation that owns your account.",
        "请输入专属账号所属组织的 8 位组织代码。",
    ),
    "code.label": ("Organisation code", "组织代码"),
    "code.unknown": ("There is no organisation with this code.", "组织代码不存在。"),
    "code.known": ("Codes in this simulator", "模拟器中的组织代码"),
    "code.next": ("Continue", "下一步"),
    "consent.title": (
        "{app} asks for access to your DingTalk profile",
        "{app} 申请获取您的钉钉信息",
    ),
    "consent.other": ("Use another account", "使用其他账号"),
    "consent.learns": ("It will receive", "授权后，该应用将获取"),
    "consent.nothing": (
        "This application has no permission to read your profile.",
        "该应用没有读取个人信息的权限。",
    ),
    "consent.nick": ("Nickname and avatar", "昵称、头像"),
    "consent.email": ("E-mail", "邮箱"),
    "consent.mobile": ("Mobile", "手机号"),
    "consent.organisation": ("On behalf of", "选择组织"),
    "consent.agree": ("Agree", "同意"),
    "consent.decline": ("Decline", "拒绝"),
    "logged_out.title": ("Signed out", "已退出登录"),
    "logged_out.why": (
        "This browser is no longer signed in to the simulator.",
        "您已在此浏览器中退出模拟器。",
    ),
    "index.title": ("DingTalk on your own machine", "在本机运行的模拟钉钉"),
    "index.lead": (
        "{app} uses this simulator instead of the real DingTalk. Open your site and click its"
        " sign-in link.",
        "{app} 使用此模拟器代替真实的钉钉。请打开您的网站并点击登录。",
    ),
    "index.people": ("People", "人员"),
    "index.organisations": ("Organisations", "组织"),
    "index.application": ("Application", "应用"),
    "index.callbacks": ("Registered redirect URLs", "已登记的重定向 URL"),
    "index.phone": ("Inside the DingTalk client", "钉钉客户端内"),
    "index.phone.whose": ("Signed in on the phone", "手机上登录的账号"),
    "index.phone.pass": ("Change", "更换"),
    "phone.title": ("Whose phone is it?", "使用谁的手机？"),
    "phone.lead": (
        "A site opened inside the DingTalk client signs this person in.",
        "在钉钉客户端内打开网站时，将以该账号免登。",
    ),
    "phone.holds": ("current", "当前"),
    "qr.title": ("Scan with DingTalk", "请使用钉钉扫码登录"),
    "qr.phones": ("Simulator: whose phone scans the code?", "模拟器：使用谁的手机扫码？"),
    "qr.scan": ("Scan with the phone of {name}", "使用{name}的手机扫码"),
    "qr.expired": ("This code has expired", "二维码已过期"),
    "qr.renew": ("Show a new one", "刷新二维码"),
    "qr.back": ("Back to the code", "返回二维码"),
    "qr.confirm": ("Sign in to {app}?", "确认登录 {app}？"),
    "qr.phone": ("{name}’s phone", "{name}的手机"),
    "qr.as": ("On behalf of {organisation}", "登录组织：{organisation}"),
    "qr.agreed": ("Confirmed on the phone", "已在手机上确认"),
    "qr.declined": ("Declined on the phone", "已在手机上拒绝"),
    "qr.origin": (
        "Scanning has no effect: the page is at {sent}, but its redirect_uri is at {expected}.",
        "扫码不会生效：当前页面（{sent}）与 redirect_uri（{expected}）不同源。",
    ),
    "fact.sent": ("In the link", "链接中的值"),
    "fact.registered": ("Registered", "已登记"),
    "fact.expected": ("DingTalk accepts", "钉钉支持的值"),
    "refused.missing.title": ("A parameter is missing", "缺少参数"),
    "refused.missing.why": ("The sign-in link has no {name}.", "登录链接缺少参数 {name}。"),
    "refused.repeated.title": ("A parameter is repeated", "参数重复"),
    "refused.repeated.why": (
        "The sign-in link has {name} more than once.",
        "登录链接中的参数 {name} 出现了多次。",
    ),
    "refused.value.title": ("A parameter is wrong", "参数错误"),
    "refused.value.why": (
        "The sign-in link has a value for {name} that DingTalk does not accept.",
        "钉钉不支持登录链接中参数 {name} 的值。",
    ),
    "refused.unencoded.title": ("redirect_uri is not encoded", "redirect_uri 未编码"),
    "refused.unencoded.why": (
        "DTFrameLogin expects an encoded redirect_uri: call encodeURIComponent once.",
        "DTFrameLogin 需要编码后的 redirect_uri，请调用一次 encodeURIComponent。",
    ),
    "refused.application.title": (
        "The application does not exist (900103)",
        "应用不存在（900103）",
    ),
    "refused.application.why": (
        "No application has this client_id: check DINGTALK_CLIENT_ID.",
        "找不到该 client_id 对应的应用，请检查 DINGTALK_CLIENT_ID。",
    ),
    "refused.unreleased.title": ("The application is not released", "应用未发布"),
    "refused.unreleased.why": (
        "{name} has no released version. Release one in DingTalk's developer console.",
        "{name} 还没有发布过版本，请在开发者后台的“版本管理与发布”中发布。",
    ),
    "refused.redirect_uri.title": (
        "The redirect URL is not registered (redirect_uri参数错误)",
        "redirect_uri参数错误",
    ),
    "refused.redirect_uri.why": (
        "Scheme, host and port must match a registered redirect URL. In a test, add yours to"
        " simulator.application.redirect_urls.",
        "协议、域名和端口必须与已登记的重定向 URL 一致。测试时，请将地址加入"
        " simulator.application.redirect_urls。",
    ),
    "refused.state.title": ("The state is too long", "state 过长"),
    "refused.state.why": (
        "It has {length} bytes; DingTalk accepts at most 1024.",
        "state 长度为 {length} 字节，钉钉最多接受 1024 字节。",
    ),
    "refused.outsider.title": (
        "You are not in the organisation (11055)",
        "操作失败，您不在组织内（11055）",
    ),
    "refused.outsider.why": (
        "{name} is not a member of {organisation}, which owns the application.",
        "{name}不是{organisation}的成员，而该应用属于{organisation}。",
    ),
    "refused.not_member.title": ("Not one of your organisations", "您不在该组织内"),
    "refused.not_member.why": (
        "The sign-in link names an organisation that {name} cannot sign in for.",
        "{name}不能以登录链接中指定的组织登录。",
    ),
    "refused.no_organisation.title": ("No organisation to choose", "没有可选择的组织"),
    "refused.no_organisation.why": (
        "The sign-in link asks for an organisation, but {name} has none that qualifies.",
        "登录时需要选择组织，但{name}没有符合条件的组织。",
    ),
    "refused.organisation.title": ("No such organisation", "组织不存在"),
    "refused.organisation.why": (
        "The sign-in link names an organisation that does not exist.",
        "登录链接中指定的组织不存在。",
    ),
    "refused.form.title": ("This page is out of date", "页面已过期"),
    "refused.form.why": (
        "Go back to the site and click its sign-in link again.",
        "请返回网站，重新点击登录。",
    ),
    "refused.continue.title": ("Signed out, but not redirected", "已退出登录，但无法跳转"),
    "refused.continue.why": (
        "The address to continue to does not belong to the application.",
        "跳转地址不属于该应用。",
    ),
    "refused.page.title": ("Page not found", "页面不存在"),
    "refused.page.why": (
        "The sign-in pages are at /oauth2/auth.",
        "登录页面位于 /oauth2/auth。",
    ),
}


def text(key: str, language: str, **values: str) -> str:
    """Return a text in ``en`` or ``zh`` with its placeholders filled in."""
    return _TEXTS[key][LANGUAGES[language]].format(**values)
