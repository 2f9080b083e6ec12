"""What the pages say, in English and in Chinese."""

from typing import Final, Literal

from flask import request

Language = Literal["en", "zh"]

_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "brand": ("Company portal", "企业门户"),
    "skip": ("Skip to content", "跳到正文"),
    "comma": (", ", "、"),
    "nav": ("Pages", "页面"),
    "nav.home": ("Home", "首页"),
    "nav.profile": ("My profile", "我的资料"),
    "nav.record": ("My record", "员工档案"),
    "nav.approvals": ("Approvals", "待审批"),
    "nav.company": ("Notices", "公告"),
    "sign_out": ("Sign out", "退出登录"),
    "footer": (
        "An example of Flask-DingTalk. This site is not run by DingTalk.",
        "Flask-DingTalk 示例站点，与钉钉官方无关。",
    ),
    "simulator.title": (
        "This is a simulator, no credentials were given.",
        "未配置凭证，正在使用模拟器。",
    ),
    "simulator.how": (
        "To use the real DingTalk, set {client_id} and {client_secret}.",
        "如需使用真实的钉钉，请设置 {client_id} 和 {client_secret}。",
    ),
    "simulator.left": ("{nick} has left {organisation}.", "{nick}已离开{organisation}。"),
    "simulator.return": ("Take them back", "恢复在职"),
    "simulator.returned": (
        "{nick} is back at {organisation} and may sign in again.",
        "{nick}已回到{organisation}，可以重新登录。",
    ),
    "simulator.leave": ("Let me leave the company", "我要离职"),
    "simulator.leave.title": ("Simulator only", "仅限模拟器"),
    "simulator.leave.text": (
        "What if you left {organisation} now, still signed in? This site asks DingTalk again"
        " every {seconds} seconds.",
        "如果你现在离开{organisation}，而登录状态还在，会怎样？本站每 {seconds} 秒向钉钉核实一次。",
    ),
    "simulator.gone": (
        "You have left {organisation}. DingTalk knows; this site asks again {seconds} seconds"
        " after it last did. Then the next page behind the door wants you to sign in.",
        "你已离开{organisation}。钉钉已经知道；本站在上次核实 {seconds} 秒后会再问一次，"
        "届时打开需要登录的页面，就要重新登录了。",
    ),
    "hello": ("Hello {nick}, you are signed in.", "{nick}，你好！登录成功。"),
    "goodbye": ("You are signed out.", "已退出登录。"),
    "home.title": ("Come in with DingTalk", "用钉钉，走进公司"),
    "home.lead": (
        "A company portal in miniature. DingTalk vouches for who you are; there is no password"
        " to choose and none to forget.",
        "一个迷你的企业门户：由钉钉确认你是谁，本站不需要密码。",
    ),
    "home.to_profile": ("See my profile", "查看我的资料"),
    "home.inside": ("What is inside", "站内页面"),
    "home.profile": (
        "What DingTalk tells this site about you, and what the site keeps.",
        "钉钉告诉了本站哪些信息，本站又记录了什么。",
    ),
    "home.record": (
        "What the company's directory says of you: position, departments, roles.",
        "公司通讯录中你的档案：职位、部门、角色。",
    ),
    "home.approvals": (
        "For people with the role {role} alone, as the directory has it.",
        "仅限角色为“{role}”的成员：以通讯录为准。",
    ),
    "home.tries": ("Six doors to try", "试一试：六种情形"),
    "home.tries.button": ("Take the button", "点按钮"),
    "home.tries.button.text": (
        "It leads to DingTalk's own page, where you agree, and back.",
        "前往钉钉自己的页面，同意授权后回到本站。",
    ),
    "home.tries.qr": ("Scan the QR code", "扫二维码"),
    "home.tries.qr.text": (
        "DingTalk's QR code in a page of this site: every page behind the door sends you there. A"
        " simulated code needs no phone; it offers a few.",
        "把钉钉的二维码嵌在本站的页面里：未登录时打开任何需要登录的页面，都会来到这里。"
        "模拟器的二维码不用真手机，点一下名字就算扫过了。",
    ),
    "home.tries.client": ("Open My profile inside DingTalk", "在钉钉里打开“我的资料”"),
    "home.tries.client.text": (
        "Let your browser pass for DingTalk's client: set its user agent to DingTalk (in Chromium:"
        " F12, More tools, Network conditions). Signed out, open the page: you are in, without a"
        " tap.",
        "把浏览器的 User-Agent 改为 DingTalk，网站就会把它当作钉钉客户端"
        "（Chromium：F12 > 更多工具 > 网络状况）。退出登录后再打开这一页，不用点任何按钮就能登录。",
    ),
    "home.tries.client.phone": ("Whose phone is it?", "手机在谁手里？"),
    "home.tries.outsider": ("Knock as 王五", "以王五的身份登录"),
    "home.tries.outsider.text": (
        "DingTalk vouches for 王五, of another company. This site is for the people of"
        " {organisation}.",
        "钉钉认识王五，但王五不是{organisation}的人，而本站只对本公司成员开放。",
    ),
    "home.tries.role": ("Open Approvals as 李四", "以李四的身份打开“待审批”"),
    "home.tries.role.text": (
        "One of us, and signed in. Yet this page wants a role that 李四 does not have.",
        "是自己人，也登录了，但没有这一页要求的角色。",
    ),
    "home.tries.leaver": ("Leave the company", "离开公司"),
    "home.tries.leaver.text": (
        "The button is on My record. {seconds} seconds later, nobody is signed in.",
        "按钮在“员工档案”页。{seconds} 秒之后，登录状态就失效了。",
    ),
    "home.api": ("JSON endpoint", "JSON 接口"),
    "home.api.lead": (
        "A guarded address for scripts: whoever is not signed in gets a 401 and no redirect.",
        "供脚本调用的受保护接口：未登录时返回 401，而不是跳转。",
    ),
    "home.company": (
        "What is new in the company, for everybody who is let in.",
        "公司的最新动态，登录后即可阅读。",
    ),
    "login.title": ("Sign in", "登录"),
    "login.scan": (
        "Scan the code with DingTalk on your phone, and agree there.",
        "打开手机上的钉钉，扫描二维码并确认登录。",
    ),
    "login.or": ("or on this device", "或在本机登录"),
    "login.then": (
        "DingTalk's page asks whether you agree, and brings you back here.",
        "在钉钉的页面上同意授权后，会回到这里。",
    ),
    "badge.nobody": ("Nobody signed in", "尚未登录"),
    "badge.hint": ("Your name will be here", "登录后显示你的名字"),
    "profile.account": ("From DingTalk", "来自钉钉"),
    "profile.user_id": ("user_id", "user_id"),
    "profile.not_asked": ("not asked for", "未查询"),
    "profile.union_id": ("union_id", "union_id"),
    "profile.phone": ("Phone", "手机"),
    "profile.email": ("E-mail", "邮箱"),
    "profile.token": ("Access token ends", "访问令牌有效期至"),
    "profile.no_token": (
        "none: DingTalk's client says who you are, and no more",
        "无：钉钉客户端只告知身份，不提供令牌",
    ),
    "profile.not_sent": ("not sent", "未提供"),
    "profile.record": ("Kept by this site", "本站记录"),
    "profile.record.lead": (
        "The site's own table of people, linked by union_id.",
        "本站自己的用户表，以 union_id 关联。",
    ),
    "profile.first": ("First sign-in", "首次登录"),
    "profile.last": ("Last sign-in", "最近登录"),
    "profile.count": ("Sign-ins", "登录次数"),
    "profile.no_record": (
        "No record: the site was restarted since you signed in.",
        "没有记录：登录之后本站重新启动过。",
    ),
    "record.none": ("No record", "没有档案"),
    "record.none.text": (
        "The site did not ask the company's directory about you, or you are not in it.",
        "本站没有查询公司通讯录，或者通讯录中没有你。",
    ),
    "record.directory": ("In the directory", "通讯录档案"),
    "record.name": ("Name", "姓名"),
    "record.title": ("Title", "职位"),
    "record.job_number": ("Job number", "工号"),
    "record.departments": ("Departments", "部门"),
    "record.roles": ("Roles", "角色"),
    "record.manager": ("Manager", "直属主管"),
    "record.hired": ("Hired", "入职日期"),
    "record.org_email": ("Org e-mail", "企业邮箱"),
    "record.work_place": ("Work place", "办公地点"),
    "record.empty": ("not filled in", "未填写"),
    "record.standing": ("Standing", "身份标记"),
    "record.active": ("DingTalk activated", "已激活钉钉"),
    "record.admin": ("Administrator", "管理员"),
    "record.boss": ("Boss", "企业老板"),
    "record.senior": ("Senior manager mode", "高管模式"),
    "record.yes": ("yes", "是"),
    "record.no": ("no", "否"),
    "record.ids": ("Three ids", "三种标识"),
    "record.user_id": (
        "A member within the organisation, for other APIs of DingTalk.",
        "组织内的成员标识，调用钉钉其他接口时使用。",
    ),
    "record.union_id": (
        "A person in all applications of the organisation, for a site's own records.",
        "同一个人在该组织的所有应用中都相同，本站的记录以它关联。",
    ),
    "record.open_id": (
        "A person within this one application.",
        "只在这一个应用内有效的标识。",
    ),
    "record.raw": ("The record as DingTalk sent it", "钉钉返回的原始档案"),
    "profile.raw": ("What DingTalk sent", "钉钉返回的原始数据"),
    "api.title": ("For scripts", "供脚本使用"),
    "api.lead": ("The same, as JSON.", "同样的信息，以 JSON 返回。"),
    "api.fetch": ("Fetch {path}", "请求 {path}"),
    "api.signed_out": ("You are signed out by now.", "登录状态已失效。"),
    "api.sign_in": ("Sign in again", "重新登录"),
    "api.failed": ("The site did not answer. Please try again.", "网站没有响应，请重试。"),
    "company.title": ("Notices of {organisation}", "{organisation}公告"),
    "company.lead": (
        "You see this page because you are signed in.",
        "你已登录，因此可以看到此页。",
    ),
    "company.canteen": ("Canteen", "食堂"),
    "company.canteen.text": (
        "From Monday on, lunch is served half an hour earlier, from 11:30.",
        "下周一起，午餐提前半小时供应，11:30 开餐。",
    ),
    "company.rooms": ("Meeting rooms", "会议室"),
    "company.rooms.text": (
        "The two rooms on the third floor have new screens; the cables are gone.",
        "三楼两间会议室已更换屏幕，支持无线投屏。",
    ),
    "company.shuttle": ("Shuttle bus", "班车"),
    "company.shuttle.text": (
        "The last bus to the station now leaves at 21:10 instead of 20:40.",
        "开往地铁站的末班车由 20:40 调整为 21:10。",
    ),
    "approvals.lead": (
        "You see this page because you have the role {role}.",
        "你的角色是“{role}”，因此可以看到此页。",
    ),
    "approvals.leave": ("Two days off", "年假两天"),
    "approvals.leave.text": (
        "Thursday and Friday of next week; somebody else covers the desk.",
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
        "放在靠窗的工位，在今年的预算之内。",
    ),
    "error.retry": ("Try again", "重试"),
    "error.home": ("Back to the home page", "返回首页"),
    "error.access_denied": ("You did not sign in", "你尚未登录"),
    "error.access_denied.text": (
        "The sign-in was declined in DingTalk. Nothing has changed, and you may try again.",
        "你在钉钉中拒绝了授权，没有任何改动，可以重新登录。",
    ),
    "error.invalid_state": ("This sign-in is no longer valid", "此次登录已失效"),
    "error.invalid_state.text": (
        "It took too long, was used before, or was begun in another browser.",
        "登录时间过长、链接已被使用，或是在其他浏览器中发起的。",
    ),
    "error.organisation_not_allowed": ("This site is for our own people", "本站仅对本公司成员开放"),
    "error.organisation_not_allowed.text": (
        "DingTalk vouched for who you are, but you are not in the directory of the company that"
        " this site belongs to. If you should be, ask its administrator; or use another account.",
        "钉钉确认了你的身份，但本公司的通讯录中没有你。如有疑问请联系公司管理员，或使用其他账号登录。",
    ),
    "error.not_permitted": ("This page is not open to you", "你没有权限访问此页"),
    "error.not_permitted.text": (
        "You are signed in, but your place in the company does not open this page. Another account"
        " may.",
        "你已登录，但你在公司中的角色不能访问此页。可以换个账号重试。",
    ),
    "error.other": ("That did not work", "操作未成功"),
    "error.other.text": (
        "The sign-in with DingTalk could not be finished. If it happens again, tell the people who"
        " run this site.",
        "钉钉登录未能完成。如果再次出现，请联系网站管理员。",
    ),
}


def language() -> Language:
    """Return the language of this request's page, by ``Accept-Language``."""
    return "zh" if request.accept_languages.best_match(["en", "zh"]) == "zh" else "en"


def say(key: str, **values: str) -> str:
    """Return a text in the language of this request, with its gaps filled."""
    return _TEXTS[key][language() == "zh"].format(**values)


def has(key: str) -> bool:
    """Tell whether there is such a text."""
    return key in _TEXTS
