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
    "console.save": Text("Save", "保存"),
    "console.wrong": Text("That did not work: {detail}", "操作未成功：{detail}"),
    "console.wrong.name": Text("A person needs a name.", "请填写名称。"),
    "console.wrong.taken": Text("There is already a person with this name.", "已存在同名的人员。"),
    "console.wrong.failure": Text("There is no such failure.", "没有这种故障。"),
    "console.wrong.times": Text("Enter a number of calls.", "请填写调用次数。"),
    "console.wrong.event": Text("There is no such event.", "没有这种事件。"),
    "console.wrong.seconds": Text(
        "The clock only moves forward, by ten years at most.",
        "时钟只能向前调，一次最多十年。",
    ),
    "console.wrong.departments": Text(
        "Enter the numbers of departments with commas between them.",
        "请填写部门编号，用逗号分隔。",
    ),
    "console.wrong.roles": Text(
        "Enter one role in a line: number, group, name.",
        "每行填写一个角色：编号、角色组、名称。",
    ),
    "console.person": Text("Person", "人员"),
    "console.organisation": Text("Organisation", "组织"),
    "console.edit": Text("Change {name}", "修改{name}"),
    "console.member": Text("Record in {organisation}", "{organisation}中的档案"),
    "console.external": Text("External contact of {organisation}", "{organisation}的外部联系人"),
    "console.not_in": Text("Not in {organisation}", "不在{organisation}中"),
    "console.join": Text("Join", "加入"),
    "console.join_external": Text("Join as an external contact", "作为外部联系人加入"),
    "console.leave": Text("Leave {organisation}", "离开{organisation}"),
    "console.title": Text("Position", "职位"),
    "console.job_number": Text("Staff number", "工号"),
    "console.departments": Text("Departments (1, 2)", "部门编号（1, 2）"),
    "console.roles": Text("Roles: number, group, name", "角色：编号、角色组、名称"),
    "console.admin": Text("Administrator", "管理员"),
    "console.boss": Text("Boss", "老板"),
    "console.active": Text("Active", "已激活"),
    "console.add": Text("Add a person", "添加人员"),
    "console.name": Text("Short name, as in zhang", "简称，如 zhang"),
    "console.nick": Text("Nickname", "昵称"),
    "console.email": Text("E-mail", "邮箱"),
    "console.client_id": Text("Client ID", "Client ID"),
    "console.released": Text("A version is released", "已发布版本"),
    "console.admits_outsiders": Text(
        "People of other organisations can sign in", "其他组织的人员可以登录"
    ),
    "console.permissions": Text("Permissions", "权限"),
    "console.redirect_urls": Text(
        "Redirect URLs, one in a line. Scheme, host and port have to match; a loopback address "
        "without a port allows every port.",
        "重定向 URL，每行一个。协议、域名和端口必须一致；不带端口的本机地址允许任意端口。",
    ),
    "console.allowed_ips": Text(
        "Egress IPs, one in a line, * as a wildcard. Nothing: any address.",
        "服务器出口 IP，每行一个，可用 * 通配。留空则不限制。",
    ),
    "console.failures": Text("Failures", "故障"),
    "console.failures.lead": Text(
        "The next calls of an endpoint fail.", "让某个接口接下来的调用失败。"
    ),
    "console.endpoint": Text("Endpoint", "接口"),
    "console.how": Text("How", "方式"),
    "console.how.status": Text("an error (HTTP 500)", "出错（HTTP 500）"),
    "console.how.throttled": Text("throttled", "限流"),
    "console.how.ban": Text("this address is banned", "地址被封禁"),
    "console.how.timeout": Text("no answer", "无应答"),
    "console.how.reset": Text("connection reset", "连接被重置"),
    "console.how.nonsense": Text("a web page", "返回网页"),
    "console.how.body": Text("a made-up answer", "自定义应答"),
    "console.times": Text("Calls", "次数"),
    "console.times.ever": Text("all", "全部"),
    "console.fail": Text("Let it fail", "使其失败"),
    "console.mend": Text("Let everything work again", "全部恢复正常"),
    "console.events": Text("Events", "事件"),
    "console.events.lead": Text(
        "The address to which events are pushed, such as "
        "http://127.0.0.1:5000/dingtalk/events. Without one they go to whoever listens in Stream "
        "mode. Leaving, joining and changed records send theirs by themselves.",
        "接收事件推送的地址，例如 http://127.0.0.1:5000/dingtalk/events。未填写时，事件发给以"
        " Stream 模式连接的客户端。离开、加入和档案变更会自动发送事件。",
    ),
    "console.events.url": Text("Request URL", "请求网址"),
    "console.event": Text("Event", "事件"),
    "console.push": Text("Send", "发送"),
    "console.arrived": Text("arrived", "已送达"),
    "console.pending": Text("not arrived", "未送达"),
    "console.clock": Text("Clock", "时钟"),
    "console.clock.lead": Text(
        "Codes last 5 minutes, access tokens 2 hours, refresh tokens 30 days. The clock of your "
        "site stays as it is.",
        "授权码有效期 5 分钟，access token 2 小时，refresh token 30 天。您网站的时钟不受影响。",
    ),
    "console.step.300": Text("+ 5 minutes", "+ 5 分钟"),
    "console.step.7200": Text("+ 2 hours", "+ 2 小时"),
    "console.step.86400": Text("+ 1 day", "+ 1 天"),
    "console.step.2592000": Text("+ 30 days", "+ 30 天"),
    "console.calls": Text("Calls", "接口调用"),
    "console.calls.none": Text("Nothing has been called yet.", "还没有任何调用。"),
    "console.calls.at": Text("Time", "时间"),
    "console.calls.call": Text("Call", "调用"),
    "console.calls.status": Text("HTTP", "HTTP"),
    "console.calls.code": Text("Error code", "错误码"),
    "console.parts": Text("Parts of this page", "本页内容"),
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
