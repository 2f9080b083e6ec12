"""What users can rely on, one behaviour for each test, against the simulator over real HTTP."""

import os
import sys

import pytest

# Containers often forbid Python to keep what it compiles. Compiling everything again, in each run
# and in each process that a test starts, takes longer than many a test.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# So that a failing assert there shows its values, as in a test.
pytest.register_assert_rewrite("tests.helpers", "tests.stub")
