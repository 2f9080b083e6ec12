"""What users can rely on, one behaviour for each test, against the simulator over real HTTP."""

import pytest

# So that a failing assert there shows its values, as in a test.
pytest.register_assert_rewrite("tests.helpers", "tests.stub")
