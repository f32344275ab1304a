"""Ranking beginnings by how deeply the model thought: `think_at(..., rank=by_depth(DeepThinking(folder)))`.

For a local model whose weights lie here. Knows nothing of what the ratio is.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from pinnace.agents.strategy import Drawn
from pinnace.agents.thinking import Rank
from pinnace.models.deep_thinking import DeepThinking


def by_depth(reader: DeepThinking) -> Rank:
    """The deep-thinking ratio of each beginning. One after the other, in a thread beside the loop."""
    turn = asyncio.Lock()

    async def rank(beginnings: Sequence[Drawn[Any]]) -> Sequence[float]:
        async with turn:
            return await asyncio.to_thread(
                reader.ratios, beginnings[0].asked, [each.sample.text for each in beginnings]
            )

    return rank
