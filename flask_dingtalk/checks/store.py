"""Whether the store can be reached and written, and whether it keeps what it was given."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from functools import partial

from ..app_state import AppState
from ..errors import StoreUnavailable
from ..store.link import Link
from .findings import Finding, Verdict

_finding = partial(Finding, "store")

#: Writes a key that ends by itself, reads and deletes it.
_TRY = """
redis.call('SET', KEYS[1], ARGV[1], 'EX', 10)
local value = redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1])
return value
"""


def store_findings(state: AppState) -> Iterator[Finding]:
    """Yield what can be said of the store, or that there is none."""
    store = state.store
    if store is None:
        yield _finding(
            "store", Verdict.OK, value="none, which is enough for a site that runs in one process"
        )
        return
    word = secrets.token_hex(8)
    try:
        answer = store.link.evaluate(_TRY, f"dingtalk:check:{word}", word)
    except StoreUnavailable as error:
        hint = error.hint or "start it, or correct DINGTALK_STORE"
        yield _finding(
            "store",
            Verdict.FAILED,
            problem=f"It cannot be used: {error.detail}.",
            cure=f"{hint[0].upper()}{hint[1:]}.",
        )
        return
    if answer != word.encode():
        yield _finding(
            "store",
            Verdict.FAILED,
            problem="It does not keep what is written to it.",
            cure="Give the address of a Redis or Valkey.",
        )
        return
    yield _finding("store", Verdict.OK, value="can be reached and written")
    yield _eviction(store.link)


def _eviction(link: Link) -> Finding:
    name = "maxmemory-policy of the store"
    try:
        said = link.run("INFO", "memory")
    except StoreUnavailable:
        said = b""
    facts = dict(
        line.split(":", 1)
        for line in (said.decode("utf-8", "replace") if isinstance(said, bytes) else "").split()
        if ":" in line
    )
    policy, limit = facts.get("maxmemory_policy"), facts.get("maxmemory", "0")
    if policy is None:
        return _finding(
            name,
            Verdict.UNKNOWN,
            problem="This user of the store may not ask for it.",
            cure="See to it that it is noeviction.",
        )
    if policy == "noeviction" or limit == "0":
        return _finding(name, Verdict.OK, value=policy if limit != "0" else f"{policy}, no limit")
    return _finding(
        name,
        Verdict.WARNING,
        value=policy,
        problem="A full store forgets sign-ins before their time.",
        cure="Set maxmemory-policy to noeviction, and leave this store to sign-ins alone.",
    )
