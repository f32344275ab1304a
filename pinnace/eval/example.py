"""An example: one prompt with what is needed to score its answer; and how examples are drawn.

Pure. Ids are hashes of the prompt, so the same prompt has the same id in every run and on every machine.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from pinnace.eval.asking import PLAINLY, Asking, request_of
from pinnace.eval.rules.words import words
from pinnace.eval.scoring import RuleName
from pinnace.router.routed_text import routed_text

Split = Literal["fit", "held"]


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt to run. `expected` and `choices` are as `pinnace.eval.scoring.score` takes them.

    `question` is the bare question as its task set has it: what recorded runs are matched by. `split` is
    `fit` for rows that a router state may be fitted on and `held` for those kept back to test it. `asking` is
    what the model is given beside the prompt, and `rejection` the answer that says that a prompt is out of
    the set's scope, where it has one.
    """

    id: str
    task: str
    prompt: str
    expected: str
    rule: RuleName
    choices: tuple[str, ...]
    max_tokens: int
    split: Split
    question: str
    asking: Asking = PLAINLY
    rejection: str = ""

    @property
    def routed(self) -> str:
        """The text that a router reads of it."""
        request = request_of(
            self.asking, self.prompt, name=self.id, max_tokens=self.max_tokens, seed=0, shots=0
        )
        return routed_text(request)


def content_id(prefix: str, prompt: str) -> str:
    """An id that only the prompt decides, such as `gsm8k-test-0f3a5c7e9b1d`."""
    return f"{prefix}-{_digest(prompt)[:12]}"


def half_of(question: str) -> Split:
    """The half that a question falls into where its set has no published train rows: an even hash is `fit`.

    Depends on the words of the question alone, so all forms of one question fall into the same half.
    """
    return "fit" if int(_digest(" ".join(words(question)))[-1], 16) % 2 == 0 else "held"


def sample(
    examples: Sequence[Example], n: int, *, seed: int = 0, prefer: Collection[str] = frozenset()
) -> tuple[Example, ...]:
    """Draw `n` examples (or all, where there are fewer), those whose id is in `prefer` first.

    The order is that of a seeded hash of the id: a smaller draw is the beginning of a larger one, and a
    row added to the set changes nothing for the others.
    """
    drawn = sorted(examples, key=lambda e: (e.id not in prefer, _digest(f"{seed}:{e.id}")))
    return tuple(drawn[:n])


def without_duplicates(examples: Iterable[Example]) -> tuple[Example, ...]:
    """The first example of every prompt and its tools."""
    first: dict[str, Example] = {}
    for example in examples:
        tools = repr(example.asking.tools) if example.asking.tools else ""
        first.setdefault(example.prompt + tools, example)
    return tuple(first.values())


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
