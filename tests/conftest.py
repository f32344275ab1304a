"""What all tests share."""

import logging
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

from pinnace.router.ledger import Ledger

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


@pytest.fixture(scope="session")
def fitted_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state, fitted by the command that users have."""
    from cli_fixtures import configure  # here, as few files ask for it and it imports much
    from test_fit import table_of

    from pinnace.eval.table_file import write_table

    folder = tmp_path_factory.mktemp("fitted")
    write_table(table_of(100), folder / "outcomes.jsonl")
    config = configure(folder)
    arguments = ["outcomes.jsonl", "-o", "state", "--clusters", "2", "--config", str(config)]
    subprocess.run([sys.executable, "-m", "pinnace", "fit", *arguments], cwd=folder, check=True)
    return folder / "state"


@pytest.fixture
def ledger_path(tmp_path: Path) -> Path:
    """Where no folder is yet."""
    return tmp_path / "deep" / "ledger.sqlite"


@pytest.fixture
def ledger(ledger_path: Path) -> Generator[Ledger, None, None]:
    """A ledger that writes to `ledger_path`."""
    ledger = Ledger(ledger_path)
    ledger.start()
    yield ledger
    ledger.stop()
