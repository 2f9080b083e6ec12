"""For how long callers are kept waiting for what they can do without."""

from __future__ import annotations

import pytest

from flask_dingtalk.patience import Patience


def test_one_caller_has_all_of_it() -> None:
    """Again and again, if it was hardly needed."""
    patience = Patience(1.5)
    for now in range(10):
        seconds = patience.take(float(now))
        assert seconds == pytest.approx(1.5)
        patience.give_back(seconds - 0.01)


def test_in_a_crowd_only_the_first_one_waits() -> None:
    """The others would hold a thread each."""
    patience = Patience(1.5)
    assert patience.take(100.0) == 1.5
    assert [patience.take(100.0) for _ in range(5)] == [0.0] * 5


def test_what_was_used_up_comes_back_slowly() -> None:
    """A tenth of the time at most is spent on waiting, and never more than there was at first."""
    patience = Patience(1.5)
    patience.take(100.0)
    patience.give_back(-0.2)
    assert patience.take(105.0) == pytest.approx(0.5)
    assert patience.take(1000.0) == 1.5


def test_who_asks_with_an_earlier_moment_takes_nothing_away() -> None:
    """Two threads may look at the clock in one order and come in the other."""
    patience = Patience(1.5)
    patience.give_back(patience.take(100.0))
    assert patience.take(99.0) == 1.5
