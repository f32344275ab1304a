"""The products that adapters take on CPU: each row gets what its own adapter adds, and no other."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.real
def test_each_row_gets_what_its_own_adapter_adds() -> None:
    command = [sys.executable, "-W", "ignore", str(Path(__file__).parent / "vllm_adapter_products.py")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ran.stdout.splitlines()[-1:] == ["7 of 7 are right"], ran.stdout + ran.stderr
