"""A step: what one model call of a pipeline is for, and what must come of it.

A frozen value: it can be made once, at the top of a module, and asked from many sessions at a time. It knows
nothing of who answers; there is no prompt in it but the one that is written into it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, Generic, cast

from typing_extensions import TypeVar

from pinnace.agents.line import AUTO
from pinnace.agents.output import Output, output_of
from pinnace.agents.strategy import Strategy, single
from pinnace.agents.tools import Tool, tool_of
from pinnace.errors import StepError
from pinnace.models.completion import Message

T = TypeVar("T", default=str)
Input = str | Sequence[Message]
"""What a step is asked about: a text, or the turns of a chat."""
SLOT = "{input}"


@dataclass(frozen=True)  # slots would break Name[type](...) on Python 3.11
class Step(Generic[T]):
    """One kind of call. `await session.ask(step, text)` gives a value of type `output`.

    :param instructions: the system turn; left out where it is empty, and the model's own then holds.
    :param output: a pydantic model, a dataclass, an enum, or any type that has a JSON schema.
    :param name: what the trace calls it.
    :param tools: functions that the model may call before it answers.
    :param strategy: how many answers are drawn and which is taken.
    :param accept: the confidence, 0 to 1, from which an answer is taken; a lower one climbs a rung. By
        default the bars of the calibrated gate hold.
    :param max_turns: how often the model may speak, tool calls included.
    :param max_tokens: of each answer.
    :param temperature: None takes the model's own.
    :param model: `auto`, or the fleet member that is to answer, which then never climbs.
    :param template: the user turn, with `{input}` where the text goes.
    :raises StepError: when it cannot be asked as it is; says what to change.
    """

    instructions: str = ""
    output: type[T] = cast("type[T]", str)  # noqa: RUF009
    name: str = "step"
    tools: Sequence[Tool | Callable[..., Any]] = ()
    strategy: Strategy = single
    accept: float | None = None
    max_turns: int = 8
    max_tokens: int = 512
    temperature: float | None = None
    model: str = AUTO
    template: str = SLOT
    offered: tuple[Tool, ...] = field(init=False, repr=False, compare=False)
    reads: Output[T] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for is_wrong, expected, got in (
            (not self.name.strip(), "a name", self.name),
            (self.max_turns < 1, "max_turns of at least 1", self.max_turns),
            (self.max_tokens < 1, "max_tokens of at least 1", self.max_tokens),
            (self.accept is not None and not 0 <= self.accept <= 1, "accept between 0 and 1", self.accept),
            (
                self.temperature is not None and not 0 <= self.temperature < inf,
                "a finite temperature of at least 0",
                self.temperature,
            ),
            (SLOT not in self.template, f"a template with {SLOT}", self.template),
        ):
            if is_wrong:
                raise StepError(f"step {self.name!r}: expected {expected}, got {got!r}")
        tools = tuple(tool_of(each) for each in self.tools)
        names = [each.name for each in tools]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise StepError(f"step {self.name!r}: expected tools of different names, got {twice[0]!r} twice")
        object.__setattr__(self, "offered", tools)
        object.__setattr__(self, "reads", output_of(self.output, self.name))

    def messages(self, asked: Input) -> tuple[Message, ...]:
        """The turns of one call about `asked`.

        :raises StepError: when a text is none that UTF-8 can carry.
        """
        system = (Message("system", self.instructions),) if self.instructions else ()
        own = (Message("user", self.template.replace(SLOT, asked)),) if isinstance(asked, str) else asked
        turns = (*system, *own)
        for turn in turns:
            self._check_text(turn.content)
        return turns

    def _check_text(self, text: str) -> None:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            got = f"{text[error.start]!r} at character {error.start}"
            raise StepError(f"step {self.name!r}: expected text that UTF-8 can carry, got {got}") from None
