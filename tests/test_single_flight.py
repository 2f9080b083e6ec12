"""Work that several threads want at once is done once; errors are shared without tracebacks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from flask_dingtalk.errors import DingTalkError, DingTalkUnavailable, RateLimited
from flask_dingtalk.single_flight import SingleFlight

#: Seconds; nothing here takes nearly as long.
PATIENCE = 60.0


class Work:
    """Something slow: begins, says so, and ends when it is told to, as it is told to."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self.times = 0
        self.error: BaseException | None = None

    def __call__(self) -> str:
        """Do it."""
        self.times += 1
        self.begun.set()
        assert self.may_end.wait(PATIENCE)
        if self.error is not None:
            raise self.error
        return "done"


class Key:
    """Says how many threads have asked for work under it: each looks for it once."""

    def __init__(self) -> None:
        self._looked = threading.Semaphore(0)

    def __hash__(self) -> int:
        """Count a look."""
        self._looked.release()
        return 0

    def wait_for(self, threads: int) -> None:
        """Wait until so many threads found the work under way, or that there was none."""
        for _ in range(threads):
            assert self._looked.acquire(timeout=PATIENCE)


@pytest.fixture
def work() -> Work:
    """Have something slow to do."""
    return Work()


@pytest.fixture
def flights() -> SingleFlight[str]:
    """Have nothing under way."""
    return SingleFlight()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Have threads."""
    with ThreadPoolExecutor(8) as running:
        yield running


def waiting(
    pool: ThreadPoolExecutor, flights: SingleFlight[str], work: Work, number: int
) -> list[Future[str]]:
    """Begin the work, then have more threads wait for it; return all of their outcomes to come."""
    key = Key()
    first = pool.submit(flights.run, key, work, PATIENCE)
    assert work.begun.wait(PATIENCE)
    others = [pool.submit(flights.run, key, work, PATIENCE) for _ in range(number)]
    key.wait_for(1 + number)
    return [first, *others]


def test_those_who_ask_meanwhile_share_the_outcome(
    pool: ThreadPoolExecutor, flights: SingleFlight[str], work: Work
) -> None:
    """The work is done once."""
    outcomes = waiting(pool, flights, work, 5)
    work.may_end.set()
    assert ([outcome.result() for outcome in outcomes], work.times) == (["done"] * 6, 1)


def test_those_who_ask_later_start_it_again(flights: SingleFlight[str], work: Work) -> None:
    """Nothing is kept."""
    work.may_end.set()
    assert [flights.run("key", work, 1), flights.run("key", work, 1)] == ["done", "done"]
    assert work.times == 2


def test_other_keys_do_not_wait(
    pool: ThreadPoolExecutor, flights: SingleFlight[str], work: Work
) -> None:
    """Each key has separate work."""
    outcomes = waiting(pool, flights, work, 0)
    assert flights.run("another key", lambda: "at once", PATIENCE) == "at once"
    work.may_end.set()
    assert outcomes[0].result() == "done"


def test_who_waits_gives_up_after_their_patience(
    pool: ThreadPoolExecutor, flights: SingleFlight[str], work: Work
) -> None:
    """The one who does the work goes on."""
    first = pool.submit(flights.run, "key", work, PATIENCE)
    assert work.begun.wait(PATIENCE)
    with pytest.raises(DingTalkUnavailable) as caught:
        flights.run("key", work, 0.05)
    assert caught.value.code == 504
    work.may_end.set()
    assert (first.result(), work.times) == ("done", 1)


def traces(error: BaseException) -> list[Any]:
    """Return what an exception holds of where it came from."""
    frames = []
    step = error.__traceback__
    while step is not None:
        frames.append(step.tb_frame)
        step = step.tb_next
    return [frames, error.__cause__, error.__context__]


def test_each_who_waits_gets_an_error_without_traces_of_the_other_request(
    pool: ThreadPoolExecutor, flights: SingleFlight[str], work: Work
) -> None:
    """A report on one request must not contain data of another."""
    work.error = RateLimited("too much", retry_after=7, dingtalk_code="90018", hint="wait")
    work.error.__cause__ = ValueError("the first one's own")
    work.error.add_note("the first one's own")
    outcomes = waiting(pool, flights, work, 3)
    work.may_end.set()
    first, *others = (outcome.exception() for outcome in outcomes)
    assert first is work.error
    assert len({id(error) for error in others}) == 3
    own_frames = set(map(id, traces(first)[0]))
    for error in others:
        assert isinstance(error, RateLimited)
        assert (error.retry_after, error.dingtalk_code, str(error)) == (7, "90018", str(first))
        frames, cause, context = traces(error)
        assert (cause, context, getattr(error, "__notes__", [])) == (None, None, [])
        # A pool's own frame may stand in both; those of the work do not.
        assert not [frame for frame in frames if frame.f_code.co_name == "__call__"]
        assert not own_frames & set(map(id, frames))


class Killed(BaseException):
    """What a server raises into a request that takes too long."""


@pytest.mark.parametrize("error", [Killed(), ZeroDivisionError()], ids=["killed", "a bug"])
def test_when_the_one_who_works_is_killed_another_takes_over(
    pool: ThreadPoolExecutor, flights: SingleFlight[str], work: Work, error: BaseException
) -> None:
    """A bug, too, belongs to the request that ran into it."""
    work.error = error

    def recover() -> str:
        return "done by another"

    key = Key()
    first = pool.submit(flights.run, key, work, PATIENCE)
    assert work.begun.wait(PATIENCE)
    others = [pool.submit(flights.run, key, recover, PATIENCE) for _ in range(3)]
    key.wait_for(4)
    work.may_end.set()
    assert first.exception() is error
    assert [other.result() for other in others] == ["done by another"] * 3


def test_work_that_asks_for_itself_is_an_error_and_no_deadlock(flights: SingleFlight[str]) -> None:
    """It would wait for its own end."""

    def again() -> str:
        return flights.run("key", again, PATIENCE)

    with pytest.raises(RuntimeError, match="itself"):
        flights.run("key", again, PATIENCE)
    assert flights.run("key", lambda: "later", PATIENCE) == "later"


def test_work_may_ask_for_other_work(flights: SingleFlight[str]) -> None:
    """Of another key."""

    def outer() -> str:
        return flights.run("inner", lambda: "inner", PATIENCE)

    assert flights.run("outer", outer, PATIENCE) == "inner"


def failing(error: DingTalkError) -> Callable[[], str]:
    """Return work that fails so."""

    def work() -> str:
        raise error

    return work


def test_an_error_of_the_work_is_raised_as_it_is(flights: SingleFlight[str]) -> None:
    """To the one who did it."""
    error = DingTalkUnavailable("down")
    with pytest.raises(DingTalkUnavailable) as caught:
        flights.run("key", failing(error), PATIENCE)
    assert caught.value is error
