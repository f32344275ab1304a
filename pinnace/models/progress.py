"""Showing that something long is going on: a bar on a terminal, one log line elsewhere.

Knows nothing of what is being done.
"""

import logging
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

_log = logging.getLogger(__name__)
_terminal = threading.Lock()


@contextmanager
def step(text: str) -> Generator[None, None, None]:
    """Show `text` on stderr for as long as the body runs.

    On a terminal it is a moving bar with the time gone by, wiped away at the end. Anywhere else, or while
    another thread's bar is up, it is one log line at the start.
    """
    if not sys.stderr.isatty() or not _terminal.acquire(blocking=False):
        _log.info("%s", text)
        yield
        return
    try:
        with _bar() as bar:
            bar.add_task(text, total=None)
            yield
    finally:
        _terminal.release()


def _bar() -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
