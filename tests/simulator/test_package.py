"""What `flask_dingtalk.testing` exports."""

from __future__ import annotations

import pytest

from flask_dingtalk import testing
from flask_dingtalk.testing import DingTalkSimulator


def test_exports_are_complete() -> None:
    """Every name in ``__all__`` can be imported."""
    assert testing.DingTalkSimulator is DingTalkSimulator
    assert {"DingTalkSimulator", "SimulatorError", "signed_in"} <= set(testing.__all__)
    assert all(callable(getattr(testing, name)) for name in testing.__all__)


def test_other_names_are_attribute_errors() -> None:
    """A misspelt name is an AttributeError."""
    with pytest.raises(AttributeError, match="no attribute 'Simulator'"):
        _ = testing.Simulator
