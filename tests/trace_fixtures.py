"""A trace of a session with a clock of its own."""

from typing import Any

from pinnace.agents.trace import Trace

BEGAN_NS = 1_700_000_000_000_000_000
CALL: dict[str, Any] = {
    "model": "large",
    "rung": 0,
    "rungs": ("small", "large"),
    "why": "the gate gave the first answer 0.31",
    "confidence": 0.93,
    "prompt_tokens": 120,
    "completion_tokens": 30,
    "usd": 0.00012,
    "joules": 1.25,
    "samples": 3,
    "accepted": True,
}


class Clock:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def new_trace(clock: Clock | None = None, most: int = 1000) -> Trace:
    return Trace(clock or Clock(), lambda: BEGAN_NS, most)


def sample() -> Trace:
    """A run of two steps: one calls a tool and climbs by itself, the other is answered by a route."""
    clock = Clock()
    trace = new_trace(clock)
    run = trace.begin("run", "triage")
    step = trace.begin("step", "classify", run.id)
    first = trace.begin("call", "classify", step.id)
    clock.now += 0.25
    first.end(model="small", rungs=("small",), confidence=0.31, prompt_tokens=100, completion_tokens=10)
    tool = trace.begin("tool", "look_up", step.id)
    clock.now += 0.5
    tool.end(error="ToolTimeoutError")
    second = trace.begin("call", "classify", step.id)
    clock.now += 1
    second.end(model="large", rung=1, rungs=("large",), usd=0.001, accepted=True, samples=1)
    step.end()
    other = trace.begin("step", "answer", run.id)
    call = trace.begin("call", "answer", other.id)
    clock.now += 2
    call.end(**CALL)
    other.end(note="from the route")
    run.end()
    return trace
