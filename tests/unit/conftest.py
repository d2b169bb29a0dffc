"""For every unit test."""

import pytest
import structlog

import cloister.devnet.pyevm  # noqa: F401  before py-evm itself: it keeps the recursion limit where it is


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    """The command line sends log lines to the standard error of its own test, which is closed afterwards."""
    yield
    structlog.reset_defaults()
