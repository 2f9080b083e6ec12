"""What is tried with each library: ``python trials.py with_authlib`` prints the outcomes in JSON.

One process for each library, since Django has one site in a process. The site is called within the
process, DingTalk over HTTP: the simulator. Each trial begins with a simulator as new.
"""

from __future__ import annotations

import base64
import binascii
import importlib
import importlib.metadata
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from werkzeug.test import Client, TestResponse

from flask_dingtalk.testing import DingTalkSimulator

#: The host of the sites; https, since Flask-Dance does not go without.
BASE: Final = "https://localhost"
#: A request of somebody who opens a page.
PAGE: Final[dict[str, Any]] = {"base_url": BASE, "headers": {"Accept": "text/html"}}
#: How many requests set out with the same expired token.
AT_ONCE: Final = 8
GREETING: Final = "Hello, 张三"
ME: Final = "/as-dingtalk-sees-me"
#: The seconds after which an access token has ended, and the site's check is due.
TWO_HOURS: Final = 7200 + 1


class Trials:
    """The trials of one library; each public method is one, and returns its outcome."""

    def __init__(self, module: str, simulator: DingTalkSimulator) -> None:
        self._name = module
        self._site = importlib.import_module(module)
        self._simulator = simulator
        self.log: list[str] = []

    def run(self) -> dict[str, str]:
        """Run all trials."""
        handler = _Lines(self.log)
        logging.getLogger().addHandler(handler)
        outcomes = {}
        for name in [name for name in vars(Trials) if not name.startswith("_") and name != "run"]:
            self._simulator.reset()
            self._simulator.application.redirect_urls.append(f"{BASE}{self._site.CALLBACK}")
            self.log.clear()
            outcomes[name] = str(getattr(self, name)())
        return outcomes

    # --- What is tried ---------------------------------------------------------------------------

    def signs_in(self) -> str:
        """Sign in; where the library alone does not, count the lines written for DingTalk."""
        own = _lines_for_dingtalk(Path(str(self._site.__file__)))
        if hasattr(self._site, "AS_STANDARD_SAYS"):
            plain = Client(self._site.build(self._simulator.settings, self._site.AS_STANDARD_SAYS))
            assert not self._greets_after(plain), "the lines for DingTalk are not needed"
        assert self._greets_after(self._browser()), self.log
        return f"lines {own}" if own else "yes"

    def qr_code(self) -> str:
        """Have DingTalk's script for the QR code in a page of the site."""
        if self._name == "with_flask_dingtalk":
            page = self._browser(DINGTALK_LOGIN_PAGE=True).get(self._site.LOGIN, **PAGE)
            return _yes("ddlogin.js" in page.text)
        return _yes(self._mentions("ddlogin"))

    def in_client(self) -> str:
        """Sign in with the code that the DingTalk client gives to a page."""
        if self._name == "with_flask_dingtalk":
            corp_id = self._simulator.application.corp_id
            browser = self._browser(DINGTALK_IN_APP_LOGIN=True, DINGTALK_CORP_ID=corp_id)
            inside = {"Accept": "text/html", "User-Agent": "Mozilla/5.0 DingTalk/7.6.0"}
            page = browser.get(self._site.LOGIN, base_url=BASE, headers=inside)
            fields = re.findall('<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text)
            code = self._simulator.in_app_code("zhang")
            form = {**dict(fields), "code": code}
            browser.post("/dingtalk/in-app", base_url=BASE, data=form, headers={"Origin": BASE})
            return _yes(self._greets(browser))
        return _yes(self._mentions("getuserinfo") or self._mentions("requestAuthCode"))

    def members(self) -> str:
        """Refuse somebody of another organisation."""
        browser = self._browser()
        self._sign_in(browser, "wang")
        return _yes("王五" not in browser.get("/", **PAGE).text)

    def leavers(self) -> str:
        """Sign out somebody who has left the organisation."""
        browser = self._browser()
        self._sign_in(browser)
        assert self._greets(browser)
        self._simulator.leave("zhang")
        self._simulator.advance(TWO_HOURS, site=True)
        return _yes(not self._greets(browser))

    def sealed(self) -> str:
        """Keep the tokens from whoever reads the cookies."""
        browser = self._browser()
        self._sign_in(browser)
        assert self._greets(browser)
        cookies = "".join(_plain_texts(cookie.value) for cookie in _cookies(browser))
        return _yes(not any(secret in cookies for secret in self._simulator.secrets))

    def renewed(self) -> str:
        """Call DingTalk as the user when the access token has ended."""
        browser = self._browser()
        self._sign_in(browser)
        assert browser.get(ME, **PAGE).status_code == 200, self.log
        self._simulator.advance(TWO_HOURS, site=True)
        return _yes(browser.get(ME, **PAGE).status_code == 200)

    def renewed_once(self) -> str:
        """Answer several requests that set out before the first one came back with new tokens."""
        browser = self._browser()
        self._sign_in(browser)
        assert browser.get(ME, **PAGE).status_code == 200, self.log
        self._simulator.advance(TWO_HOURS, site=True)
        copies = [_copy(browser) for _ in range(AT_ONCE)]
        answered = sum(copy.get(ME, **PAGE).status_code == 200 for copy in copies)
        return f"{answered} of {AT_ONCE}"

    def sign_out_is_final(self) -> str:
        """Refuse a copy of the cookies after the sign-out, in this process and in another."""
        here, there = self._copy_after_sign_out(self._browser())
        if not here and there and self._name == "with_flask_dingtalk":
            with _redis() as address:
                browser = self._browser(DINGTALK_STORE=address)
                assert self._copy_after_sign_out(browser) == (False, False)
                return "with a store"
        return "no" if here else _yes(not there)

    def two_tabs(self) -> str:
        """Finish two sign-ins that one browser began one after the other."""
        browser = self._browser()
        states = [self._begin(browser) for _ in range(2)]
        answers = [self._come_back(browser, state) for state in states]
        lost = [answer for answer in answers if self._is_lost(answer)]
        return _yes(not lost and self._greets(browser))

    def other_browser(self) -> str:
        """Refuse a sign-in that began in another browser."""
        state = self._begin(self._browser())
        other = self._browser()
        self._come_back(other, state)
        return _yes(not self._greets(other))

    def declined(self) -> str:
        """Tell somebody who declined, with a page."""
        browser = self._browser()
        answer = self._sign_in(browser, decline=True)
        return self._what_it_shows(browser, answer)

    def permission(self) -> str:
        """Name the permission that the application lacks, in the log or on the page."""
        self._simulator.application.permissions.remove("Contact.User.Read")
        browser = self._browser()
        answer = self._sign_in(browser)
        shown = answer.text + "".join(self.log)
        if not self._is_lost(answer):
            shown += browser.get("/", **PAGE).text + "".join(self.log)
        return _yes("Contact.User.Read" in shown)

    def unavailable(self) -> str:
        """Show a page while DingTalk answers 500."""
        self._simulator.fail("userAccessToken", status=500, times=None)
        browser = self._browser()
        return self._what_it_shows(browser, self._sign_in(browser))

    def decorator(self) -> str:
        """Guard views with a decorator, plain ones and `async` ones."""
        guarded = [self._guards(path) for path in ("/guarded", "/async")]
        return "plain" if guarded == [True, False] else _yes(all(guarded))

    def for_tests(self) -> str:
        """Have something that stands in for DingTalk in a site's tests."""
        if self._name == "with_flask_dingtalk":
            return "simulator"
        # Recorded answers of a real provider; a provider that asks nobody.
        if self._has("flask_dance.fixtures.pytest"):
            return "recordings"
        return "dummy" if self._has("allauth.socialaccount.providers.dummy") else "no"

    def providers(self) -> str:
        """Have other providers than DingTalk."""
        if self._name == "with_authlib":
            # With the standard's endpoints, whoever follows the standard.
            return "any"
        folders = {
            "with_flask_dance": "flask_dance/contrib/*.py",
            "with_allauth": "allauth/socialaccount/providers/*/provider.py",
        }
        if self._name not in folders:
            return "no"
        general = ("__init__", "oauth", "oauth2", "base", "dummy")
        found = self._files(folders[self._name])
        names = [path.parent.name if path.stem == "provider" else path.stem for path in found]
        return str(len([name for name in names if name not in general]))

    def accounts(self) -> str:
        """Have a table of users, with their passwords, addresses and second factors."""
        if self._has("allauth.account.models") and self._has("allauth.mfa"):
            return "yes"
        return "tokens" if self._has("flask_dance.consumer.storage.sqla") else "no"

    # --- How -------------------------------------------------------------------------------------

    def _browser(self, **more: Any) -> Client:
        return Client(self._site.build(self._simulator.settings, **more))

    def _sign_in(self, browser: Client, person: str = "zhang", *, decline: bool = False) -> Any:
        return self._simulator.sign_in(
            browser,  # type: ignore[arg-type]
            person,
            login_path=self._site.LOGIN,
            base_url=BASE,
            decline=decline,
        )

    def _greets(self, browser: Client) -> bool:
        return GREETING in browser.get("/", **PAGE).text

    def _guards(self, path: str) -> bool:
        """Tell whether a decorated view stops strangers, and lets in whoever signs in then."""
        browser = self._browser()
        if browser.get(path, **PAGE).status_code == 404:
            # The site has no such view, since the library has no decorator.
            assert not self._mentions("def login_required")
            return False
        assert browser.get(path, **PAGE).status_code == 302
        self._sign_in(browser)
        browser.get("/", **PAGE)
        return GREETING in browser.get(path, **PAGE).text

    def _greets_after(self, browser: Client) -> bool:
        self._sign_in(browser)
        return self._greets(browser)

    def _begin(self, browser: Client) -> str:
        location = browser.get(self._site.LOGIN, **PAGE).location
        assert location is not None
        assert location.startswith(self._simulator.url), location
        (state,) = parse_qs(urlsplit(location).query)["state"]
        return state

    def _come_back(self, browser: Client, state: str) -> TestResponse:
        code = self._simulator.authorization_code("zhang")
        query = {"authCode": code, "code": code, "state": state}
        return browser.get(self._site.CALLBACK, query_string=query, **PAGE)

    def _is_lost(self, answer: TestResponse) -> bool:
        """Tell whether an answer to a callback is an error, or sends the person back."""
        again = urlsplit(answer.location or "").path == self._site.LOGIN
        return answer.status_code >= 400 or "Third-Party Login Failure" in answer.text or again

    def _what_it_shows(self, browser: Client, answer: TestResponse) -> str:
        """Follow an answer to the page it leads to."""
        while answer.location:
            if answer.location.startswith(self._simulator.url):
                return "back to DingTalk"
            answer = browser.get(urlsplit(answer.location).path, **PAGE)
        bare = re.search("<h1>(Internal Server Error|Forbidden|Bad Request)</h1>", answer.text)
        return f"bare {answer.status_code}" if bare else f"page {answer.status_code}"

    def _copy_after_sign_out(self, browser: Client) -> tuple[bool, bool]:
        """Return whether a copy of the cookies is still signed in, here and in another process."""
        self._sign_in(browser)
        assert self._greets(browser)
        copy = _copy(browser)
        signed_out, told = os.pipe()
        other = os.fork()
        if other == 0:
            # Another process of the same site, from before the sign-out.
            os.read(signed_out, 1)
            _forget_connections()
            os._exit(1 if self._greets(copy) else 0)
        self._site.sign_out(browser)
        assert not self._greets(browser)
        os.write(told, b"x")
        there = os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]) == 1
        return self._greets(copy), there

    def _files(self, pattern: str) -> list[Path]:
        named = importlib.metadata.files(self._site.DISTRIBUTION) or []
        return [Path(str(path.locate())) for path in named if Path(str(path)).match(pattern)]

    def _mentions(self, text: str) -> bool:
        files = self._files("*.py") + self._files("*.html") + self._files("*.js")
        return any(text in path.read_text(encoding="utf-8", errors="replace") for path in files)

    def _has(self, module: str) -> bool:
        path = module.replace(".", "/")
        return bool(self._files(f"{path}.py") or self._files(f"{path}/__init__.py"))


class _Lines(logging.Handler):
    """Keeps what is logged, tracebacks included."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))


def _yes(outcome: bool) -> str:
    return "yes" if outcome else "no"


def _lines_for_dingtalk(path: Path) -> int:
    """Count the lines of code between the marks."""
    inside, count = False, 0
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if text.startswith(("# --- For DingTalk", "# --- Until here")):
            inside = "For" in text
        elif inside and text and not text.startswith("#"):
            count += 1
    return count


def _cookies(browser: Client) -> list[Any]:
    return list((browser._cookies or {}).values())


def _copy(browser: Client) -> Client:
    """Return a browser with the same cookies, as if its request had been sent at the same time."""
    copy = Client(browser.application)
    for cookie in _cookies(browser):
        copy.set_cookie(cookie.key, cookie.value, domain=cookie.domain, path=cookie.path)
    return copy


def _plain_texts(value: str) -> str:
    """Return what can be read in a cookie: each part as it is, decoded, and unpacked."""
    texts = [value]
    for part in value.split("."):
        try:
            decoded = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        except (binascii.Error, ValueError):
            continue
        texts.append(decoded.decode(errors="replace"))
        try:
            texts.append(zlib.decompress(decoded).decode(errors="replace"))
        except zlib.error:
            continue
    return "\n".join(texts)


def _forget_connections() -> None:
    """Let a forked process of Django open the database anew."""
    if "django" in sys.modules:
        from django.db import connections

        connections.close_all()


@contextmanager
def _redis() -> Iterator[str]:
    """Run a Redis, and return its address."""
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder, "redis.sock")
        command = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", ""]
        server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
        try:
            while not socket.exists():
                assert server.poll() is None, "redis-server ended"
                time.sleep(0.01)
            yield f"unix://{socket}"
        finally:
            server.terminate()
            server.wait()


def main(module: str) -> None:
    """Run the trials of one library."""
    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # the simulator speaks http
    with DingTalkSimulator() as simulator:
        trials = Trials(module, simulator)
        print(json.dumps(trials.run(), ensure_ascii=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
