"""The box for code of a model, with real subprocesses: what passes, what is stopped, and by what."""

import json
import time
from pathlib import Path

import pytest

from pinnace.eval.code_box import LONGEST, containment, passes
from pinnace.eval.rules.code import code_in, continuation_in, program_of
from pinnace.eval.scoring import score

ADD = json.dumps(
    {"before": 'def add(a, b):\n    """Sum."""\n', "name": "add", "tests": "assert add(2, 3) == 5"}
)


@pytest.mark.parametrize(
    ("answer", "is_right"),
    [
        ("```python\ndef add(a, b):\n    return a + b\n```", True),
        ("Sure:\n```python\ndef add(a, b):\n    return a + b\n```\nIt adds.", True),
        ("```\ndef add(a, b):\n    return a + b", True),
        ("def add(a, b):\n    return a + b", True),
        ("    return a + b\n\nThis adds them.", True),
        ("return a + b", True),
        ("```python\ndef add(a, b):\n    return a - b\n```", False),
        ("I would add them.", False),
        ("", False),
        ("import sys\nsys.exit(0)", False),
        ("    import os\n    os._exit(0)", False),
    ],
)
def test_code_is_right_when_its_tests_pass(answer, is_right):
    assert score("code", answer, ADD) == float(is_right)


def test_code_stands_in_fences_or_is_the_whole_text():
    assert code_in("a\n```python\nx = 1\n```\nb\n```py\ny = 2\n```") == "x = 1\n\ny = 2\n"
    assert code_in("x = 1") == "x = 1"
    assert continuation_in("return 1\nThat is it.") == "    return 1"
    program = program_of("y = 2", '{"before": "x = 1", "name": "", "tests": "assert y == 2"}')
    assert program.split("\n") == ["x = 1", "y = 2", "", "assert y == 2", ""]


@pytest.mark.parametrize(
    "program",
    [
        "assert False",
        "def broken(:",
        "import sys\nsys.exit(0)",
        "import os\nos._exit(0)",
        "open('big', 'w').write('x' * 2_000_000)",
        "import os\nif os.fork() == 0:\n    os._exit(0)",
        "import subprocess\nsubprocess.run(['true'], check=True)",
        "x = bytearray(4 << 30)",
        "import pinnace",
        "while True:\n    print('x' * 10_000)",
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
        "files = [open('f', 'w') for _ in range(100)]",
        "#" * (LONGEST + 1),
    ],
)
def test_what_it_must_not_do_fails(program):
    assert not passes(program)


def test_what_it_may_do_passes():
    assert passes("import math, re, json, collections\nopen('x', 'w').write('y')\nprint('hello')")


@pytest.mark.parametrize("program", ["while True:\n    pass", "import time\ntime.sleep(60)"])
def test_time_is_bounded(program):
    began = time.perf_counter()
    assert not passes(program, cpu_s=1, wall_s=2)
    assert time.perf_counter() - began < 20


def test_nothing_of_it_lives_on(tmp_path: Path):
    before = set(Path("/tmp").glob("pinnace-code-*"))
    assert not passes("import time\ntime.sleep(60)", wall_s=0.5)
    assert set(Path("/tmp").glob("pinnace-code-*")) <= before


def test_writes_stay_in_its_folder(tmp_path: Path):
    if not containment()["writes"]:
        pytest.skip("this kernel has no Landlock")
    tmp_path.chmod(0o777)
    aim = tmp_path / "stray"
    assert not passes(f"open({str(aim)!r}, 'w')")
    assert not aim.exists()


def test_there_is_no_network():
    if not containment()["network"]:
        pytest.skip("this kernel gives no namespace of its own")
    send = "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 9))"
    assert not passes(send)


def test_root_is_not_what_it_runs_as():
    assert passes("import os\nassert 0 not in (os.getuid(), os.geteuid(), os.getgid())")
