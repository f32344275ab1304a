"""A file of pipelines, a suite of three sums, and a run of one over the other."""

import json
from pathlib import Path

from pinnace.agents import Fleet
from pinnace.agents.ablation import variants
from pinnace.cli.eval_pipeline import columns_of
from pinnace.eval.live import LiveRun
from pinnace.eval.pipeline_file import read_pipeline
from pinnace.eval.pipelines import run_pipelines
from pinnace.eval.suites import read_suite

SUMS = [("What is 1 + 1?", "2"), ("What is 2 + 2?", "4"), ("What is 3 + 3?", "6")]
FILE = """
import asyncio
from pinnace.agents import Session, Step, vote

PLAN = Step("Plan.", name="plan")
SOLVE = Step("Solve.", name="solve")
COUNT = Step("Count.", output=int, name="count")

async def solve(run: Session, prompt: str) -> str:
    return await run.ask(SOLVE, prompt)

async def planned(run: Session, prompt: str) -> str:
    return await run.ask(SOLVE, prompt + " " + await run.ask(PLAN, prompt))

async def counted(run: Session, prompt: str) -> str:
    return str(await run.ask(COUNT, prompt))

async def doubled(run: Session, prompt: str) -> str:
    async with asyncio.TaskGroup() as group:
        first, second = (group.create_task(run.ask(SOLVE, prompt)) for _ in range(2))
    return first.result() + second.result()

async def picky(run: Session, prompt: str) -> str:
    return str(int(await run.ask(SOLVE, prompt)))

async def odd(run: Session, prompt: str) -> str:
    return "\\ud800"

async def impatient(run: Session, prompt: str) -> str:
    task = asyncio.ensure_future(asyncio.sleep(60))
    task.cancel()
    await task
    return "never"

async def no_text(run: Session, prompt: str) -> str:
    return 4

async def takes_one(prompt: str) -> str:
    return prompt

class Maker:
    def __init__(self, planner: str = "on") -> None:
        self.whole = planner == "on"

    async def __call__(self, run: Session, prompt: str) -> str:
        return await (planned if self.whole else solve)(run, prompt)

def maker(planner: str = "on"):
    return planned if planner == "on" else solve

def broken():
    raise ValueError("not today")

def empty():
    return None
"""


def file_in(folder: Path) -> Path:
    """A file of pipelines."""
    return write(folder / "pipes.py", FILE)


def suite_in(folder: Path) -> Path:
    """A suite of three sums, compared as numbers."""
    rows = [json.dumps({"prompt": prompt, "answer": answer}) for prompt, answer in SUMS]
    write(folder / "rows.jsonl", "\n".join(rows) + "\n")
    return write(
        folder / "sums.yaml",
        "rule: number\nmax_tokens: 8\nrows: [{name: test, split: held, file: rows.jsonl}]\n",
    )


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


async def run_of(
    file: Path,
    name: str,
    fleet: Fleet,
    suite: Path,
    ways: str = "routed",
    *,
    out: Path | None = None,
    concurrency: int = 32,
) -> LiveRun:
    found = read_pipeline(f"{file}:{name}")
    asked = [(each, found.made_with(each.words)) for each in variants(ways)]
    examples = read_suite(str(suite), suite.parent)
    columns = await columns_of(fleet, asked)
    return await run_pipelines(examples, columns, out=out, concurrency=concurrency, keep_answers=True)
