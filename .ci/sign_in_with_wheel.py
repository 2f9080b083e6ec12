"""Signs in through the installed package: nothing but its own dependencies is there."""

from pathlib import Path

from flask import Flask

import flask_dingtalk
from flask_dingtalk import DingTalk, current_dingtalk_user, login_required
from flask_dingtalk.testing import DingTalkSimulator

assert "site-packages" in Path(flask_dingtalk.__file__).parts, flask_dingtalk.__file__

with DingTalkSimulator() as simulator:
    app = Flask(__name__)
    app.config.update(
        simulator.settings, SECRET_KEY="a key for one minute", DINGTALK_LOGIN_PAGE=True
    )
    DingTalk(app)

    @app.get("/")
    @login_required
    def index() -> str:
        return f"Hello, {current_dingtalk_user.nick}"

    client = app.test_client()
    assert client.get("/").status_code == 302
    page = client.get("/dingtalk/login").get_data(as_text=True)
    for name in ("qr.js", "dingtalk.css", "mark.svg"):
        path = f"/dingtalk/static/dingtalk/{name}"
        assert path in page, path
        assert client.get(path).status_code == 200, path
    assert simulator.sign_in(client, "zhang", next="/").location == "/"
    answer = client.get("/").get_data(as_text=True)
    assert answer == "Hello, 张三", answer
    assert client.get("/dingtalk/callback?state=made-up").status_code == 400

print("signed in through the wheel:", answer)
