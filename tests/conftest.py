"""What all tests share."""

import logging
from collections.abc import Generator

import pytest
from hypothesis import settings

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Generator[None, None, None]:
    """Commands set up logging for their process; here the process goes on, without their handlers."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = [handler for handler in root.handlers if handler in handlers]
    root.setLevel(level)
