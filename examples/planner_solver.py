"""Plan and solve: a planner asks questions, a solver answers them side by side, a writer puts it together.

Beside `make run`: python examples/planner_solver.py
"""

import asyncio

from pinnace.agents import Fleet, Limits, Step, plan_and_solve

PLAN = Step("List the questions to be answered first. Each must make sense alone.", list[str], name="plan")
SOLVE = Step("Answer in one sentence.", str, name="solve")
WRITE = Step("Answer the request from the notes below it.", str, name="write", accept=0.9)
REQUEST = "Should a bakery in Oslo close on Mondays?"

pipeline = plan_and_solve(PLAN, SOLVE, WRITE, most=4)


async def main(fleet: Fleet) -> str:
    """What is answered to the request, by at most twelve calls."""
    async with fleet.session(Limits(requests=12, seconds=300)) as run:
        answer = await pipeline(run, REQUEST)
        run.trace.show()
    return answer


if __name__ == "__main__":

    async def connected() -> None:
        async with Fleet.connect("http://127.0.0.1:8000") as fleet:
            print(await main(fleet))

    asyncio.run(connected())
