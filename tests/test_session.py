"""What is kept in the Flask session, and who can read it."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import base64_decode

from flask_dingtalk import ConfigurationError, DingTalkToken, DingTalkUser
from flask_dingtalk.testing import DingTalkSimulator, signed_in

from .helpers import (
    SECRET_KEY,
    AppFactory,
    build_site,
    come_back,
    sign_in,
    start,
)
from .made_up import examples

TYPICAL: dict[str, Any] = {
    "nick": "张小明",
    "avatarUrl": "https://static-legacy.dingtalk.com/media/lQDPM4ZLWzQx7vXNBDjNBDiwG0xM0PpqzGQHYz2vQ4wNAA_"
    "1080_1080.png"[:110],
    "mobile": "15012349144",
    "openId": "mF7dQx2LpTz9KcVbR4sWnYhJiEiE",
    "unionId": "Hk3vZr8TqYxN5mLpWcD2sGfBiEiE",
    "email": "zhang.xiaoming@example.com",
    "stateCode": "86",
    "visitor": False,
}


def session_of(client: FlaskClient) -> dict[str, Any]:
    """Read the session as the site would."""
    with client.session_transaction() as session:
        return dict(session)


def cookie_bytes(client: FlaskClient) -> int:
    """Measure the session cookie, name and value."""
    cookie = client.get_cookie("session")
    assert cookie is not None
    return len(f"{cookie.key}={cookie.value}")


@pytest.fixture
def site(make_app: AppFactory, session_settings: Callable[[Flask], Flask]) -> Flask:
    """Build a site, once with each session interface."""
    return session_settings(make_app())


def test_a_user_stays_signed_in_with_every_session_interface(
    site: Flask, simulator: DingTalkSimulator
) -> None:
    """Flask's cookie, files, Redis: it makes no difference."""
    client = site.test_client()
    sign_in(client, simulator)
    whoami = client.get("/whoami").json
    assert whoami is not None
    assert whoami["nick"] == "张三"
    assert whoami["union_id"] == simulator.users["zhang"].union_id
    assert whoami["has_token"] is True
    assert whoami["expires_at"] is not None


def test_signing_out_works_with_every_session_interface(
    site: Flask, simulator: DingTalkSimulator
) -> None:
    """And the site's own data stays."""
    client = site.test_client()
    client.post("/basket")
    sign_in(client, simulator)
    client.post("/dingtalk/logout")
    assert client.get("/").text == "nobody"
    assert client.get("/basket").json == ["apples"]


def test_everything_kept_stands_under_one_prefix(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """A site can tell our keys from its own."""
    sign_in(client, simulator)
    start(client)
    assert session_of(client)
    assert all(key.startswith("_dingtalk") for key in session_of(client))


def test_neither_tokens_nor_profile_can_be_read_where_the_session_is_kept(
    site: Flask, simulator: DingTalkSimulator
) -> None:
    """Not out of a cookie, not out of a store."""
    client = site.test_client()
    sign_in(client, simulator)
    kept = json.dumps(session_of(client), ensure_ascii=False)
    user = simulator.users["zhang"]
    for secret in (user.union_id, user.open_id, user.nick, user.mobile, *simulator.secrets):
        assert secret is not None
        assert secret not in kept


def test_the_session_id_changes_at_sign_in_where_the_interface_can(
    site: Flask, simulator: DingTalkSimulator
) -> None:
    """An id that somebody planted must not become the id of a signed-in session."""
    client = site.test_client()
    client.post("/basket")
    planted = client.get_cookie("session")
    assert planted is not None
    sign_in(client, simulator)
    assert client.get("/").text == "张三"
    client.set_cookie("session", planted.value)
    assert client.get("/").text == "nobody"


def test_reading_the_user_never_writes_the_session(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """A page that only looks sets no cookie."""
    sign_in(client, simulator)
    assert "Set-Cookie" not in client.get("/report").headers
    assert "Set-Cookie" not in client.get("/whoami").headers


# --- What cannot be read means signed out --------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("made up", id="made up"),
        pytest.param("AAAA", id="another version"),
        pytest.param("A" * 9000, id="long"),
        pytest.param("中文", id="not ASCII"),
        pytest.param(None, id="None"),
        pytest.param(7, id="a number"),
        pytest.param({"a": 1}, id="a dict"),
    ],
)
@pytest.mark.parametrize("key", ["_dingtalk", "_dingtalk_states"])
def test_what_cannot_be_read_means_signed_out(client: FlaskClient, key: str, text: Any) -> None:
    """It is never an error, and the next sign-in works."""
    with client.session_transaction() as session:
        session[key] = text
    assert client.get("/").text == "nobody"
    assert client.get("/report").status_code == 302
    assert client.get("/dingtalk/login").status_code == 302


def test_a_changed_byte_means_signed_out(client: FlaskClient, simulator: DingTalkSimulator) -> None:
    """Somebody may edit a server-side store."""
    sign_in(client, simulator)
    with client.session_transaction() as session:
        sealed = session["_dingtalk"]
        session["_dingtalk"] = sealed[:50] + ("A" if sealed[50] != "A" else "B") + sealed[51:]
    assert client.get("/").text == "nobody"


def test_a_session_of_another_application_means_signed_out(
    app: Flask, simulator: DingTalkSimulator
) -> None:
    """Even with the same SECRET_KEY: the key is bound to the Client ID."""
    client = app.test_client()
    sign_in(client, simulator)
    neighbour = build_site(
        simulator.settings | {"DINGTALK_CLIENT_ID": "dingother", "SECRET_KEY": SECRET_KEY}
    ).test_client()
    with neighbour.session_transaction() as session:
        session.update(session_of(client))
    assert neighbour.get("/").text == "nobody"


def test_what_was_sealed_for_one_purpose_opens_for_no_other(client: FlaskClient) -> None:
    """A state is no user, although both are sealed with the same secret."""
    state = start(client)
    with client.session_transaction() as session:
        session["_dingtalk"] = state
    assert client.get("/").text == "nobody"


# --- Keys ----------------------------------------------------------------------------------------


@pytest.fixture
def rotate(
    make_app: AppFactory, simulator: DingTalkSimulator
) -> Callable[..., tuple[FlaskClient, dict[str, Any]]]:
    """Sign in with one set of keys, then open the session with another."""

    def rotate(**keys: Any) -> tuple[FlaskClient, dict[str, Any]]:
        old = make_app(SECRET_KEY="old").test_client()
        sign_in(old, simulator)
        kept = session_of(old)
        new = make_app(**keys).test_client()
        with new.session_transaction() as session:
            session.update(kept)
        return new, kept

    return rotate


def test_another_secret_key_means_signed_out(rotate: Callable[..., Any]) -> None:
    """Nothing else may open what it sealed."""
    client, _ = rotate(SECRET_KEY="new")
    assert client.get("/").text == "nobody"


def test_a_fallback_key_still_opens(rotate: Callable[..., Any]) -> None:
    """SECRET_KEY can be rotated without signing everybody out."""
    client, _ = rotate(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["older", "old"])
    assert client.get("/").text == "张三"


def test_new_sessions_are_sealed_with_the_new_key(
    make_app: AppFactory, simulator: DingTalkSimulator
) -> None:
    """So that a fallback can be dropped one day."""
    rotated = make_app(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["old"]).test_client()
    sign_in(rotated, simulator)
    later = make_app(SECRET_KEY="new").test_client()
    with later.session_transaction() as session:
        session.update(session_of(rotated))
    assert later.get("/").text == "张三"


def test_a_secret_key_of_bytes_works(make_app: AppFactory, simulator: DingTalkSimulator) -> None:
    """As Flask allows it."""
    client = make_app(SECRET_KEY=b"\x00\xffbytes").test_client()
    sign_in(client, simulator)
    assert client.get("/").text == "张三"


def test_a_key_that_changes_while_the_app_runs_is_noticed(
    app: Flask, simulator: DingTalkSimulator
) -> None:
    """The process does not remember a user longer than the key that sealed it."""
    client = app.test_client()
    sign_in(client, simulator)
    kept = session_of(client)
    app.config["SECRET_KEY"] = "another"
    with client.session_transaction() as session:
        session.update(kept)
    assert client.get("/").text == "nobody"


# --- Size ----------------------------------------------------------------------------------------


def typical_user(simulator: DingTalkSimulator) -> None:
    """Open an account with a profile of typical size."""
    simulator.add_user(
        "typical",
        nick=TYPICAL["nick"],
        avatar_url=TYPICAL["avatarUrl"],
        mobile=TYPICAL["mobile"],
        email=TYPICAL["email"],
        union_id=TYPICAL["unionId"],
        open_id=TYPICAL["openId"],
    )


def test_the_cookie_of_a_typical_user_has_at_most_600_bytes(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Every request carries it."""
    typical_user(simulator)
    sign_in(client, simulator, "typical")
    assert cookie_bytes(client) <= 600


def test_twenty_abandoned_sign_ins_leave_it_at_most_1000_bytes(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Their number is limited, whatever their ``next``."""
    typical_user(simulator)
    sign_in(client, simulator, "typical")
    for number in range(20):
        start(client, next=f"/a/long/way/to/page/{number}" + "/x" * 50)
    assert cookie_bytes(client) <= 1000


def test_the_cookie_of_a_long_profile_fits_into_what_browsers_accept(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """Browsers drop one over 4,093 bytes without a word."""
    simulator.add_user(
        "long",
        nick="龘" * 64,
        avatar_url="https://static-legacy.dingtalk.com/media/"
        + "".join(map(chr, range(48, 123))) * 9,
        email="x" * 64 + "@" + "y" * 180 + ".example",
    )
    sign_in(client, simulator, "long")
    assert cookie_bytes(client) < 4093
    assert client.get("/").text == "龘" * 64


def test_undocumented_fields_are_dropped_before_a_sign_in_is_refused(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """DingTalk may add a field at any time, of any size."""
    noise = random.Random(1).randbytes(3500).hex()
    profile = TYPICAL | {"newField": noise}
    simulator.fail("users/me", body=json.dumps(profile))
    assert sign_in(client, simulator).status_code == 302
    assert client.get("/").text == TYPICAL["nick"]


def test_what_does_not_fit_into_a_cookie_is_refused_at_sign_in(
    app: Flask, simulator: DingTalkSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """With a hint at server-side sessions, and nothing lost."""
    client = app.test_client()
    noise = random.Random(1).randbytes(2400).hex()
    with client.session_transaction() as session:
        session["basket"] = noise
    assert cookie_bytes(client) < 4093
    response = sign_in(client, simulator)
    assert response.status_code == 500
    assert "configuration_error" in response.text
    assert "Flask-Session" in caplog.text
    assert client.get("/").text == "nobody"
    assert client.get("/basket").json == noise


def test_who_was_admitted_can_still_sign_in_again(app: Flask, simulator: DingTalkSimulator) -> None:
    """Room for the states of later sign-ins is kept free in the cookie."""
    outcomes = set()
    for size in range(1900, 2500, 40):
        client = app.test_client()
        with client.session_transaction() as session:
            session["basket"] = random.Random(1).randbytes(size).hex()
        status = sign_in(client, simulator).status_code
        outcomes.add(status)
        # How far random texts compress differs by some bytes from one sign-in to the next.
        if status == 302 and cookie_bytes(client) < 3820:
            for _ in range(6):
                start(client)
            assert cookie_bytes(client) <= 4093
            assert sign_in(client, simulator).status_code == 302
    assert outcomes == {302, 500}


def test_a_site_that_fills_the_cookie_itself_is_told_before_the_way_to_dingtalk(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    """The state would not come back."""

    @app.get("/fill")
    def fill() -> str:
        from flask import session

        session["basket"] = random.Random(1).randbytes(2605).hex()
        return ""

    client = app.test_client()
    client.get("/fill")
    response = client.get("/dingtalk/login")
    assert response.status_code == 500
    assert "configuration_error" in response.text
    assert "Flask-Session" in caplog.text


def test_a_store_that_fails_to_renew_the_id_signs_nobody_in(
    make_app: AppFactory, simulator: DingTalkSimulator, tmp_path: Any
) -> None:
    """Otherwise the session would go on under an id that somebody may have planted."""
    from cachelib import FileSystemCache
    from flask_session import Session

    app = make_app(
        SESSION_TYPE="cachelib", SESSION_CACHELIB=FileSystemCache(str(tmp_path), threshold=0)
    )
    app.testing = False
    Session(app)

    def broken(session: Any) -> None:
        raise ConnectionError("the store is away")

    app.session_interface.regenerate = broken  # type: ignore[attr-defined]
    client = app.test_client()
    assert sign_in(client, simulator).status_code == 500
    assert client.get("/").text == "nobody"


@pytest.mark.parametrize("session_settings", ["files", "redis"], indirect=True)
def test_a_large_session_is_no_problem_on_the_server(
    make_app: AppFactory,
    session_settings: Callable[[Flask], Flask],
    simulator: DingTalkSimulator,
) -> None:
    """Only a cookie has that limit."""
    app = session_settings(make_app())
    client = app.test_client()
    with client.session_transaction() as session:
        session["basket"] = "x" * 50_000
    assert sign_in(client, simulator).status_code == 302
    assert client.get("/").text == "张三"


# --- Whatever DingTalk may send comes back out ---------------------------------------------------

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3)
    ),
    max_leaves=6,
)
USERS = st.builds(
    DingTalkUser,
    union_id=st.text(min_size=1),
    open_id=st.none() | st.text(min_size=1),
    nick=st.none() | st.text(),
    avatar_url=st.none() | st.text(),
    mobile=st.none() | st.text(),
    state_code=st.none() | st.text(),
    email=st.none() | st.text(),
    corp_id=st.none() | st.text(),
    user_id=st.none() | st.text(),
    raw=st.dictionaries(st.text(), JSON_VALUES, max_size=4),
)
TOKENS = st.builds(
    DingTalkToken,
    access_token=st.text(min_size=1),
    refresh_token=st.none() | st.text(min_size=1),
    expires_at=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(
        lambda moment: moment.replace(microsecond=0)
    ),
    corp_id=st.none() | st.text(),
)


@pytest.fixture(scope="module")
def writer() -> Flask:
    """Build a site that needs no DingTalk."""
    return build_site({"SECRET_KEY": "k", "DINGTALK_CLIENT_ID": "a", "DINGTALK_CLIENT_SECRET": "b"})


@pytest.fixture(scope="module")
def reader() -> Flask:
    """Build the same site again, as another process would."""
    return build_site({"SECRET_KEY": "k", "DINGTALK_CLIENT_ID": "a", "DINGTALK_CLIENT_SECRET": "b"})


@given(user=USERS, token=st.none() | TOKENS)
@examples(150)
def test_every_user_and_token_come_back_out_of_the_session_as_they_went_in(
    writer: Flask, reader: Flask, user: DingTalkUser, token: DingTalkToken | None
) -> None:
    """Each field, and what DingTalk sent."""
    from flask_dingtalk import current_dingtalk_user

    client = signed_in(writer.test_client(), user, token)
    sealed = session_of(client)
    with reader.test_request_context():
        from flask import session

        session.update(sealed)
        assert current_dingtalk_user == user
        assert json.dumps(current_dingtalk_user.raw) == json.dumps(user.raw)
        assert reader.extensions["dingtalk"].token == token


@given(st.text() | st.binary().map(lambda data: data.hex()))
@examples(100)
def test_no_text_in_the_session_is_ever_an_error(reader: Flask, text: str) -> None:
    """Neither as user nor as sign-ins under way."""
    client = reader.test_client()
    with client.session_transaction() as session:
        session["_dingtalk"] = session["_dingtalk_states"] = text
    assert client.get("/").text == "nobody"
    assert client.get("/dingtalk/login").status_code == 302
    assert come_back(client, "made-up", "code").status_code == 400


def test_flasks_cookie_shows_only_sealed_text(
    client: FlaskClient, simulator: DingTalkSimulator
) -> None:
    """The decoded cookie contains nothing readable."""
    sign_in(client, simulator)
    cookie = client.get_cookie("session")
    assert cookie is not None
    payload = cookie.value.lstrip(".").split(".")[0]
    data = base64_decode(payload)
    plain = zlib.decompress(data) if cookie.value.startswith(".") else data
    for secret in simulator.secrets:
        assert secret.encode() not in plain


def test_a_token_for_unit_tests_needs_no_server(client: FlaskClient) -> None:
    """``signed_in`` takes one."""
    token = DingTalkToken("a" * 32, "b" * 32, datetime.now(UTC) + timedelta(hours=2), "ding1")
    signed_in(client, DingTalkUser(union_id="u", nick="李"), token)
    whoami = client.get("/whoami").json
    assert whoami is not None
    assert (whoami["nick"], whoami["has_token"]) == ("李", True)


@pytest.mark.parametrize("secret", [None, "", 12345], ids=["missing", "empty", "a number"])
def test_without_a_secret_key_the_app_does_not_start(make_app: AppFactory, secret: Any) -> None:
    """Sealing needs one, and the error names it."""
    with pytest.raises(ConfigurationError, match="SECRET_KEY"):
        make_app(SECRET_KEY=secret)


def test_fallbacks_have_to_be_a_list(make_app: AppFactory) -> None:
    """A single text would count as a list of its letters."""
    with pytest.raises(ConfigurationError, match="SECRET_KEY_FALLBACKS"):
        make_app(SECRET_KEY_FALLBACKS="old")
