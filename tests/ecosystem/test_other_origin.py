"""A front end on another origin, with Flask-CORS, in a real browser."""

from __future__ import annotations

import re

from flask import Flask
from flask_cors import CORS
from playwright.sync_api import expect

from flask_dingtalk import DingTalk, current_dingtalk_user
from flask_dingtalk.testing import DingTalkSimulator

from ..chromium import OpenWindow
from ..helpers import SECRET_KEY
from ..server import serving

#: Asks the site for data, as a front end does; its extra header makes the browser ask first.
FRONT_END = """<!doctype html>
<link rel="icon" href="data:,">
<p id="said">…</p> <a id="way">Sign in</a> <button id="out">Sign out</button>
<script type="module">
  const site = new URLSearchParams(location.search).get("site");
  const ask = (path, options) => fetch(site + path, { credentials: "include", ...options });
  async function show() {
    const answer = await ask("/me", { headers: { "X-Front-End": "1" } });
    const data = await answer.json();
    said.textContent = data.nick ?? data.error;
    way.href = data.login_url + "?next=" + encodeURIComponent(location.href);
  }
  out.onclick = async () => { await ask("/dingtalk/logout", { method: "POST" }); await show(); };
  await show();
</script>"""


def test_a_front_end_signs_people_in_and_out(
    simulator: DingTalkSimulator, open_window: OpenWindow
) -> None:
    """Its script reads the refusal, leads to the sign-in and back, and posts the sign-out."""
    front = Flask("front")
    front.add_url_rule("/", "page", lambda: FRONT_END)
    site = Flask("site")

    with serving(front) as front_url, serving(site) as url:
        simulator.application.redirect_urls.append(f"{url}/dingtalk/callback")
        site.config.update(
            simulator.settings,
            SECRET_KEY=SECRET_KEY,
            DINGTALK_MEMBERS_ONLY=False,
            DINGTALK_TRUSTED_ORIGINS=[front_url],
        )
        DingTalk(site).protect(site)
        CORS(site, origins=[front_url], supports_credentials=True)
        site.add_url_rule("/me", "me", lambda: {"nick": current_dingtalk_user.nick})
        site.add_url_rule("/", "home", lambda: "")

        page = open_window()
        page.goto(f"{front_url}/?site={url}")
        expect(page.locator("#said")).to_have_text("login_required")
        page.click("#way")
        page.get_by_role("button", name=re.compile("^张三")).click()
        page.get_by_role("button", name="Agree").click()
        expect(page.locator("#said")).to_have_text("张三")
        assert page.url.startswith(front_url)
        page.click("#out")
        expect(page.locator("#said")).to_have_text("login_required")
