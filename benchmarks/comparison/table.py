"""The table of the READMEs, from ``results.json``: ``python table.py zh`` for the Chinese one."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

RESULTS: Final = Path(__file__).with_name("results.json")


class Text(NamedTuple):
    """A text in both languages."""

    en: str
    zh: str


#: The columns: the module of a site, and the distribution that it tries.
LIBRARIES: Final = {
    "with_flask_dingtalk": "Flask-DingTalk",
    "with_authlib": "Authlib",
    "with_flask_dance": "Flask-Dance",
    "with_allauth": "django-allauth",
    "with_requests": "requests",
}

#: The rows, by trial.
ROWS: Final = {
    "signs_in": Text("signs in with DingTalk", "用钉钉登录"),
    "qr_code": Text("QR code in your page", "页面内扫码"),
    "in_client": Text("inside DingTalk, without a tap", "端内免登"),
    "members": Text("only your own organisation", "只对本组织成员开放"),
    "leavers": Text("leavers are signed out", "离职的人被退出登录"),
    "sealed": Text("tokens cannot be read from the cookie", "无法从 Cookie 读出 token"),
    "renewed": Text("an expired access token is renewed", "access token 过期后自动更新"),
    "renewed_once": Text(
        "answered, of 8 requests with the expired token", "8 个带着过期 token 的请求中得到应答的"
    ),
    "sign_out_is_final": Text(
        "a copied cookie ends with the sign-out", "退出登录后，复制的 Cookie 失效"
    ),
    "two_tabs": Text("two sign-ins at once, in two tabs", "两个标签页同时登录"),
    "other_browser": Text(
        "a sign-in that began in another browser is refused", "拒绝在另一个浏览器中发起的登录"
    ),
    "declined": Text("somebody declines and sees", "用户拒绝授权后看到"),
    "unavailable": Text("DingTalk answers 500, people see", "钉钉返回 500 时用户看到"),
    "permission": Text("a missing permission is named", "指出缺少哪项权限"),
    "decorator": Text("a decorator for views, `async` too", "视图装饰器，含 `async` 视图"),
    "for_tests": Text("for the tests of your site", "供您的测试使用"),
    "providers": Text("other providers", "其他登录渠道"),
    "accounts": Text("accounts, passwords, second factors", "账号、密码、两步验证"),
}

#: What an outcome is called, in one row or in all.
OUTCOMES: Final = {
    "yes": Text("yes", "是"),
    "no": Text("no", "否"),
    "signs_in lines": Text("with {} lines of yours", "需自己写 {} 行"),
    "sign_out_is_final yes": Text("yes, in all processes", "是，在所有进程中"),
    "sign_out_is_final with a store": Text(
        "yes; with a store, in all processes", "是；使用存储时在所有进程中"
    ),
    "back to DingTalk": Text("DingTalk again, in a circle", "又回到钉钉，循环不止"),
    "page": Text("a page that says so", "说明情况的页面"),
    "bare": Text("error {}", "{} 错误"),
    "renewed_once of": Text("{}", "{}"),
    "for_tests simulator": Text("a simulator of DingTalk", "钉钉模拟器"),
    "for_tests recordings": Text("recorded answers", "录制的应答"),
    "for_tests dummy": Text("a dummy provider", "虚拟登录渠道"),
    "providers no": Text("none", "无"),
    "providers any": Text("any that follows the standard", "任何遵循标准的"),
    "accounts tokens": Text("a table of tokens", "token 表"),
}


def read() -> dict[str, Any]:
    """Return what was recorded."""
    recorded: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return recorded


def _cell(trial: str, outcome: str, language: str) -> str:
    number = re.search("[0-9]+", outcome)
    word = re.sub("[0-9]+ ?", "", outcome).strip()
    for name in (f"{trial} {word}", word):
        if name in OUTCOMES:
            text: str = getattr(OUTCOMES[name], language)
            return text.format(number[0] if number else "")
    assert number is not None, (trial, outcome)
    return number[0]


def render(language: str) -> str:
    """Return the table in Markdown; the language is ``en`` or ``zh``."""
    recorded = read()
    names = [f"{name} {recorded['versions'][name]}" for name in LIBRARIES.values()]
    lines = [["", *names], ["---"] * (1 + len(LIBRARIES))]
    for trial, title in ROWS.items():
        outcomes = [recorded["outcomes"][module][trial] for module in LIBRARIES]
        cells = [_cell(trial, outcome, language) for outcome in outcomes]
        lines.append([getattr(title, language), *cells])
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return table.replace("|  |", "| |", 1).replace("| --- ", "|---").replace("--- |", "---|")


if __name__ == "__main__":
    print(render(sys.argv[1] if len(sys.argv) > 1 else "en"))
