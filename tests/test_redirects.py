"""``next`` leads back to this site, whatever browsers and proxies do to it."""

from __future__ import annotations

import re
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from flask_dingtalk.redirects import local_target, trusted_target
from flask_dingtalk.testing import DingTalkSimulator

from .helpers import come_back, start
from .made_up import examples

ORIGIN = "https://portal.example.com"


def landing(client: FlaskClient, simulator: DingTalkSimulator, target: str) -> str:
    """Sign in with this ``next`` and tell where that leads."""
    response = come_back(client, start(client, next=target), simulator.authorization_code("li"))
    return str(response.headers["Location"])


@pytest.mark.parametrize(
    "target",
    [
        "/report",
        "/report?month=5&q=a%20b",
        "/report#row-7",
        "/a/b/../c",
        "/@zhang",
        "/proxy/https://other.example/",
        "/search?url=https://other.example/",
        "/search?url=//other.example",
        "/中文?q=中",
        "/a:b;c=d,e",
        "/wiki/你好　世界",
        "/wiki/A／B＼C",
        "/wiki/caf\xa0é",
        "/files?path=C:\\reports",
        "/wiki/a b",
        "/search?q=a%0Ab",
    ],
)
def test_an_address_of_this_site_is_honoured(
    client: FlaskClient, simulator: DingTalkSimulator, target: str
) -> None:
    """As a path with query and fragment."""
    assert unquote(landing(client, simulator, target)) == unquote(target)


def test_an_absolute_address_of_this_very_origin_is_honoured(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Some templates build nothing else."""
    assert landing(client, simulator, "http://localhost/report?a=1") == "/report?a=1"
    assert landing(client, simulator, "http://localhost?a=1") == "/?a=1"


ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "https://evil.example",
    "http://evil.example/report",
    "http:evil.example",
    "http:///evil.example",
    "http://localhost.evil.example/",
    "http://localhost@evil.example/",
    "http://localhost:80@evil.example/",
    "http://user@localhost/",
    "https://localhost/",
    "http://localhost:8080/",
    "http://LOCALHOST.evil.example/",
    "ftp://localhost/",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/\\/evil.example",
    "http:\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r\n/evil.example",
    "\t//evil.example",
    " //evil.example",
    "//evil.example ",
    "\x00//evil.example",
    "/\x0b/evil.example",
    "/%2f/evil.example",
    "/%2Fevil.example",
    "/%5cevil.example",
    "/%5C%5Cevil.example",
    "/%252fevil.example",
    "%2f%2fevil.example",
    "/.//evil.example",
    "/..//evil.example",
    "/././/evil.example",
    "/%2e//evil.example",
    "/%2e%2e/%2fevil.example",
    "/%09/evil.example",
    "/%0d%0aLocation: //evil.example",
    "/／evil.example",
    "／／evil.example",
    "/＼evil.example",
    "\u3000//evil.example",
    "evil.example",
    "report",
    "?a=1",
    "#row",
    "",
    "/" + "x" * 9000,
    # Into the sign-in itself, round and round.
    "/dingtalk/login",
    "/dingtalk/login?next=/",
    "/dingtalk/./login",
    "/x/../dingtalk/login",
    "/dingtalk\\login",
    "/dingtalk/%6cogin",
    "/dingtalk/callback?state=x",
    "/dingtalk/logout",
]


@pytest.mark.parametrize("target", ELSEWHERE, ids=ascii)
def test_what_could_lead_elsewhere_is_ignored(
    client: FlaskClient, simulator: DingTalkSimulator, target: str
) -> None:
    """The sign-in then ends at the site's own page."""
    assert landing(client, simulator, target) == "/"


def test_on_another_port_its_own_absolute_address_is_honoured(app: Flask) -> None:
    """The port is part of the origin."""
    client = app.test_client()
    base = {"base_url": "http://localhost:8080"}
    response = client.post("/dingtalk/logout", data={"next": "http://localhost:8080/bye"}, **base)
    assert response.headers["Location"] == "/bye"


#: Pieces from which attacks are made.
PIECES = st.sampled_from(
    [
        *("/", "//", "\\", "%2f", "%5c", "%252f", ".", "..", "@", ":", "?", "#", "\t", "\n", " "),
        *("%09", "%00", "https:", "http:", "javascript:", "a", "中", "／"),
        *(ORIGIN, "portal.example.com", "evil.example"),
    ]
)
TARGETS = st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=60)


def as_a_browser_reads(address: str) -> str:
    """Apply the steps that the URL Standard prescribes before parsing an address."""
    address = address.strip("".join(map(chr, range(33))))
    return re.sub(r"[\t\n\r]", "", address).replace("\\", "/")


@given(TARGETS)
@examples(500)
def test_no_address_leads_a_browser_to_another_origin(target: str) -> None:
    """A proxy that decodes it once or twice makes no difference."""
    local = local_target(target, ORIGIN)
    if local is None:
        return
    for seen in (local, unquote(local), unquote(unquote(local))):
        parts = urlsplit(urljoin(ORIGIN + "/dingtalk/callback", as_a_browser_reads(seen)))
        assert f"{parts.scheme}://{parts.netloc}" == ORIGIN
    assert local.startswith("/")


@given(TARGETS)
@examples(500)
def test_no_address_on_a_trusted_origin_leads_a_browser_to_another_one(target: str) -> None:
    """Wherever the browser that follows it is."""
    trusted = trusted_target(ORIGIN + target, [ORIGIN])
    if trusted is None:
        return
    for seen in (trusted, ORIGIN + unquote(trusted.removeprefix(ORIGIN))):
        parts = urlsplit(urljoin("https://auth.example.com/x", as_a_browser_reads(seen)))
        assert f"{parts.scheme}://{parts.netloc}" == ORIGIN


@given(TARGETS)
@examples(200)
def test_what_was_accepted_once_is_accepted_again_unchanged(target: str) -> None:
    """A target travels through several steps and means the same in each."""
    local = local_target(target, ORIGIN)
    if local is not None:
        assert local_target(local, ORIGIN) == local
