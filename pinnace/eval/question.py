"""What a task set asks, before it is an example: the bare question, its prompt and its gold answer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a task set.

    `text` is the question as the set has it, without options or instructions; `prompt` is what a user
    would type. `expected` and `choices` are as `pinnace.eval.scoring.score` takes them.
    """

    text: str
    prompt: str
    expected: str = ""
    choices: tuple[str, ...] = ()
