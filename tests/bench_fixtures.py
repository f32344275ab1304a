"""What the bench's tests stand on: runs with known figures, and a report of them."""

from dataclasses import replace

from pinnace.bench.figures import Run, figures
from pinnace.bench.hardware import Hardware
from pinnace.bench.load import Measured
from pinnace.bench.report import Report

MACHINE = Hardware("A CPU", cores=2, memory_gib=24.0, accelerator=None, load=0.1)


def measured(tokens: int, seconds: float = 1.0, began: float = 0.0) -> Measured:
    return Measured(began, began + seconds, seconds, 1, tokens, 0, 0.5, 0.9, None, None, 0.1)


def runs(**rates: list[int]) -> list[Run]:
    """Runs by `side_concurrency=[tokens per second in each repeat]`."""
    return [
        Run(name.rpartition("_")[0], int(name.rpartition("_")[2]), repeat, measured(rate))
        for name, each in rates.items()
        for repeat, rate in enumerate(each)
    ]


def report(found: list[Run], **changes: object) -> Report:
    made = Report(
        command="pinnace bench",
        model="small",
        max_tokens=64,
        hardware=MACHINE,
        versions={"python": "3.11"},
        settings={"VLLM_CPU_OMP_THREADS_BIND": "0,1", "LD_PRELOAD": "/x/libiomp5.so"},
        stock_settings={"LD_PRELOAD": "/x/libgomp.so"},
        figures=figures(found, [0.005, 0.006, 0.007]),
        decisions_s=[0.005, 0.006, 0.007],
        runs=found,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


WHOLE = runs(
    direct_1=[100, 100, 100],
    direct_32=[900, 1000, 500],
    endpoint_32=[855, 900, 490],
    endpoint_stream_32=[810, 930, 470],
    stock_32=[600, 800, 250],
)
