"""The texts of the pages in English and Chinese."""

from collections.abc import Mapping
from typing import Final

from ..messages import Language, Text

_TEXTS: Final[Mapping[str, Text]] = {
    "brand": Text("DingTalk simulator", "钉钉模拟器"),
    "notice": Text(
        "A simulator for developers. No real DingTalk account is involved.",
        "供开发者使用的模拟器，不涉及任何真实的钉钉账号。",
    ),
    "comma": Text(", ", "、"),
    "login.title": Text("Sign in to {app}", "登录 {app}"),
    "login.lead": Text("Choose a demo account", "请选择演示账号"),
    "login.exclusive": Text("Accounts of {organisation}", "{organisation}的专属账号"),
    "login.none": Text("There are no accounts here.", "暂无可用账号。"),
    "login.outside": Text("no organisation", "未加入任何组织"),
    "code.title": Text("Exclusive account", "专属账号登录"),
    "code.lead": Text(
        "Enter the 8-character code of the organisation that owns your account.",
        "请输入专属账号所属组织的 8 位组织代码。",
    ),
    "code.label": Text("Organisation code", "组织代码"),
    "code.unknown": Text("There is no organisation with this code.", "组织代码不存在。"),
    "code.known": Text("Codes in this simulator", "模拟器中的组织代码"),
    "code.next": Text("Continue", "下一步"),
    "consent.title": Text(
        "{app} asks for access to your DingTalk profile",
        "{app} 申请获取您的钉钉信息",
    ),
    "consent.other": Text("Use another account", "使用其他账号"),
    "consent.learns": Text("It will receive", "授权后，该应用将获取"),
    "consent.nothing": Text(
        "This application has no permission to read your profile.",
        "该应用没有读取个人信息的权限。",
    ),
    "consent.nick": Text("Nickname and avatar", "昵称、头像"),
    "consent.email": Text("E-mail", "邮箱"),
    "consent.mobile": Text("Mobile", "手机号"),
    "consent.organisation": Text("On behalf of", "选择组织"),
    "consent.agree": Text("Agree", "同意"),
    "consent.decline": Text("Decline", "取消"),
    "logged_out.title": Text("Signed out", "已退出登录"),
    "logged_out.why": Text(
        "This browser is no longer signed in to the simulator.",
        "您已在此浏览器中退出模拟器。",
    ),
    "index.title": Text("DingTalk on your own machine", "在本机运行的模拟钉钉"),
    "index.lead": Text(
        "{app} uses this simulator instead of the real DingTalk. Open your site and click its"
        " sign-in link.",
        "{app} 正在使用本模拟器，而不是真实的钉钉。请打开您的网站，点击登录。",
    ),
    "index.people": Text("People", "人员"),
    "index.organisations": Text("Organisations", "组织"),
    "index.application": Text("Application", "应用"),
    "index.callbacks": Text("Registered redirect URLs", "已登记的重定向 URL"),
    "index.phone": Text("Inside the DingTalk client", "钉钉客户端内"),
    "index.phone.whose": Text("Signed in on the phone", "手机上登录的账号"),
    "index.phone.pass": Text("Change", "更换"),
    "phone.title": Text("Whose phone is it?", "使用谁的手机？"),
    "phone.lead": Text(
        "A site opened inside the DingTalk client signs this person in.",
        "在钉钉客户端内打开网站时，将以该账号免登。",
    ),
    "phone.holds": Text("current", "当前"),
    "qr.title": Text("Scan with DingTalk", "请使用钉钉扫码登录"),
    "qr.phones": Text("Simulator: whose phone scans the code?", "模拟器：使用谁的手机扫码？"),
    "qr.scan": Text("Scan with the phone of {name}", "使用{name}的手机扫码"),
    "qr.expired": Text("This code has expired", "二维码已过期"),
    "qr.renew": Text("Show a new one", "刷新二维码"),
    "qr.back": Text("Back to the code", "返回二维码"),
    "qr.confirm": Text("Sign in to {app}?", "确认登录 {app}？"),
    "qr.phone": Text("{name}'s phone", "{name}的手机"),
    "qr.as": Text("On behalf of {organisation}", "登录组织：{organisation}"),
    "qr.agreed": Text("Confirmed on the phone", "已在手机上确认"),
    "qr.declined": Text("Declined on the phone", "已在手机上取消"),
    "qr.origin": Text(
        "Scanning has no effect: the page is at {sent}, but its redirect_uri is at {expected}.",
        "扫码不会生效：当前页面（{sent}）与 redirect_uri（{expected}）不同源。",
    ),
    "fact.said": Text("On DingTalk's own page", "钉钉页面的提示"),
    "fact.sent": Text("In the link", "链接中的值"),
    "fact.registered": Text("Registered", "已登记"),
    "fact.expected": Text("DingTalk accepts", "钉钉支持的值"),
    "refused.missing.title": Text("A parameter is missing", "缺少参数"),
    "refused.missing.why": Text("The sign-in link has no {name}.", "登录链接缺少参数 {name}。"),
    "refused.repeated.title": Text("A parameter is repeated", "参数重复"),
    "refused.repeated.why": Text(
        "The sign-in link has {name} more than once.",
        "登录链接中的参数 {name} 出现了多次。",
    ),
    "refused.value.title": Text("A parameter is wrong", "参数错误"),
    "refused.value.why": Text(
        "The sign-in link has a value for {name} that DingTalk does not accept.",
        "钉钉不支持登录链接中参数 {name} 的值。",
    ),
    "refused.unencoded.title": Text("redirect_uri is not encoded", "redirect_uri 未编码"),
    "refused.unencoded.why": Text(
        "DTFrameLogin expects an encoded redirect_uri: call encodeURIComponent once.",
        "DTFrameLogin 需要编码后的 redirect_uri，请调用一次 encodeURIComponent。",
    ),
    "refused.application.title": Text(
        "The application does not exist (900103)",
        "应用不存在（900103）",
    ),
    "refused.application.why": Text(
        "No application has this client_id: check DINGTALK_CLIENT_ID.",
        "找不到该 client_id 对应的应用，请检查 DINGTALK_CLIENT_ID。",
    ),
    "refused.unreleased.title": Text("The application is not released", "应用未发布"),
    "refused.unreleased.why": Text(
        "{name} has no released version. Release one in DingTalk's developer console.",
        "{name} 还没有发布过版本，请在开发者后台的“版本管理与发布”中发布。",
    ),
    "refused.redirect_uri.title": Text(
        "The redirect URL is not registered",
        "redirect_uri参数错误",
    ),
    "refused.redirect_uri.why": Text(
        "Scheme, host and port must match a registered redirect URL. In a test, add yours to"
        " simulator.application.redirect_urls.",
        "协议、域名和端口必须与已登记的重定向 URL 一致。测试时，请将地址加入"
        " simulator.application.redirect_urls。",
    ),
    "refused.state.title": Text("The state is too long", "state 过长"),
    "refused.state.why": Text(
        "It has {length} bytes; DingTalk accepts at most 1024.",
        "state 长度为 {length} 字节，钉钉最多接受 1024 字节。",
    ),
    "refused.outsider.title": Text(
        "You are not in the organisation (11055)",
        "操作失败，您不在组织内（11055）",
    ),
    "refused.outsider.why": Text(
        "{name} is not a member of {organisation}, which owns the application.",
        "{name}不是{organisation}的成员，而该应用属于{organisation}。",
    ),
    "refused.not_member.title": Text("Not one of your organisations", "您不在该组织内"),
    "refused.not_member.why": Text(
        "The sign-in link names an organisation that {name} cannot sign in for.",
        "{name}不能以登录链接中指定的组织登录。",
    ),
    "refused.no_organisation.title": Text("No organisation to choose", "没有可选择的组织"),
    "refused.no_organisation.why": Text(
        "The sign-in link asks for an organisation, but {name} has none that qualifies.",
        "登录时需要选择组织，但{name}没有符合条件的组织。",
    ),
    "refused.organisation.title": Text("No such organisation", "组织不存在"),
    "refused.organisation.why": Text(
        "The sign-in link names an organisation that does not exist.",
        "登录链接中指定的组织不存在。",
    ),
    "refused.form.title": Text("This page is out of date", "页面已过期"),
    "refused.form.why": Text(
        "Go back to the site and click its sign-in link again.",
        "请返回网站，重新点击登录。",
    ),
    "refused.continue.title": Text("Signed out, but not redirected", "已退出登录，但无法跳转"),
    "refused.continue.why": Text(
        "The address to continue to does not belong to the application.",
        "跳转地址不属于该应用。",
    ),
    "refused.page.title": Text("Page not found", "页面不存在"),
    "refused.page.why": Text(
        "The sign-in pages are at /oauth2/auth.",
        "登录页面位于 /oauth2/auth。",
    ),
}


def text(key: str, language: Language, **values: str) -> str:
    """Return a text in one language with its placeholders filled in, if there are values."""
    said = _TEXTS[key].in_(language)
    return said.format(**values) if values else said
