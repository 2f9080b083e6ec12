"""The texts of the pages, in English and Chinese.

Pages about a failed sign-in show the extension's own texts.
"""

import re
import unicodedata
from typing import Final, Literal

from flask import request
from markupsafe import Markup

Language = Literal["en", "zh"]

_CHINESE: Final = re.compile("[\u3400-\u9fff]")
_LATIN: Final = re.compile("[A-Za-z]")

_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "brand": ("Company portal", "企业门户"),
    "skip": ("Skip to content", "跳到正文"),
    "comma": (", ", "、"),
    "nav": ("Pages", "页面"),
    "nameless": ("Colleague", "同事"),
    "nav.home": ("Home", "首页"),
    "nav.profile": ("My profile", "我的资料"),
    "nav.record": ("My record", "员工档案"),
    "nav.approvals": ("Approvals", "待审批"),
    "nav.company": ("Notices", "公告"),
    "nav.devices": ("My devices", "登录设备"),
    "sign_out": ("Sign out", "退出登录"),
    "footer": (
        "An example of Flask-DingTalk. This site is not run by DingTalk.",
        "Flask-DingTalk 示例站点，与钉钉官方无关。",
    ),
    "simulator.title": (
        "DingTalk is simulated, since no credentials are set.",
        "尚未配置凭证，当前使用钉钉模拟器。",
    ),
    "simulator.how": (
        "To use the real DingTalk, set {client_id} and {client_secret}.",
        "如需使用真实的钉钉，请设置 {client_id} 和 {client_secret}。",
    ),
    "simulator.left": ("{nick} has left {organisation}.", "{nick}已从{organisation}离职。"),
    "simulator.return": ("Rehire", "重新入职"),
    "simulator.returned": (
        "{nick} is back at {organisation} and can sign in again.",
        "{nick}已重新加入{organisation}，可以再次登录。",
    ),
    "simulator.leave": ("Leave the company", "模拟离职"),
    "simulator.leave.title": ("Simulator only", "仅限模拟器"),
    "simulator.leave.text": (
        "See what happens to your sign-in when you leave {organisation}. This site checks with"
        " DingTalk every {seconds} seconds.",
        "从{organisation}离职后，登录状态会怎样？本站每 {seconds} 秒向钉钉核实一次。",
    ),
    "simulator.gone": (
        "You have left {organisation}. This site will notice at its next check with DingTalk,"
        " {seconds} seconds after the last one. From then on you have to sign in to open a guarded"
        " page.",
        "您已从{organisation}离职。上次核实满 {seconds} 秒后，本站会再次向钉钉核实，"
        "之后打开需要登录的页面时，您将被退出登录。",
    ),
    "simulator.leave.text.at_once": (
        "See what happens to your sign-ins when you leave {organisation}. DingTalk tells this site"
        " at once.",
        "从{organisation}离职后，登录状态会怎样？钉钉会立即通知本站。",
    ),
    "simulator.gone.at_once": (
        "You have left {organisation}. DingTalk told this site, and you are signed out in every"
        " browser.",
        "您已从{organisation}离职。钉钉通知了本站，您在所有浏览器中都已退出登录。",
    ),
    "hello": ("Hello {nick}, you are signed in.", "{nick}，您好！您已登录。"),
    "goodbye": ("You are signed out.", "您已退出登录。"),
    "signed_out": (
        "You were signed out because DingTalk did not confirm that you may still use this site."
        " People who have left the company may not. If you are still with it, ask its"
        " administrator.",
        "您已被退出登录：经钉钉核实，您可能已不是本公司成员。如果您仍在职，请联系公司管理员。",
    ),
    "home.title": ("Everything at work, one sign-in", "一次登录，办公全搞定"),
    "home.lead": (
        "Notices, records and approvals in one place. DingTalk confirms who you are, so there is"
        " no password to choose or forget.",
        "公告、档案、审批，都在这里。由钉钉确认身份，无需另设密码。",
    ),
    "home.welcome": ("Welcome, {nick}", "{nick}，欢迎回来"),
    "home.welcome.lead": (
        "DingTalk has confirmed who you are. Here is what you can do.",
        "钉钉已确认您的身份，以下是您可以使用的功能。",
    ),
    "home.to_profile": ("See my profile", "查看我的资料"),
    "home.inside": ("Pages of this site", "站内页面"),
    "home.profile": (
        "What DingTalk told this site about you, and what the site recorded.",
        "钉钉提供的信息，以及本站的登录记录。",
    ),
    "home.record": (
        "Your record in the company's directory: title, departments, roles.",
        "公司通讯录中的职位、部门和角色。",
    ),
    "home.approvals": (
        "Only for people who have the role {role} in the directory.",
        "仅限拥有“{role}”角色的成员。",
    ),
    "home.tries": ("Six things to try", "试一试：六个场景"),
    "home.tries.button": ("Use the button", "点击按钮登录"),
    "home.tries.button.text": (
        "It takes you to DingTalk's page, where you agree, and back here.",
        "前往钉钉页面，同意授权后返回本站。",
    ),
    "home.tries.qr": ("Scan the QR code", "扫码登录"),
    "home.tries.qr.text": (
        "Without a sign-in, a guarded page takes you to a page of this site with DingTalk's QR"
        " code. The simulated code needs no phone: click a name to scan it.",
        "未登录时打开需要登录的页面，会转到嵌有钉钉二维码的登录页。"
        "使用模拟器时不需要手机，点击姓名即可模拟扫码。",
    ),
    "home.tries.client": ("Open My profile inside DingTalk", "在钉钉内打开“我的资料”"),
    "home.tries.client.text": (
        "Make your browser look like the DingTalk client: set its user agent to DingTalk (in"
        " Chromium: F12, More tools, Network conditions). Sign out and open the page: you are"
        " signed in without a click.",
        "在浏览器中模拟钉钉客户端：将 User-Agent 设为 DingTalk"
        "（Chromium：F12 > 更多工具 > 网络状况）。退出登录后再打开该页面，即可免登。",
    ),
    "home.tries.client.phone": ("Choose who holds the phone", "选择手机的使用者"),
    "home.tries.outsider": ("Sign in as {wang}", "以{wang}的身份登录"),
    "home.tries.outsider.text": (
        "This person has a DingTalk account but works for another company. This site admits only"
        " members of {organisation}.",
        "{wang}有钉钉账号，但属于另一家公司，而本站只对{organisation}的成员开放。",
    ),
    "home.tries.role": ("Open Approvals as {li}", "以{li}的身份打开“待审批”"),
    "home.tries.role.text": (
        "A member, who can sign in but does not have the role that this page requires.",
        "{li}是本公司成员，可以登录，但没有该页面要求的角色。",
    ),
    "home.tries.leaver": ("Leave the company", "模拟离职"),
    "home.tries.leaver.text": (
        "The button is on My record. Open a guarded page {seconds} seconds later: you are signed"
        " out and told why.",
        "按钮在“员工档案”页。{seconds} 秒后再打开需要登录的页面，您会被退出登录，并看到原因。",
    ),
    "home.tries.leaver.text.at_once": (
        "The button is on My record. You are signed out at once, in every browser.",
        "按钮在“员工档案”页。您会立即退出登录，所有浏览器都是如此。",
    ),
    "home.devices": (
        "Where you are signed in, and a way out everywhere.",
        "查看在哪些设备上登录，并可一次全部退出。",
    ),
    "devices.lead": (
        "You are signed in to this site in these browsers.",
        "您在以下浏览器中登录了本站。",
    ),
    "devices.unknown": ("Unknown browser", "未知浏览器"),
    "devices.this": ("This browser", "当前浏览器"),
    "devices.since": ("Signed in", "登录时间"),
    "devices.seen": ("Last seen", "最近访问"),
    "devices.everywhere": ("Sign out everywhere", "全部退出登录"),
    "devices.everywhere.text": (
        "For a phone that was lost, or a computer that you forgot: this ends all your sign-ins,"
        " this one included.",
        "手机遗失，或忘了在某台电脑上退出时，可一次结束您的所有登录，包括当前登录。",
    ),
    "devices.no_store": (
        "Only a store knows all sign-ins: set {store}, and this page can end them.",
        "只有存储才知道所有登录：设置 {store} 后，即可在此全部退出。",
    ),
    "devices.gone": (
        "You are signed out in every browser.",
        "您已在所有浏览器中退出登录。",
    ),
    "home.api": ("JSON endpoint", "JSON 接口"),
    "home.api.lead": (
        "A guarded URL for scripts. Without a sign-in, it answers 401 instead of redirecting.",
        "供脚本调用的受保护接口：未登录时返回 401，而不是重定向。",
    ),
    "home.company": (
        "Company news, for everybody who is signed in.",
        "公司的最新动态，登录后即可查看。",
    ),
    "login.title": ("Sign in", "登录"),
    "login.scan": (
        "Scan the code with DingTalk on your phone and confirm there.",
        "打开手机钉钉扫一扫，在手机上确认登录。",
    ),
    "login.or": ("or on this device", "或在本机登录"),
    "login.then": (
        "DingTalk's page asks for your consent and brings you back here.",
        "在钉钉页面同意授权后，将返回本站。",
    ),
    "badge.nobody": ("Not signed in", "尚未登录"),
    "badge.hint": ("Your name will appear here", "登录后显示您的姓名"),
    "profile.account": ("From DingTalk", "来自钉钉"),
    "profile.user_id": ("user_id", "user_id"),
    "profile.not_asked": ("not asked for", "未查询"),
    "profile.union_id": ("union_id", "union_id"),
    "profile.phone": ("Phone", "手机"),
    "profile.email": ("E-mail", "邮箱"),
    "profile.token": ("Access token expires", "访问令牌有效期至"),
    "profile.no_token": (
        "none: the DingTalk client only says who you are",
        "无（钉钉内免登只返回身份信息）",
    ),
    "profile.not_sent": ("not sent", "未提供"),
    "profile.record": ("Recorded by this site", "本站记录"),
    "profile.record.lead": (
        "From the site's own table of people, linked by union_id.",
        "来自本站自己的用户表，以 union_id 关联。",
    ),
    "profile.first": ("First sign-in", "首次登录"),
    "profile.last": ("Last sign-in", "最近登录"),
    "profile.count": ("Sign-ins", "登录次数"),
    "profile.no_record": (
        "No record: the site has restarted since you signed in.",
        "没有记录：您登录后，本站重新启动过。",
    ),
    "record.none": ("No record", "暂无档案"),
    "record.none.text": (
        "This site did not ask the company's directory about you, or you are not in it.",
        "本站未查询公司通讯录，或者您不在通讯录中。",
    ),
    "record.directory": ("In the directory", "通讯录档案"),
    "record.name": ("Name", "姓名"),
    "record.title": ("Title", "职位"),
    "record.job_number": ("Job number", "工号"),
    "record.departments": ("Departments", "部门"),
    "record.roles": ("Roles", "角色"),
    "record.manager": ("Manager", "直属主管"),
    "record.hired": ("Hired", "入职日期"),
    "record.org_email": ("Company e-mail", "企业邮箱"),
    "record.work_place": ("Workplace", "办公地点"),
    "record.empty": ("not filled in", "未填写"),
    "record.standing": ("Status", "身份"),
    "record.active": ("DingTalk activated", "已激活钉钉"),
    "record.admin": ("Administrator", "管理员"),
    "record.boss": ("Boss", "老板"),
    "record.senior": ("Senior manager mode", "高管模式"),
    "record.yes": ("yes", "是"),
    "record.no": ("no", "否"),
    "record.ids": ("Three ids", "三种标识"),
    "record.user_id": (
        "Your id within the organisation, for DingTalk's other APIs.",
        "您在组织内的标识，调用钉钉其他接口时使用。",
    ),
    "record.union_id": (
        "The same in all applications of the organisation. This site's records use it.",
        "在该组织的所有应用中都相同，本站以它关联记录。",
    ),
    "record.open_id": (
        "Your id in this application only.",
        "仅在本应用内有效的标识。",
    ),
    "record.raw": ("The record as DingTalk sent it", "钉钉返回的原始档案"),
    "profile.raw": ("What DingTalk sent", "钉钉返回的原始数据"),
    "api.title": ("For scripts", "供脚本调用"),
    "api.lead": ("The same data, as JSON.", "同样的信息，以 JSON 格式返回。"),
    "api.fetch": ("Fetch {path}", "请求 {path}"),
    "api.signed_out": ("You are no longer signed in.", "登录状态已失效。"),
    "api.sign_in": ("Sign in again", "重新登录"),
    "api.failed": ("The site did not answer. Please try again.", "网站没有响应，请重试。"),
    "company.title": ("Notices of {organisation}", "{organisation}公告"),
    "company.lead": (
        "You can see this page because you are signed in.",
        "您已登录，因此可以看到此页。",
    ),
    "company.canteen": ("Canteen", "食堂"),
    "company.canteen.text": (
        "From Monday, lunch starts half an hour earlier, at 11:30.",
        "下周一起，午餐提前半小时供应，11:30 开餐。",
    ),
    "company.rooms": ("Meeting rooms", "会议室"),
    "company.rooms.text": (
        "The two rooms on the third floor have new screens, which need no cable.",
        "三楼两间会议室已更换屏幕，支持无线投屏。",
    ),
    "company.shuttle": ("Shuttle bus", "班车"),
    "company.shuttle.text": (
        "The last bus to the station now leaves at 21:10 instead of 20:40.",
        "开往地铁站的末班车由 20:40 调整为 21:10。",
    ),
    "approvals.lead": (
        "You can see this page because you have the role {role}.",
        "您拥有“{role}”角色，因此可以看到此页。",
    ),
    "approvals.leave": ("Two days off", "年假两天"),
    "approvals.leave.text": (
        "Thursday and Friday of next week; a colleague takes over.",
        "下周四、周五，工作已安排同事代理。",
    ),
    "approvals.travel": ("A trip to the trade fair", "出差参展"),
    "approvals.travel.text": (
        "Two people, two nights, by train. The stand is booked.",
        "两人，两晚，乘高铁往返，展位已预订。",
    ),
    "approvals.screen": ("A second screen", "第二块显示器"),
    "approvals.screen.text": (
        "For the desk by the window, within this year's budget.",
        "用于靠窗的工位，在今年的预算之内。",
    ),
    "error.home": ("Back to the home page", "返回首页"),
    "error.404": ("Page not found", "页面不存在"),
    "error.404.text": (
        "There is no page at this address. Please check the link.",
        "这个地址没有对应的页面，请检查链接。",
    ),
    "error.405": ("This address works differently", "此链接无法直接打开"),
    "error.405.text": (
        "It cannot be opened like this. Please start from the home page.",
        "请返回首页，通过页面上的按钮操作。",
    ),
    "error.other": ("Something went wrong", "出错了"),
    "error.other.text": (
        "Please try again. If it happens again, tell the people who run this site.",
        "请重试。如果问题依旧，请联系网站管理员。",
    ),
}


def language() -> Language:
    """Return the language of this request's page, by ``Accept-Language``."""
    return "zh" if request.accept_languages.best_match(["en", "zh"]) == "zh" else "en"


def say(key: str, **values: str) -> Markup:
    """Return a text in the language of this request, with ``values`` filled in.

    Values are escaped unless they are markup.
    """
    return Markup(_TEXTS[key][language() == "zh"]).format(**values)


def named(name: str) -> Markup:
    """Mark a name from outside: it may be in another language than the page, or run the other way.

    Screen readers change their voice for the language, and browsers their font.
    """
    if language() == "en" and _CHINESE.search(name):
        return Markup('<bdi lang="zh-CN">{}</bdi>').format(name)
    if language() == "zh" and _LATIN.search(name) and not _CHINESE.search(name):
        return Markup('<bdi lang="en">{}</bdi>').format(name)
    if any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in name):
        return Markup("<bdi>{}</bdi>").format(name)
    return Markup.escape(name)


def person(name: str, latin_name: str | None) -> Markup:
    """Return a person's name; on pages in English, the one in Latin letters comes first."""
    if language() == "zh" or latin_name is None or latin_name == name:
        return named(name)
    return Markup("{} {}").format(latin_name, named(name))


def has(key: str) -> bool:
    """Tell whether there is a text with this key."""
    return key in _TEXTS
