"""The soak: who is counted as what, what grows, and what a process holds."""

import mmap
import os
import subprocess
import sys

import pytest

from pinnace.bench import soak
from pinnace.bench.asker import Told
from pinnace.bench.footprint import footprint_of
from pinnace.bench.mixed_load import LEAVES_S, REMOTE, Verdict, counted, judged, mixed_flows

WHOLE = Told(0.0, 200, 0.1, None, 4, True, None)


def told(status: int, latency_s: float = 0.1) -> Told:
    return Told(0.0, status, latency_s, None, 0, False, None)


@pytest.mark.parametrize(
    ("flow", "answer", "is_faulty", "verdict"),
    [
        ("whole", WHOLE, False, Verdict.SERVED),
        ("whole", told(200), False, Verdict.ERROR),
        ("whole", told(503), True, Verdict.ERROR),
        ("wrong", told(400), False, Verdict.AS_EXPECTED),
        ("wrong", WHOLE, False, Verdict.ERROR),
        ("wrong", told(500), False, Verdict.ERROR),
        ("leaving", told(0, LEAVES_S), False, Verdict.AS_EXPECTED),
        ("leaving", told(0, 0.01), False, Verdict.ERROR),
        ("leaving", told(500), False, Verdict.ERROR),
        (REMOTE, told(503), True, Verdict.INJECTED),
        (REMOTE, told(503), False, Verdict.ERROR),
        (REMOTE, told(0), True, Verdict.ERROR),
    ],
)
def test_what_an_answer_is(flow: str, answer: Told, is_faulty: bool, verdict: Verdict) -> None:
    assert judged(flow, answer, is_faulty=is_faulty) is verdict


def test_every_flow_is_judged() -> None:
    flows = mixed_flows(1, "small", "embedder", 30, 0)
    counts = counted({flow.name: [WHOLE] for flow in flows if flow.name != "wrong"}, is_faulty=False)
    assert counts == {Verdict.SERVED: len(flows) - 1}
    assert len({flow.name for flow in flows}) == len(flows)


def seen(server: float, files: float = 40, error: float = 0) -> dict[str, float]:
    counts = {str(verdict): 0.0 for verdict in Verdict} | {"error": error, "served": 10.0}
    return {"server_mib": server, "engine_mib": 100.0, "files": files, **counts}


def test_growth_is_after_the_warm_up() -> None:
    slices = [seen(10), seen(50), *[seen(100)] * 4, *[seen(104, files=41)] * 5, seen(110, files=43, error=2)]
    found = soak.figures(slices, [{"whole": [WHOLE]}] * 12)
    assert found["memory_growth_percent"] == pytest.approx(100 * (207 / 200 - 1))
    assert (found["files_growth"], found["errors"], found["requests_served"]) == (2.0, 2.0, 120.0)
    assert (found["requests"], found["slices"], found["whole_p50_ms"]) == (12.0, 12.0, 100.0)


def test_a_process_holds_its_own_memory_and_that_of_its_children() -> None:
    before = footprint_of(os.getpid())
    with mmap.mmap(-1, 64 * 2**20) as block:
        block.write(b"x" * len(block))
        with open(os.devnull, "rb"):
            after = footprint_of(os.getpid())
    assert after.server_mib - before.server_mib > 48
    assert after.files == before.files + 1
    command = [sys.executable, "-c", "block = bytearray(b'x') * 2**25; print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert footprint_of(os.getpid()).descendants_mib - before.descendants_mib > 24
        child.kill()


def test_a_process_that_is_gone_has_no_footprint() -> None:
    with pytest.raises(ProcessLookupError, match="no process 0"):
        footprint_of(0)
