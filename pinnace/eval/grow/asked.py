"""From examples to requests of a live run: what is asked, how it is scored, and what is told again. Pure."""

from collections.abc import Callable, Sequence

from pinnace.eval.asking import Asking
from pinnace.eval.example import Example, Split
from pinnace.eval.grow.answers import rule_of, told
from pinnace.eval.grow.examples import Taught
from pinnace.eval.table import OutcomeTable

MOST_TOKENS, LEAST_TOKENS = 1024, 256
FOREIGN_TOKENS = 64
"""Tokens that an answer to a request of another domain may have: what it says there is not scored."""


def example_of(each: Taught, task: str, split: Split, max_tokens: int) -> Example:
    """The request of one row, scored against what is right."""
    gold = told(each.gold)
    row = each.row
    return Example(
        id=each.id,
        task=task,
        prompt=row.prompt,
        expected=gold,
        rule=rule_of(gold),
        choices=(),
        max_tokens=max_tokens,
        split=split,
        question=row.prompt,
        asking=Asking(system=row.system or "", tools=row.tools, tool_choice=row.tool_choice),
    )


def foreign_examples(table: OutcomeTable, rows: Sequence[int]) -> list[Example]:
    """Requests of an outcome table, whose answers nobody scores."""
    return [
        Example(
            id=table.ids[row],
            task=table.tasks[row],
            prompt=table.prompts[row],
            expected="",
            rule="none",
            choices=(),
            max_tokens=FOREIGN_TOKENS,
            split="fit",
            question=table.prompts[row],
        )
        for row in rows
    ]


def longest_answer(rows: Sequence[Taught], count: Callable[[str], int]) -> int:
    """Tokens that answers of a domain may have: twice the longest example, within bounds."""
    longest = max((count(each.row.answer) for each in rows), default=0)
    return min(max(2 * longest, LEAST_TOKENS), MOST_TOKENS)
