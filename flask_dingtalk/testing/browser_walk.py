"""Take a Flask test client through a whole login, over HTTP, as a browser would."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from html.parser import HTMLParser
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from typing import Any, Final, Protocol
from urllib.parse import urlencode, urljoin, urlsplit

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from . import SimulatorError
from .people import Person

#: Seconds. The simulator runs on this machine; only an injected failure takes longer.
_TIMEOUT: Final = 60
#: Only a navigation begins a sign-in, whatever the client asks for otherwise.
_ACCEPT: Final = {"Accept": "text/html"}


class AsyncClient(Protocol):
    """What an ``httpx.AsyncClient`` has, as far as it is used here."""

    @property
    def get(self) -> Callable[..., Awaitable[Any]]:
        """Send a GET and return the response."""
        ...  # pyright wants it


class Page(Protocol):
    """What a page of Playwright has, as far as it is used here."""

    @property
    def url(self) -> str:
        """The address that it shows."""
        ...  # pyright wants it

    @property
    def goto(self) -> Callable[..., Any]:
        """Load an address."""
        ...  # pyright wants it

    @property
    def content(self) -> Callable[..., str]:
        """Return the markup."""
        ...  # pyright wants it

    @property
    def locator(self) -> Callable[..., Any]:
        """Return what stands for an element."""
        ...  # pyright wants it

    @property
    def expect_navigation(self) -> Callable[..., Any]:
        """Return a context manager that waits for another page."""
        ...  # pyright wants it


def _query(next_url: str | None) -> dict[str, str]:
    return {} if next_url is None else {"next": next_url}


def click_through(page: Page, address: str, walk: BrowserWalk) -> None:
    """Open an address in a browser and sign in; `SimulatorError` if that ends before its time."""
    page.goto(address)
    if not walk.is_at_simulator(page.url):
        button = page.locator("a.dingtalk-button")
        if button.count() == 0:
            raise SimulatorError(
                f"{address} led to {page.url}, which is neither the simulator nor a page with"
                " DingTalk's button: is it guarded, and was the site created with"
                " simulator.settings?"
            )
        # Opened and not clicked: beside a QR code it is hidden until the code cannot be shown.
        page.goto(urljoin(page.url, button.first.get_attribute("href")))
    while walk.is_at_simulator(page.url):
        selectors = walk.selectors(page.content())
        for selector in selectors[:-1]:
            page.locator(selector).check()
        with page.expect_navigation():
            page.locator(selectors[-1]).click()


class _Page(HTMLParser):
    """What a page offers: its forms with their fields, and its text if it refuses."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        #: Address and fields of each form, by the last part of the address's path.
        self.forms: dict[str, tuple[str, dict[str, str]]] = {}
        #: The values of buttons and radio buttons, by name.
        self.options: dict[str, list[str]] = {"person": [], "organisation": []}
        #: Where the button on a site's login page leads.
        self.button = ""
        self.refusal = ""
        self._in_refusal = False
        self._fields: dict[str, str] = {}
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect forms and fields."""
        attributes = {key: value or "" for key, value in attrs}
        if tag == "form":
            self._fields = {}
            action = attributes.get("action", "")
            self.forms[urlsplit(action).path.rpartition("/")[2]] = (action, self._fields)
        elif tag == "a" and "dingtalk-button" in attributes.get("class", "").split():
            self.button = attributes["href"]
        elif attributes.get("name") in self.options:
            self.options[attributes["name"]].append(attributes.get("value", ""))
        elif tag == "input" and "name" in attributes:
            self._fields[attributes["name"]] = attributes.get("value", "")
        self._in_refusal = self._in_refusal or "data-refused" in attributes

    def handle_endtag(self, tag: str) -> None:
        """Notice the end of a refusal."""
        if tag == "div":
            self._in_refusal = False

    def handle_data(self, data: str) -> None:
        """Collect the text of a refusal."""
        if self._in_refusal and data.strip():
            self.refusal += f"{data.strip()} "


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the simulator answered; `location` is empty unless it redirects."""

    url: str
    status: int
    location: str
    text: str


class _Browser:
    """A new browser that knows the simulator alone, and follows no redirect by itself.

    A client for all of HTTP would take longer than the simulator does.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT)
        self._cookies: dict[str, str] = {}

    def load(self, url: str, form: Mapping[str, str] | None = None) -> _Answer:
        """Load a page, or submit a form; `OSError` if the simulator does not answer."""
        headers = {"Accept-Language": "en"}
        if self._cookies:
            headers["Cookie"] = "; ".join(
                f"{name}={value}" for name, value in self._cookies.items()
            )
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        parts = urlsplit(url)
        self._connection.request(
            "GET" if form is None else "POST",
            parts._replace(scheme="", netloc="", fragment="").geturl(),
            None if form is None else urlencode(form),
            headers,
        )
        response = self._connection.getresponse()
        body = response.read()
        for header in response.headers.get_all("Set-Cookie", ()):
            for name, cookie in SimpleCookie(header).items():
                self._cookies[name] = cookie.value
        location = response.headers.get("Location", "")
        return _Answer(
            url, response.status, urljoin(url, location) if location else "", body.decode()
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class BrowserWalk:
    """One person's way through the simulator's pages, in a new browser."""

    def __init__(
        self,
        url: str,
        person: Person,
        *,
        corp_id: str | None,
        organisation_codes: Mapping[str, str],
        decline: bool,
    ) -> None:
        self._url = url
        self._person = person
        self._corp_id = corp_id
        self._organisation_codes = organisation_codes
        self._decline = decline

    def log_in(
        self, client: FlaskClient, login_path: str, next_url: str | None, base_url: str | None
    ) -> TestResponse:
        """Return the callback's response; `SimulatorError` if the login ends before it."""
        query = _query(next_url)
        if base_url is None:
            root = str(client.application.config["APPLICATION_ROOT"]).rstrip("/")
        else:
            root = urlsplit(base_url).path.rstrip("/")
        login = client.get(login_path, query_string=query, base_url=base_url, headers=_ACCEPT)
        moved = urlsplit(login.location or "")
        if moved.scheme == login.request.scheme and moved.path.endswith(login_path):
            # To the host that the redirect URL names.
            root = moved.path.removesuffix(login_path)
            base_url = f"{moved.scheme}://{moved.netloc}{root}"
            login = client.get(
                login_path, query_string=moved.query, base_url=base_url, headers=_ACCEPT
            )
        if login.status_code == 200:
            # The site's own login page: its button leads to DingTalk.
            button = _Page(login.text).button.removeprefix(root)
            login = client.get(button or login_path, base_url=base_url, headers=_ACCEPT)
        location = login.location or ""
        if not self._is_ours(location):
            raise SimulatorError(
                self._explain(login.status, location, login_path, login.request.scheme)
            )
        callback = urlsplit(self.visit_pages(location))
        return client.get(
            callback.path.removeprefix(root),
            query_string=callback.query,
            base_url=base_url or f"{callback.scheme}://{callback.netloc}{root}",
        )

    async def log_in_async(self, client: AsyncClient, login_path: str, next_url: str | None) -> Any:
        """Do the same with a client whose ``get`` is awaited."""
        how = {"headers": _ACCEPT, "follow_redirects": False}
        login = await client.get(login_path, params=_query(next_url), **how)
        if login.status_code == 200:
            login = await client.get(_Page(login.text).button or login_path, **how)
        location = str(login.headers.get("location", ""))
        if not self._is_ours(location):
            scheme = urlsplit(str(login.url)).scheme
            raise SimulatorError(
                self._explain(str(login.status_code), location, login_path, scheme)
            )
        return await client.get(await asyncio.to_thread(self.visit_pages, location), **how)

    def _is_ours(self, location: str) -> bool:
        return location.startswith(f"{self._url}/oauth2/")

    def _explain(self, status: str, target: str, login_path: str, scheme: str) -> str:
        """Return why the site's answer does not lead to the simulator, and what to do."""
        location = urlsplit(target)
        if location.scheme == "https" and scheme == "http":
            root = location.path.removesuffix(login_path)
            return (
                f"GET {login_path} redirected from http to https: pass"
                f' base_url="https://{location.netloc}{root}" to sign_in().'
            )
        return (
            f"GET {login_path} answered {status} and did not redirect to the simulator"
            f" at {self._url}: was the app created with simulator.settings?"
        )

    def visit_pages(self, address: str) -> str:
        """Fill in all pages from `address` on; return where the browser is sent in the end.

        `SimulatorError` if the login ends before that.
        """
        with closing(_Browser(self._url)) as browser:
            answer = browser.load(address)
            while True:
                if not answer.location:
                    action, fields = self._fill_in(answer)
                    answer = browser.load(urljoin(answer.url, action), fields)
                elif answer.location.startswith(f"{self._url}/"):
                    answer = browser.load(answer.location)
                else:
                    return answer.location

    def _fill_in(self, answer: _Answer) -> tuple[str, dict[str, str]]:
        """Return address and fields of the form that the person would submit."""
        page = _Page(answer.text)
        if page.refusal:
            raise SimulatorError(f"The simulator refused: {page.refusal.strip()}")
        if "consent" in page.forms:
            action, fields = page.forms["consent"]
            return action, {**fields, **self._decision(page.options["organisation"])}
        if "login" not in page.forms:
            raise SimulatorError(
                f"The login page answered with status {answer.status} and without a form."
            )
        action, fields = page.forms["login"]
        if "organisation_code" in fields:
            return action, {**fields, "organisation_code": self._organisation_code()}
        if self._person.name not in page.options["person"]:
            raise SimulatorError(f"The login page does not offer {self._person.name!r}.")
        return action, {**fields, "person": self._person.name}

    def is_at_simulator(self, address: str) -> bool:
        """Tell whether a browser shows one of the simulator's pages."""
        return address.startswith(f"{self._url}/")

    def selectors(self, markup: str) -> list[str]:
        """Return the elements of a page that the person would click, the button last."""
        page = _Page(markup)
        if page.refusal:
            raise SimulatorError(f"The simulator refused: {page.refusal.strip()}")
        if "consent" in page.forms:
            decision = self._decision(page.options["organisation"])
            chosen = decision.get("organisation")
            choice = [] if chosen is None else [f'[name=organisation][value="{chosen}"]']
            hidden = [each for each in choice if 'type="radio"' in markup]
            return [*hidden, f"[name=decision][value={decision['decision']}]"]
        if self._person.name not in page.options["person"]:
            raise SimulatorError(f"The login page does not offer {self._person.name!r}.")
        return [f'button[name=person][value="{self._person.name}"]']

    def _organisation_code(self) -> str:
        for corp_id in (self._corp_id or "", *self._person.corp_ids):
            if corp_id in self._organisation_codes:
                return self._organisation_codes[corp_id]
        raise SimulatorError(
            f"The login page asks for an organisation code, but {self._person.name!r} is not in"
            " any organisation."
        )

    def _decision(self, offered: list[str]) -> dict[str, str]:
        if self._decline:
            return {"decision": "decline"}
        if self._corp_id is not None and self._corp_id not in offered:
            raise SimulatorError(
                f"The organisation {self._corp_id!r} is not among those offered ({offered}): does"
                " the site ask for the scope 'openid corpid', and is the person a member?"
            )
        chosen = self._corp_id or (offered[0] if offered else None)
        return {"decision": "agree", **({"organisation": chosen} if chosen else {})}
