import logging
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from pinnace.models.progress import step

ROOT = Path(__file__).parents[1]


def test_without_a_terminal_a_step_is_one_log_line(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO, logger="pinnace.models.progress"), step("Lifting the anchor"):
        pass
    assert caplog.messages == ["Lifting the anchor"]
    assert capfd.readouterr() == ("", "")


def test_on_a_terminal_it_is_a_bar_and_a_second_one_at_once_a_log_line() -> None:
    code = (
        "import logging; logging.basicConfig(level='INFO', format='log: %(message)s')\n"
        "from pinnace.models.progress import step\n"
        "with step('First step'), step('Second step'): pass\n"
    )
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, stderr=theirs, env=environment, check=True)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "First step" in shown
    assert "log: First step" not in shown
    assert "log: Second step" in shown
