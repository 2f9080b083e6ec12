"""What the pages say, in English and in Chinese."""

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
    "login.lead": ("Choose who you are today", "请选择一个演示账号"),
    "login.exclusive": ("Accounts of {organisation}", "{organisation} 的专属账号"),
    "login.none": ("Nobody here has an account.", "这里还没有任何账号。"),
    "login.outside": ("no organisation", "未加入任何组织"),
    "code.title": ("Exclusive account", "专属账号登录"),
    "code.lead": (
        "Enter the organisation code, 8 characters, of the organisation that owns your account.",
        "请输入专属账号所属组织的 8 位组织代码。",
    ),
    "code.label": ("Organisation code", "组织代码"),
    "code.unknown": ("There is no organisation with this code.", "组织代码不存在。"),
    "code.known": ("The simulator knows", "模拟器中有"),
    "code.next": ("Continue", "下一步"),
    "consent.title": ("{app} would like to know who you are", "{app} 申请获取你的钉钉信息"),
    "consent.other": ("Use another account", "使用其他账号"),
    "consent.learns": ("It will learn", "授权后将获取"),
    "consent.nothing": (
        "It has no permission to read your profile.",
        "该应用没有读取个人信息的权限。",
    ),
    "consent.nick": ("Nickname, avatar", "昵称、头像"),
    "consent.email": ("E-mail", "邮箱"),
    "consent.mobile": ("Mobile", "手机号"),
    "consent.organisation": ("On behalf of", "选择组织"),
    "consent.agree": ("Agree", "同意"),
    "consent.decline": ("Decline", "拒绝"),
    "signed_out.title": ("Signed out", "已退出登录"),
    "signed_out.why": (
        "This browser is no longer signed in to the simulator.",
        "当前浏览器已退出模拟器的登录状态。",
    ),
    "index.title": ("A DingTalk on your machine", "运行在本机的钉钉"),
    "index.lead": (
        "{app} signs people in here instead of with DingTalk. Open the site and follow its"
        " sign-in link.",
        "{app} 通过这里登录，而不是真实的钉钉。请打开你的网站并点击登录。",
    ),
    "index.people": ("People", "人员"),
    "index.organisations": ("Organisations", "组织"),
    "index.application": ("Application", "应用"),
    "index.callbacks": ("Registered redirect URLs", "已登记的重定向 URL"),
    "index.phone": ("Inside the DingTalk client", "钉钉客户端内"),
    "index.phone.whose": ("The phone is in the hands of", "手机持有人"),
    "index.phone.pass": ("Choose", "更换"),
    "phone.title": ("Whose phone is it?", "当前手机属于谁？"),
    "phone.lead": (
        "A site that is opened inside the DingTalk client learns this person from it.",
        "在钉钉客户端内打开网站时，免登将以此人的身份进行。",
    ),
    "phone.holds": ("now", "当前"),
    "qr.title": ("Scan with DingTalk", "请使用钉钉扫码登录"),
    "qr.phones": ("Simulator: whose phone scans it?", "模拟器：使用谁的手机扫码？"),
    "qr.scan": ("Scan with the phone of {name}", "使用{name}的手机扫码"),
    "qr.expired": ("This code has expired", "二维码已失效"),
    "qr.renew": ("Show a new one", "点击刷新"),
    "qr.back": ("Back to the code", "返回二维码"),
    "qr.confirm": ("Sign in to {app}?", "确认登录 {app}？"),
    "qr.phone": ("On the phone of {name}", "{name}的手机"),
    "qr.as": ("On behalf of {organisation}", "以 {organisation} 的身份"),
    "qr.agreed": ("Confirmed on the phone", "已在手机上确认"),
    "qr.declined": ("Declined on the phone", "已在手机上拒绝"),
    "qr.origin": (
        "Scanning has no effect: this page is at {sent}, its redirect_uri at {expected}.",
        "扫码无效：当前页面为 {sent}，与 redirect_uri（{expected}）不同源。",
    ),
    "fact.sent": ("The link says", "链接中的值"),
    "fact.registered": ("Registered", "已登记"),
    "fact.expected": ("DingTalk takes", "钉钉支持"),
    "refused.missing.title": ("A parameter is missing", "缺少参数"),
    "refused.missing.why": ("The sign-in link has no {name}.", "登录链接缺少参数 {name}。"),
    "refused.repeated.title": ("A parameter is repeated", "参数重复"),
    "refused.repeated.why": (
        "The sign-in link has {name} more than once.",
        "登录链接中的参数 {name} 出现了多次。",
    ),
    "refused.value.title": ("A parameter is wrong", "参数错误"),
    "refused.value.why": (
        "The sign-in link has a value for {name} that DingTalk does not know.",
        "登录链接中参数 {name} 的值不受钉钉支持。",
    ),
    "refused.unencoded.title": ("redirect_uri is not encoded", "redirect_uri 未编码"),
    "refused.unencoded.why": (
        "DTFrameLogin wants redirect_uri encoded: pass it through encodeURIComponent, once.",
        "DTFrameLogin 要求 redirect_uri 已编码：请先调用一次 encodeURIComponent。",
    ),
    "refused.application.title": (
        "The application does not exist (900103)",
        "应用不存在（900103）",
    ),
    "refused.application.why": (
        "No application has this client_id: compare DINGTALK_CLIENT_ID.",
        "没有与该 client_id 对应的应用，请检查 DINGTALK_CLIENT_ID。",
    ),
    "refused.unreleased.title": ("The application is not released", "应用未发布"),
    "refused.unreleased.why": (
        "{name} has no released version. In DingTalk's console: release a version.",
        "{name} 还没有已发布的版本，请在开发者后台的“版本管理与发布”中发布。",
    ),
    "refused.redirect_uri.title": ("The redirect URL is not registered", "redirect_uri 未授权"),
    "refused.redirect_uri.why": (
        "Scheme, host and port must agree with a registered one. In a test, add it to"
        " simulator.application.redirect_urls.",
        "协议、域名和端口必须与已登记的地址一致。测试时请加入"
        " simulator.application.redirect_urls。",
    ),
    "refused.state.title": ("The state is too long", "state 过长"),
    "refused.state.why": (
        "It has {length} bytes, and DingTalk takes 1024.",
        "长度为 {length} 字节，钉钉最多接受 1024 字节。",
    ),
    "refused.outsider.title": (
        "You are not in the organisation (11055)",
        "操作失败，你不在组织内（11055）",
    ),
    "refused.outsider.why": (
        "{name} is no member of {organisation}, which owns the application.",
        "{name} 不是应用所属组织 {organisation} 的成员。",
    ),
    "refused.not_member.title": ("Not one of your organisations", "你不在该组织内"),
    "refused.not_member.why": (
        "The sign-in link names an organisation for which {name} cannot act.",
        "{name} 无法以登录链接所指定的组织登录。",
    ),
    "refused.no_organisation.title": ("No organisation to choose", "没有可选择的组织"),
    "refused.no_organisation.why": (
        "The sign-in link asks for an organisation, and {name} has none that fits.",
        "登录链接要求选择组织，但 {name} 没有符合条件的组织。",
    ),
    "refused.organisation.title": ("No such organisation", "组织不存在"),
    "refused.organisation.why": (
        "The sign-in link names an organisation that there is not.",
        "登录链接所指定的组织不存在。",
    ),
    "refused.form.title": ("This page is out of date", "页面已过期"),
    "refused.form.why": (
        "Go back to the site and follow its sign-in link again.",
        "请返回网站，重新点击登录。",
    ),
    "refused.continue.title": ("Signed out, but not sent back", "已退出登录，但无法返回"),
    "refused.continue.why": (
        "The address to go on to is none of the application's.",
        "返回地址不属于该应用。",
    ),
    "refused.page.title": ("There is no such page", "页面不存在"),
    "refused.page.why": (
        "The sign-in pages are at /oauth2/auth.",
        "登录页面位于 /oauth2/auth。",
    ),
}


def text(key: str, language: str, **values: str) -> str:
    """Return a text in ``en`` or ``zh``, with its gaps filled."""
    return _TEXTS[key][LANGUAGES[language]].format(**values)
