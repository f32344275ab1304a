"""Plan and solve: a planner asks questions, a solver answers them side by side, a writer puts it together.

Three steps and plain code between them; what the writer reads is made by `as_notes`, which is there to be
replaced. After Plan-and-Solve (Wang et al., arXiv 2305.04091), with the questions independent of each other.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from pinnace.agents.session import Session
from pinnace.agents.step import Step
from pinnace.errors import StepError
from pinnace.models.together import together

T = TypeVar("T")
Notes = Callable[[str, Sequence[tuple[str, str]]], str]
"""From what was asked, and the questions with their answers, to what the writer reads."""
MOST_QUESTIONS = 8


def as_notes(asked: str, solved: Sequence[tuple[str, str]]) -> str:
    """What was asked, then each question with its answer, a blank line between them."""
    return "\n\n".join([asked, *(f"Q: {question}\nA: {answer}" for question, answer in solved)])


def plan_and_solve(
    planner: Step[list[str]],
    solver: Step[str],
    writer: Step[T],
    *,
    notes: Notes = as_notes,
    most: int = MOST_QUESTIONS,
) -> Callable[[Session, str], Awaitable[T]]:
    """A pipeline: `await pipeline(run, text)` gives what the writer makes of the answers.

    Questions beyond `most` are left out; where the planner has none, the solver is asked the text itself.

    :raises StepError: when the planner's output is no list of texts, or no question may be asked.
    """
    if most < 1:
        raise StepError(f"plan_and_solve: expected most of at least 1, got {most!r}")
    if planner.output != list[str]:
        raise StepError(f"plan_and_solve: expected a planner with output=list[str], got {planner.output!r}")

    async def pipeline(run: Session, asked: str) -> T:
        questions = (await run.ask(planner, asked))[:most] or [asked]
        answers = await together([run.ask(solver, question) for question in questions])
        return await run.ask(writer, notes(asked, list(zip(questions, answers, strict=True))))

    return pipeline
