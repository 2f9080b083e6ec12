"""The Monday rush: a thousand people sign in within half a minute.

DingTalk allows an application 20 calls a second on each API and refuses the others, so that the
last one of a thousand cannot be in before 50 s have passed. The site runs under gunicorn. Somebody
who is signed in already loads a guarded page all the while, before the rush and during it.

People start at random moments, stay a moment at DingTalk and come back. Where the site answers with
a page that loads itself again, their browsers do that; after any other failure they have to start
over, and do. The targets are for the rush as it is by default.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import resource
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from _browsers import CALLBACK
from _dingtalk import EXCHANGE, USER, Call, DingTalk, code_of
from _processes import gunicorn, redis_server
from _shared import PATH, Row, print_table
from _sites import API, STORE
from _visitors import Answer, Browser

#: Seconds that a call to DingTalk takes.
_CALL: Final = 0.04
#: Seconds that somebody is busy at DingTalk, at least and at most.
_AT_DINGTALK: Final = (0.5, 2.0)
#: Loads of the guarded page in a second.
_PAGE_RATE: Final = 20
#: Seconds that the site may take to start.
_START: Final = 30.0
#: Seconds until each worker has served the guarded page, and is as fast as it gets.
_WARM_UP: Final = 2.0
#: Seconds that the guarded page is loaded before the rush.
_IDLE: Final = 10.0
_SHARES: Final = {"p50": 0.5, "p99": 0.99}
#: Who loads the guarded page.
READER: Final = "reader"
#: A font with Chinese characters; Debian's fonts-noto-cjk has it.
_CHINESE_FONT: Final = "Noto Sans CJK SC"
#: In the place of a store's address: start one.
OWN: Final = "own"


@dataclass(frozen=True)
class Plan:
    """One rush: how many people in how many seconds, and the site that they want to enter."""

    people: int = 1000
    seconds: float = 30
    #: What DingTalk allows in a second, on each API.
    limit: int = 20
    workers: int = 2
    threads: int = 8
    #: The address of a Redis, or ``own`` to have one started.
    store: str | None = None
    #: Seconds after which those who are not in are given up.
    patience: float = 240


@dataclass
class Visit:
    """One person's way in; moments are seconds since the rush began."""

    name: str
    arrived: float
    signed_in: float | None = None
    started_over: int = 0
    #: The page showed somebody else's name.
    mistaken: bool = False


@dataclass(frozen=True)
class Load:
    """One load of the guarded page; the moment is the one that it was due."""

    moment: float
    seconds: float
    #: How late the browser itself was, in seconds, which the site cannot help.
    late: float


@dataclass
class Rush:
    """What happened; moments are seconds since the rush began, and negative before it."""

    plan: Plan
    visits: list[Visit] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)
    #: Answers with status 503, as moments.
    unavailable: list[float] = field(default_factory=list)
    #: Loads of the guarded page that showed anything but the visitor's own name.
    wrong_pages: int = 0
    duration: float = 0
    #: Seconds of processor time: visitors and DingTalk, which share a process, during the rush; the
    #: site from its start to its end.
    own_processor_time: float = 0
    site_processor_time: float = 0

    @property
    def signed_in(self) -> list[Visit]:
        """Those who are in, as themselves."""
        return [each for each in self.visits if each.signed_in is not None and not each.mistaken]

    @property
    def mistakes(self) -> int:
        """How often somebody saw another name than their own."""
        return sum(visit.mistaken for visit in self.visits) + self.wrong_pages

    @property
    def fresh_starts(self) -> int:
        """How often somebody had to start over."""
        return sum(visit.started_over for visit in self.visits)

    @property
    def last_in(self) -> float:
        """When the last one was in; infinite if somebody never was."""
        return max(
            float("inf") if visit.signed_in is None else visit.signed_in for visit in self.visits
        )

    def busiest_second(self, api: str) -> int:
        """Return the most calls of an API in any second, wherever it begins."""
        moments = [call.moment for call in self.calls if call.api == api]
        most = first = 0
        for last, moment in enumerate(moments):
            while moments[first] <= moment - 1:
                first += 1
            most = max(most, last - first + 1)
        return most

    def latencies(self, *, during: bool) -> list[float]:
        """Return how long the guarded page took, in order of length, in seconds."""
        return sorted(load.seconds for load in self.loads if (load.moment >= 0) == during)


async def run(plan: Plan) -> Rush:
    """Let the rush happen; return what did."""
    dingtalk = DingTalk(_CALL, plan.limit)
    await dingtalk.start()
    environment = {API: dingtalk.url, "NO_PROXY": "*"}
    with redis_server() if plan.store == OWN else nullcontext(plan.store) as store:
        if store is not None:
            environment[STORE] = store
        elif plan.store is not None:
            raise RuntimeError("redis-server is not installed")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with gunicorn("names", environment, workers=plan.workers, threads=plan.threads) as port:
            rush = await _Crowd(plan, port).gather(dingtalk)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    dingtalk.stop()
    rush.site_processor_time = sum(after[:2]) - sum(before[:2])
    return rush


class _Crowd:
    def __init__(self, plan: Plan, port: int) -> None:
        self._plan = plan
        self._port = port
        self._random = random.Random(1)
        self._rush = Rush(plan)
        self._began = time.monotonic()

    async def gather(self, dingtalk: DingTalk) -> Rush:
        rush, plan = self._rush, self._plan
        reader = Browser(self._port)
        await asyncio.wait_for(self._enter(reader, Visit(READER, 0)), _START)
        idle = min(_IDLE, 2 * plan.seconds)
        watching = asyncio.create_task(self._watch(reader))
        await asyncio.sleep(_WARM_UP)
        rush.loads.clear()
        self._began = time.monotonic() + idle
        await asyncio.sleep(idle)

        dingtalk.calls.clear()
        rush.unavailable.clear()
        used = time.process_time()
        arrivals = sorted(self._random.uniform(0, plan.seconds) for _ in range(plan.people))
        rush.visits = [Visit(f"person{n}", arrived) for n, arrived in enumerate(arrivals)]
        entering = [asyncio.create_task(self._arrive(visit)) for visit in rush.visits]
        await asyncio.wait(entering, timeout=plan.patience)
        rush.duration = self._now()
        rush.own_processor_time = time.process_time() - used

        for task in (*entering, watching):
            task.cancel()
        for end in await asyncio.gather(*entering, watching, return_exceptions=True):
            if isinstance(end, Exception):
                # A mistake of this script, and nothing that a site may answer.
                raise end
        began = self._began
        rush.calls = [Call(call.moment - began, call.api, call.refused) for call in dingtalk.calls]
        return rush

    async def _arrive(self, visit: Visit) -> None:
        await asyncio.sleep(visit.arrived - self._now())
        await self._enter(Browser(self._port), visit)

    async def _enter(self, browser: Browser, visit: Visit) -> None:
        """Go the whole way, from the start as often as need be."""
        while True:
            pause = 1.0
            try:
                answer = await self._sign_in(browser, visit.name)
                if answer.status == 200:
                    visit.mistaken = answer.body != visit.name
                    visit.signed_in = self._now()
                    return
                pause = answer.retry_after
            except OSError as error:
                print(f"{visit.name}: {error}", file=sys.stderr)
            visit.started_over += 1
            # Nobody presses a button at once.
            await asyncio.sleep(pause + self._random.uniform(0, 1))

    async def _sign_in(self, browser: Browser, name: str) -> Answer:
        """Return the guarded page, or the answer that there was instead."""
        answer = await self._load(browser, PATH)
        if answer.status != 302:
            return answer
        answer = await self._load(browser, answer.location)
        if answer.status != 302:
            return answer
        state = parse_qs(urlsplit(answer.headers["location"]).query)["state"][0]
        await asyncio.sleep(self._random.uniform(*_AT_DINGTALK))
        code = code_of(name)
        query = urlencode({"code": code, "authCode": code, "state": state})
        answer = await self._load(browser, f"{CALLBACK}?{query}")
        if answer.status != 302:
            return answer
        return await self._load(browser, answer.location)

    async def _load(self, browser: Browser, target: str) -> Answer:
        """Load a page, again and again while it asks for that."""
        while True:
            answer = await browser.get(target)
            if answer.status == 503:
                self._rush.unavailable.append(self._now())
            if answer.reload is None:
                return answer
            pause, target = answer.reload
            await asyncio.sleep(pause)

    async def _watch(self, reader: Browser) -> None:
        """Load the guarded page steadily, whether or not the load before is over."""
        due = time.monotonic()
        async with asyncio.TaskGroup() as loads:
            while True:
                loads.create_task(self._read(reader, due))
                due += 1 / _PAGE_RATE
                await asyncio.sleep(due - time.monotonic())

    async def _read(self, reader: Browser, due: float) -> None:
        late = time.monotonic() - due
        name = None
        try:
            name = (await reader.get(PATH)).body
        except OSError as error:
            print(f"The guarded page: {error}", file=sys.stderr)
        finally:
            # Also what is still under way at the end has taken that long.
            self._rush.loads.append(Load(due - self._began, time.monotonic() - due, late))
        self._rush.wrong_pages += name != READER

    def _now(self) -> float:
        """Return the seconds since the rush began."""
        return time.monotonic() - self._began


# --- What to show --------------------------------------------------------------------------------


def print_rush(rush: Rush) -> None:
    """Print what happened, beside the targets."""
    plan = rush.plan
    print(
        f"{plan.people:,} people in {plan.seconds:g} s; {plan.workers} workers with {plan.threads} "
        f"threads; DingTalk allows {plan.limit} calls a second and takes {_CALL * 1000:.0f} ms\n"
    )
    print_table(
        "How it went",
        "count",
        [
            Row("signed in as themselves", len(rush.signed_in), target=plan.people, at_least=True),
            Row("pages with another name", rush.mistakes, target=0),
            Row("fresh starts", rush.fresh_starts, target=0),
            Row("answers with status 503", len(rush.unavailable)),
        ],
    )
    floor = plan.people / plan.limit
    print_table(
        "Time until everybody is in",
        "s",
        [
            Row("as many as DingTalk allows: the floor", floor, 1),
            Row("last one in", rush.last_in, rush.last_in / floor, 1.15 if plan.store else 1.3),
        ],
        decimals=1,
    )
    rows = []
    # With a store, all calls are known to all processes.
    most = plan.limit + 2 if plan.store else 2 * plan.limit - 1
    for api in (EXCHANGE, USER):
        refused = sum(call.refused for call in rush.calls if call.api == api)
        rows += [
            Row(f"{api}, busiest second", rush.busiest_second(api), target=most),
            Row(f"{api}, refused in all", refused),
        ]
    print_table("Calls to DingTalk", "calls", rows)
    idle, during = (rush.latencies(during=during) for during in (False, True))
    rows = []
    for name, share in _SHARES.items():
        floor, reached = at(idle, share), at(during, share)
        target = 3 if name == "p99" else None
        rows += [
            Row(f"{name} before the rush", floor * 1000, 1),
            Row(f"{name} during the rush", reached * 1000, reached / floor, target),
        ]
    late = sorted(load.late for load in rush.loads if load.moment >= 0)
    rows.append(Row("p99 of the browser's own delay, included", at(late, 0.99) * 1000))
    print_table(f"A guarded page, {_PAGE_RATE} a second", "ms", rows, decimals=1)
    print_table(
        "Processor time",
        "s",
        [
            Row(
                "visitors and DingTalk; the ratio is to the time that passed",
                rush.own_processor_time,
                rush.own_processor_time / rush.duration,
            ),
            Row("the site, its start included", rush.site_processor_time),
        ],
        decimals=1,
    )


def at(ordered: Sequence[float], share: float) -> float:
    """Return the value that this share of the values does not exceed."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def series(rush: Rush) -> list[dict[str, Any]]:
    """Return what happened in each second, from the first of the rush to its last."""
    seconds = []
    for second in range(math.ceil(rush.duration)):

        def within(moment: float, second: int = second) -> bool:
            return second <= moment < second + 1

        calls = [call for call in rush.calls if within(call.moment)]
        loads = sorted(load.seconds for load in rush.loads if within(load.moment))
        seconds.append(
            {
                "second": second,
                "waiting": sum(
                    visit.arrived < second + 1
                    and (visit.signed_in is None or visit.signed_in >= second + 1)
                    for visit in rush.visits
                ),
                "calls": {api: sum(call.api == api for call in calls) for api in (EXCHANGE, USER)},
                "refused": {
                    api: sum(call.api == api and call.refused for call in calls)
                    for api in (EXCHANGE, USER)
                },
                "unavailable": sum(within(moment) for moment in rush.unavailable),
                "guarded_p50": at(loads, 0.5) if loads else None,
                "guarded_worst": loads[-1] if loads else None,
            }
        )
    return seconds


def content(rush: Rush) -> dict[str, Any]:
    """Return the figures and what happened in each second, for JSON; times are in seconds."""
    idle, during = (rush.latencies(during=during) for during in (False, True))
    return {
        "plan": asdict(rush.plan) | {"store": rush.plan.store is not None},
        "signed_in": len(rush.signed_in),
        "mistakes": rush.mistakes,
        "fresh_starts": rush.fresh_starts,
        "last_in": rush.last_in if math.isfinite(rush.last_in) else None,
        "unavailable": len(rush.unavailable),
        "busiest_second": {api: rush.busiest_second(api) for api in (EXCHANGE, USER)},
        "guarded_before": {name: at(idle, share) for name, share in _SHARES.items()},
        "guarded_during": {name: at(during, share) for name, share in _SHARES.items()},
        "seconds": series(rush),
    }


@dataclass(frozen=True)
class Words:
    """The texts of the plot."""

    one_process: str = "one process"
    workers: str = "{} workers"
    store: str = " with a store"
    last_in: str = "last one in after {:.0f} s"
    waiting: str = "people on their way in"
    calls: str = "calls to DingTalk a second"
    limit: str = "what DingTalk allows"
    page: str = "a guarded page, ms"
    moment: str = "seconds since the rush began"


_ENGLISH: Final = Words()
_CHINESE: Final = Words(
    one_process="一个进程",
    workers="{} 个工作进程",
    store="加存储",
    last_in="最后一人在 {:.0f} 秒后登录",
    waiting="正在登录的人数",
    calls="每秒调用钉钉的次数",
    limit="钉钉的上限",
    page="受保护页面的耗时（毫秒）",
    moment="开始后的秒数",
)


def named(plan: Plan, words: Words = _ENGLISH) -> str:
    """Return a few words about the site of a plan."""
    several = words.workers.format(plan.workers)
    return (words.one_process if plan.workers == 1 else several) + (
        words.store if plan.store else ""
    )


def print_comparison(rushes: Sequence[Rush]) -> None:
    """Print the figures that matter, of several rushes side by side."""
    floor = rushes[0].plan.people / rushes[0].plan.limit
    tables: dict[tuple[str, str, int], list[Row]] = {
        ("Last one in; the ratio is to what DingTalk allows", "s", 1): [
            Row(named(rush.plan), rush.last_in, rush.last_in / floor) for rush in rushes
        ],
        (f"DingTalk's busiest second of {EXCHANGE}", "calls", 0): [
            Row(named(rush.plan), rush.busiest_second(EXCHANGE)) for rush in rushes
        ],
        ("Fresh starts", "count", 0): [Row(named(rush.plan), rush.fresh_starts) for rush in rushes],
        ("A guarded page during the rush, p99; the ratio is to before it", "ms", 1): [
            Row(named(rush.plan), during * 1000, during / idle)
            for rush in rushes
            for idle, during in [[at(rush.latencies(during=when), 0.99) for when in (False, True)]]
        ],
    }
    for (title, unit, decimals), rows in tables.items():
        print_table(title, unit, rows, decimals=decimals)


def plot(rushes: Sequence[Rush], path: Path) -> None:
    """Draw who waited, what DingTalk was asked, and how long the guarded page took.

    Each rush is a column, on the same scales. A second picture has Chinese texts, where there is a
    font for them.
    """
    # Its import takes as long as a small rush, and most runs draw nothing.
    from matplotlib import font_manager, rc_context

    _draw(rushes, _ENGLISH, path)
    if _CHINESE_FONT in font_manager.get_font_names():
        with rc_context({"font.family": [_CHINESE_FONT]}):
            _draw(rushes, _CHINESE, path.with_suffix(f".zh-CN{path.suffix}"))


def _draw(rushes: Sequence[Rush], words: Words, path: Path) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter, StrMethodFormatter

    figure = Figure(figsize=(max(4 * len(rushes), 8), 7.5), layout="constrained")
    rows = figure.subplots(3, len(rushes), sharex=True, sharey="row", squeeze=False)
    for rush, (people, calls, page) in zip(rushes, rows.T, strict=True):
        seconds = series(rush)
        moments = [entry["second"] for entry in seconds]
        waiting = [entry["waiting"] for entry in seconds]
        people.set_title(f"{named(rush.plan, words)}\n{words.last_in.format(rush.last_in)}")
        people.fill_between(moments, waiting, step="post", color="#1677ff", alpha=0.5)
        for api, style in ((EXCHANGE, "-"), (USER, ":")):
            number = [entry["calls"][api] for entry in seconds]
            calls.step(moments, number, style, where="post", label=api)
        calls.axhline(rush.plan.limit, color="black", linestyle="--", label=words.limit)
        page.plot(
            [load.moment for load in rush.loads],
            [load.seconds * 1000 for load in rush.loads],
            ".",
            markersize=2,
            color="#555555",
        )
        page.set_yscale("log")
        # 10 and 100, rather than powers.
        page.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        page.yaxis.set_minor_formatter(NullFormatter())
        page.set_xlabel(words.moment)
        for axes in (people, calls, page):
            axes.grid(visible=True, alpha=0.3)
    # Between the first and the last calls, below what DingTalk allows.
    rows[1][-1].legend(loc="lower center")
    (people, *_), (calls, *_), (page, *_) = rows
    people.set_ylabel(words.waiting)
    calls.set_ylabel(words.calls)
    calls.set_ylim(bottom=0)
    page.set_ylabel(words.page)
    page.set_ylim(1, max(100, page.get_ylim()[1]))
    figure.savefig(path, dpi=100)


def main() -> None:
    """Let it happen, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description="People sign in, more than DingTalk allows.")
    for option in fields(Plan):
        kind = str if option.name == "store" else type(option.default)
        parser.add_argument(f"--{option.name}", type=kind, default=option.default)
    parser.add_argument(
        "--compare", action="store_true", help="one process, four workers, and those with a store"
    )
    parser.add_argument("--json", type=Path, help="write what happened in each second")
    parser.add_argument("--plot", type=Path, help="draw it (needs the extra bench)")
    asked = vars(parser.parse_args())
    compares, json_path, plot_path = (asked.pop(name) for name in ("compare", "json", "plot"))
    if plot_path is not None and find_spec("matplotlib") is None:
        parser.error("--plot needs matplotlib")
    # The site's processes end with this one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    plans = [Plan(**asked)]
    if compares:
        plans = [
            replace(plans[0], workers=workers, store=store)
            for workers, store in ((1, None), (4, None), (4, plans[0].store or OWN))
        ]
    rushes = []
    for plan in plans:
        rush = asyncio.run(run(plan))
        print_rush(rush)
        rushes.append(rush)
    if compares:
        print_comparison(rushes)
    if json_path is not None:
        text = json.dumps([content(rush) for rush in rushes], indent=1)
        json_path.write_text(text + "\n", encoding="utf-8")
    if plot_path is not None:
        plot(rushes, plot_path)


if __name__ == "__main__":
    main()
