"""What DingTalk pushes: its encryption, its spellings, and bodies that are not DingTalk's.

The vectors are spelled out, with no name taken from the code under test.
"""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_dingtalk.api.event_push import EventCipher, MalformedPush
from flask_dingtalk.api.events import Effect, Event
from flask_dingtalk.errors import NotPermitted

from .made_up import examples

TOKEN: Final = "ExampleToken1"
AES_KEY: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFE"
OWNER: Final = "dingexampleclientid1"
CIPHER: Final = EventCipher(TOKEN, AES_KEY, OWNER)
NOW: Final = 1760000000.5

CHECK_URL: Final = {
    "random": b"0123456789ABCDEF",
    "message": b'{"EventType":"check_url"}',
    "timestamp": "1760000000000",
    "nonce": "aB3dE6gH",
    "encrypt": "6Wy3FTppMhv6/tbz18f2HpVxuwnfnaRhTlrgcQohax8myS/aN8RSt3MYbaJ4"
    "tcCQTibrHtCJFuDgUcwV8hOg"
    "/9lkJ6lFBPJfhYZivBKCr3KJnWXNCQ6TrIXVF461Tk/U",
    "signature": "0b5f69ff8185cfac0ca246383b0b91c2b2bddb15",
}
LEAVE: Final = {
    "random": b"ABCDEF0123456789",
    "message": b'{"CorpId":"dingexamplecorp1","EventType":"user_leave_org","UserId":["user0001"],'
    b'"OptStaffId":"manager0001","TimeStamp":"1760000000100"}',
    "timestamp": "1760000000123",
    "nonce": "jK5mN8pQ",
    "encrypt": "oRMNZXwMdTlp0DUs0WKq3Bs4LuBuwsCh9+OgljMkE1IeimohEpCZ5cw0zP6A"
    "eGVePJeQhxoH1HkYvdvjwSdx"
    "S1ctbS3ANXSCP2S3sIMiChi9jJy7gp6F3cvvTgcKFzWbLZNktDfttRaDTKJWdhybW55GGbnzS32/j3bGiNe5TD/B1XuT"
    "AAXcH7rs2BjWKzhkbM7+0pOBB1dOkffMxrzAi9eoyQpXlOsvBR096GJv+y7jiFDJY+B2H04CPe5QeH9O",
    "signature": "1ef2dcda3ea9adf77b2a3fa0786db02ade98c4c4",
}
SUCCESS: Final = {
    "random": b"FEDCBA9876543210",
    "message": b"success",
    "timestamp": "1760000000456",
    "nonce": "QrStUvWxYz012345",
    "encrypt": "0KFYhnlgKL/MTHCKaO4wSVMPBKo6abG/KhRRNmBwuLso5pwBa6OHHGjESP/X"
    "s5tG7Trz0JOIkB0bQz1Q1rva"
    "0w==",
    "signature": "785e0eea809618070a99cb682953f2f533877644",
}
VECTORS: Final = [
    pytest.param(CHECK_URL, id="check_url"),
    pytest.param(LEAVE, id="user_leave_org"),
    pytest.param(SUCCESS, id="success"),
]


def query_of(vector: dict[str, Any], *names: str) -> dict[str, str]:
    """Return the query of a push, with the signature under these names."""
    signatures = dict.fromkeys(names or ("msg_signature", "signature"), vector["signature"])
    return {**signatures, "timestamp": vector["timestamp"], "nonce": vector["nonce"]}


def body_of(vector: dict[str, Any]) -> bytes:
    """Return the body of a push."""
    return json.dumps({"encrypt": vector["encrypt"]}).encode()


def signed(encrypted: str, timestamp: str = "1760000000000") -> tuple[dict[str, str], bytes]:
    """Return query and body with a right signature for any text."""
    signature = CIPHER.sign(timestamp, "n", encrypted)
    query = {"signature": signature, "timestamp": timestamp, "nonce": "n"}
    return query, json.dumps({"encrypt": encrypted}).encode()


def pushed(message: bytes) -> Event:
    """Return the event of a message that DingTalk pushes."""
    return CIPHER.open(*signed(CIPHER.encrypt(message)), NOW)


# --- The encryption ------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS)
def test_messages_are_sealed_as_the_vectors_say(vector: dict[str, Any]) -> None:
    """With the random bytes of a vector, cipher text and signature are the vector's."""
    encrypted = CIPHER.encrypt(vector["message"], vector["random"])
    assert encrypted == vector["encrypt"]
    signature = CIPHER.sign(vector["timestamp"], vector["nonce"], encrypted)
    assert signature == vector["signature"]


@pytest.mark.parametrize("vector", VECTORS)
@pytest.mark.parametrize("aes_key", [AES_KEY, AES_KEY[:-1] + "G"])
def test_the_stray_bits_of_the_key_do_not_matter(vector: dict[str, Any], aes_key: str) -> None:
    """The last character of the key carries two bits too many."""
    assert EventCipher(TOKEN, aes_key, OWNER).decrypt(vector["encrypt"]) == vector["message"]


@pytest.mark.parametrize("names", [("signature",), ("msg_signature",), ()])
def test_the_signature_has_two_names(names: tuple[str, ...]) -> None:
    """Either name will do, and both together."""
    event = CIPHER.open(query_of(LEAVE, *names), body_of(LEAVE), NOW)
    assert (event.type, event.user_ids) == ("user_leave_org", ("user0001",))


def test_base64_in_lines_is_read_and_signed_as_it_came() -> None:
    """DingTalk's Python sample breaks the text into lines and signs those."""
    lines = "\n".join((str(CHECK_URL["encrypt"])[:76], str(CHECK_URL["encrypt"])[76:], ""))
    assert CIPHER.open(*signed(lines), NOW).type == "check_url"


def test_the_answer_says_success_to_this_application() -> None:
    """It has the four fields that DingTalk reads, with a right signature."""
    answer = CIPHER.success(NOW)
    assert set(answer) == {"msg_signature", "timeStamp", "nonce", "encrypt"}
    assert answer["timeStamp"] == "1760000000500"
    assert CIPHER.decrypt(answer["encrypt"]) == b"success"
    assert answer["msg_signature"] == CIPHER.sign(
        answer["timeStamp"], answer["nonce"], answer["encrypt"]
    )


@given(st.binary(max_size=200), st.binary(min_size=16, max_size=16))
@examples(100)
def test_what_is_sealed_opens(message: bytes, random: bytes) -> None:
    """Messages of every length survive, whatever their padding."""
    assert CIPHER.decrypt(CIPHER.encrypt(message, random)) == message


# --- What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vector", "changed"),
    [
        pytest.param(LEAVE, {"signature": CHECK_URL["signature"]}, id="signature of another"),
        pytest.param(LEAVE, {"signature": str(LEAVE["signature"]).upper()}, id="upper case"),
        pytest.param(LEAVE, {"signature": ""}, id="empty"),
        pytest.param(LEAVE, {"signature": "ü\udcff"}, id="not even ASCII"),
        pytest.param(LEAVE, {"msg_signature": "0" * 40}, id="two that differ"),
        pytest.param(LEAVE, {"timestamp": "1760000000124"}, id="another time"),
        pytest.param(LEAVE, {"nonce": "jK5mN8pR"}, id="another nonce"),
    ],
)
def test_a_wrong_signature_is_refused(vector: dict[str, Any], changed: dict[str, str]) -> None:
    """Nothing that was signed may change."""
    with pytest.raises(NotPermitted, match="signature"):
        CIPHER.open({**query_of(vector), **changed}, body_of(vector), NOW)


def test_no_signature_is_refused() -> None:
    """A push without one is not from DingTalk."""
    query = {"timestamp": LEAVE["timestamp"], "nonce": LEAVE["nonce"]}
    with pytest.raises(NotPermitted, match="signature"):
        CIPHER.open({name: str(value) for name, value in query.items()}, body_of(LEAVE), NOW)


@pytest.mark.parametrize(
    "timestamp",
    ["1759996400000", "1760003601000", "", "now", "-1", "9" * 40, "１７６０００００００"],
)
def test_a_time_an_hour_off_is_refused(timestamp: str) -> None:
    """It may be a replay, even if its signature is right."""
    query, body = signed(str(LEAVE["encrypt"]), timestamp)
    with pytest.raises(NotPermitted, match="hour"):
        CIPHER.open(query, body, NOW)


@pytest.mark.parametrize("timestamp", ["1759996401000", "1760003600000"])
def test_a_time_within_the_hour_will_do(timestamp: str) -> None:
    """Clocks differ."""
    query, body = signed(str(LEAVE["encrypt"]), timestamp)
    assert CIPHER.open(query, body, NOW).type == "user_leave_org"


def test_an_event_for_another_application_is_refused() -> None:
    """The Client ID in the message has to be ours."""
    other = EventCipher(TOKEN, AES_KEY, "dingexampleclientid2")
    with pytest.raises(NotPermitted, match="another application"):
        CIPHER.open(*signed(other.encrypt(b'{"EventType":"org_change"}')), NOW)


def test_another_key_is_refused_with_the_setting_to_look_at() -> None:
    """The log says which setting is wrong."""
    other = EventCipher(TOKEN, AES_KEY[::-1], OWNER)
    with pytest.raises(NotPermitted) as caught:
        CIPHER.open(*signed(other.encrypt(b'{"EventType":"org_change"}', b"0" * 16)), NOW)
    assert "DINGTALK_EVENT_AES_KEY" in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"encrypt": null}',
        b'{"encrypt": ["6Wy3"]}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_no_push_is_malformed(body: bytes) -> None:
    """Anything but a JSON object with a text."""
    with pytest.raises(MalformedPush):
        CIPHER.open(query_of(LEAVE), body, NOW)


@pytest.mark.parametrize("encrypted", ["", "####", "QUJD", "ÄÖÜ", "\ud800", "AAAA" * 5])
def test_a_text_that_is_no_cipher_text_is_malformed(encrypted: str) -> None:
    """Also if somebody signed it."""
    with pytest.raises(MalformedPush):
        CIPHER.open(*signed(encrypted), NOW)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"success",
        b"[]",
        b"{}",
        b'{"EventType": 7}',
        b'{"EventType": ""}',
        b'{"EventType": "a\\nb"}',
        b"\xff",
        b'{"EventType": "org_change", "deep": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"EventType": "org_change", "number": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_message_that_is_no_event_is_malformed(message: bytes) -> None:
    """Also if it was encrypted with the right key."""
    with pytest.raises(MalformedPush):
        pushed(message)


PARAMETERS: Final = ("signature", "msg_signature", "timestamp", "nonce")
VALUES: Final = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
FIELDS: Final = ("UserId", "userid", "userIdList", "TimeStamp", "eventTime", "corpId", "eventId")


@given(
    st.dictionaries(st.sampled_from(PARAMETERS), st.text()),
    st.binary() | st.text().map(lambda text: json.dumps({"encrypt": text}).encode()),
)
@examples(100)
def test_anything_made_up_is_refused_in_one_of_two_ways(query: dict[str, str], body: bytes) -> None:
    """Whatever comes, it never fails in a third way."""
    with pytest.raises((NotPermitted, MalformedPush)):
        CIPHER.open(query, body, NOW)


@given(st.binary(max_size=200))
@examples(100)
def test_anything_signed_is_an_event_or_is_refused(data: bytes) -> None:
    """Bytes below a right signature do not get further."""
    with pytest.raises((NotPermitted, MalformedPush)):
        CIPHER.open(*signed(b64encode(data).decode()), NOW)


@given(
    st.dictionaries(st.sampled_from(FIELDS) | st.text(), VALUES | st.lists(VALUES), max_size=5),
    st.sampled_from(["user_leave_org", "label_user_change", "inner_app_status_change", "new"]),
)
@examples(100)
def test_every_authentic_event_can_be_read(fields: dict[str, Any], kind: str) -> None:
    """Whatever its fields are, its properties are of the promised kinds."""
    event = pushed(json.dumps({**fields, "EventType": kind}).encode())
    assert event.type
    assert all(0 < len(user_id) <= 64 for user_id in event.user_ids)
    assert event.time is None or event.time.tzinfo is UTC
    assert isinstance(event.effect, Effect)
    assert event.id


# --- What an event says --------------------------------------------------------------------------

OLD: Final = {
    "EventType": "user_leave_org",
    "CorpId": "dingcorp",
    "TimeStamp": "1645077203219",
    "UserId": ["0134"],
    "OptStaffId": "0113",
}
NEW: Final = {
    "EventType": "user_leave_org",
    "EventTime": 1645077203219,
    "CorpId": "dingcorp",
    "BizId": "1",
    "eventId": "e" * 32,
    "userId": ["0134"],
    "timeStamp": "1645077203000",
}


@pytest.mark.parametrize("fields", [OLD, NEW])
def test_both_spellings_say_the_same(fields: dict[str, Any]) -> None:
    """What the bodies of 2021 say, those of today say too."""
    event = pushed(json.dumps(fields).encode())
    assert (event.type, event.corp_id, event.user_ids) == ("user_leave_org", "dingcorp", ("0134",))
    assert event.time == datetime(2022, 2, 17, 5, 53, 23, 219000, tzinfo=UTC)
    assert event.data["userId"] == event.data["UserId"] == event.data.get("userid") == ("0134",)
    assert "USERID" in event.data
    assert event.effect is Effect.LEAVE


def test_a_frame_says_the_same() -> None:
    """By Stream the envelope is in the headers."""
    headers = {
        "topic": "*",
        "eventType": "user_leave_org",
        "eventId": "e" * 32,
        "eventCorpId": "dingcorp",
        "eventBornTime": "1645077203219",
    }
    event = Event.from_frame(headers, '{"timeStamp":"1645077203000","userId":["0134"]}')
    assert (event.type, event.corp_id, event.user_ids) == ("user_leave_org", "dingcorp", ("0134",))
    assert event.time == datetime(2022, 2, 17, 5, 53, 23, 219000, tzinfo=UTC)
    assert event.id == pushed(json.dumps(NEW).encode()).id


@pytest.mark.parametrize(
    ("fields", "user_ids"),
    [
        ({"UserId": "0134"}, ("0134",)),
        ({"userId": 134}, ("134",)),
        ({"userid": ["a", "b", "a"]}, ("a", "b")),
        ({"userIdList": ["a", 7, None, "", True, {}, "x" * 65]}, ("a", "7")),
        ({"userIdList": [], "staffId": "a"}, ("a",)),
        ({"DeptId": [1]}, ()),
    ],
)
def test_people_are_named_in_lists_or_alone(
    fields: dict[str, Any], user_ids: tuple[str, ...]
) -> None:
    """A single user id, a number, and what is no user id at all."""
    event = pushed(json.dumps({"EventType": "user_modify_org", **fields}).encode())
    assert event.user_ids == user_ids


@pytest.mark.parametrize(
    ("kind", "fields", "effect"),
    [
        ("user_leave_org", {"userId": ["a"]}, Effect.LEAVE),
        ("user_leave_org", {}, Effect.CHECK_ALL),
        ("org_remove", {}, Effect.ALL_LEAVE),
        ("inner_app_status_change", {"status": "disable"}, Effect.ALL_LEAVE),
        ("inner_app_status_change", {"status": "delete"}, Effect.ALL_LEAVE),
        ("inner_app_status_change", {"status": "enable"}, Effect.NONE),
        ("inner_app_status_change", {"status": ["disable"]}, Effect.NONE),
        ("user_modify_org", {"userId": ["a"]}, Effect.CHECK),
        ("user_add_org", {"userId": ["a"]}, Effect.CHECK),
        ("user_active_org", {"userId": ["a"]}, Effect.CHECK),
        ("org_admin_add", {"userId": ["a"]}, Effect.CHECK),
        ("org_admin_remove", {"userId": ["a"]}, Effect.CHECK),
        ("label_user_change", {"userIdList": ["a"], "labelIdList": [1]}, Effect.CHECK),
        ("label_user_change", {"labelIdList": [1]}, Effect.CHECK_ALL),
        ("org_dept_modify", {"deptId": [1]}, Effect.CHECK_ALL),
        ("label_conf_del", {"labelIdList": [1]}, Effect.CHECK_ALL),
        ("inner_app_scopes_change", {"userIds": ["a"]}, Effect.CHECK_ALL),
        ("org_change", {}, Effect.NONE),
        ("chat_update_title", {"userId": ["a"]}, Effect.NONE),
    ],
)
def test_what_an_event_means(kind: str, fields: dict[str, Any], effect: Effect) -> None:
    """Who leaves, who is checked again, and whom it does not concern."""
    assert pushed(json.dumps({"EventType": kind, **fields}).encode()).effect is effect


def test_a_delivery_that_comes_again_has_the_same_id() -> None:
    """With DingTalk's own id, or without one; another event has another."""
    without = {name: value for name, value in NEW.items() if name != "eventId"}
    for fields in (NEW, without):
        first = pushed(json.dumps(fields).encode())
        assert first.id == pushed(json.dumps(fields).encode()).id
        another = json.dumps({**fields, "EventType": "user_modify_org"}).encode()
        assert first.id != pushed(another).id
    assert pushed(json.dumps(without).encode()).id != pushed(json.dumps(OLD).encode()).id
