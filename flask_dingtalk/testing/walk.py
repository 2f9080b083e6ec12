"""Walk a Flask test client through a whole sign-in, over HTTP, the way a browser would."""

from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urljoin, urlsplit

import requests
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from . import SimulatorError
from .people import Person

#: Seconds. The simulator is on the same machine; more than this is an injected failure.
_TIMEOUT: Final = 10


class _Page(HTMLParser):
    """The forms of a page, what they offer, and what the page says where it refuses."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        #: By the last part of the action's path: the address, and what the form would send.
        self.forms: dict[str, tuple[str, dict[str, str]]] = {}
        #: By name, the values of the buttons and radio buttons.
        self.offers: dict[str, list[str]] = {"person": [], "organisation": []}
        #: Where a site's sign-in button leads.
        self.button = ""
        self.refusal = ""
        self._refusing = False
        self._fields: dict[str, str] = {}
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note forms and fields."""
        attributes = {key: value or "" for key, value in attrs}
        if tag == "form":
            self._fields = {}
            action = attributes.get("action", "")
            self.forms[urlsplit(action).path.rpartition("/")[2]] = (action, self._fields)
        elif tag == "a" and "dingtalk-button" in attributes.get("class", "").split():
            self.button = attributes["href"]
        elif attributes.get("name") in self.offers:
            self.offers[attributes["name"]].append(attributes.get("value", ""))
        elif tag == "input" and "name" in attributes:
            self._fields[attributes["name"]] = attributes.get("value", "")
        self._refusing = self._refusing or "data-refused" in attributes

    def handle_endtag(self, tag: str) -> None:
        """Note the end of a refusal."""
        if tag == "div":
            self._refusing = False

    def handle_data(self, data: str) -> None:
        """Note the words of a refusal."""
        if self._refusing and data.strip():
            self.refusal += f"{data.strip()} "


class Walk:
    """One person's way through the simulator's pages, in a browser of its own."""

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

    def sign_in(self, client: FlaskClient, login_path: str, next_url: str | None) -> TestResponse:
        """Return the callback's response; `SimulatorError` if the way ends before."""
        query = {} if next_url is None else {"next": next_url}
        root = str(client.application.config["APPLICATION_ROOT"]).rstrip("/")
        login = client.get(login_path, query_string=query)
        if login.status_code == 200:
            # A sign-in page: the way through DingTalk's pages is its button.
            login = client.get(_Page(login.text).button.removeprefix(root) or login_path)
        address = login.location or ""
        if not address.startswith(f"{self._url}/oauth2/"):
            raise SimulatorError(
                f"GET {login_path} answered {login.status} and did not redirect to the simulator"
                f" at {self._url}: was the app created with simulator.settings?"
            )
        parts = urlsplit(self.callback(address))
        return client.get(
            parts.path.removeprefix(root),
            query_string=parts.query,
            base_url=f"{parts.scheme}://{parts.netloc}{root}",
        )

    def callback(self, address: str) -> str:
        """Answer every page from `address` on; return where the last one sends the browser."""
        with requests.Session() as browser:
            browser.trust_env = False  # no proxy and no .netrc on the way to this machine
            browser.headers["Accept-Language"] = "en"
            response = browser.get(address, timeout=_TIMEOUT, allow_redirects=False)
            while True:
                if response.is_redirect:
                    address = urljoin(response.url, response.headers["Location"])
                    if not address.startswith(f"{self._url}/"):
                        return address
                    response = browser.get(address, timeout=_TIMEOUT, allow_redirects=False)
                else:
                    action, fields = self._fill_in(response)
                    response = browser.post(
                        urljoin(response.url, action),
                        data=fields,
                        timeout=_TIMEOUT,
                        allow_redirects=False,
                    )

    def _fill_in(self, response: requests.Response) -> tuple[str, dict[str, str]]:
        """Return the address and the fields of the form that the person would send."""
        page = _Page(response.text)
        if page.refusal:
            raise SimulatorError(f"The simulator refused: {page.refusal.strip()}")
        if "consent" in page.forms:
            action, fields = page.forms["consent"]
            return action, {**fields, **self._decision(page.offers["organisation"])}
        if "login" not in page.forms:
            raise SimulatorError(f"The sign-in page answered {response.status_code} and no form.")
        action, fields = page.forms["login"]
        if "organisation_code" in fields:
            return action, {**fields, "organisation_code": self._organisation_code()}
        if self._person.name not in page.offers["person"]:
            raise SimulatorError(f"The sign-in page does not offer {self._person.name!r}.")
        return action, {**fields, "person": self._person.name}

    def _organisation_code(self) -> str:
        for corp_id in (self._corp_id or "", *self._person.corp_ids):
            if corp_id in self._organisation_codes:
                return self._organisation_codes[corp_id]
        raise SimulatorError(f"{self._person.name!r} is in no organisation, and needs its code.")

    def _decision(self, offered: list[str]) -> dict[str, str]:
        if self._decline:
            return {"decision": "decline"}
        if self._corp_id is not None and self._corp_id not in offered:
            raise SimulatorError(
                f"The organisation {self._corp_id!r} cannot be chosen, only {offered}: does the"
                " site ask for the scope 'openid corpid', and is the person a member?"
            )
        chosen = self._corp_id or (offered[0] if offered else None)
        return {"decision": "agree", **({"organisation": chosen} if chosen else {})}
