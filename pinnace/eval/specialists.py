"""What an outcome table says of specialists on prompts that nobody can score. Pure.

Open chat has no gold answers, so that a table of it says nothing of a model that can only name intents, and
a router would expect of it there what it finds nearest: its own domain.
"""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from pinnace.config import Config
from pinnace.config.adapter import AdapterMember
from pinnace.eval.grow.setting import GROWN
from pinnace.eval.table import OutcomeTable


def specialists_of(config: Config) -> frozenset[str]:
    """What tables call the specialists of the fleet, its adapters."""
    adapters = (member for member in config.fleet if isinstance(member, AdapterMember))
    return frozenset(member.estimates or member.name for member in adapters)


def wrong_elsewhere(table: OutcomeTable, names: Collection[str]) -> OutcomeTable:
    """The table in which specialists, made for other requests, count as wrong where no model has a score.

    Where some model has one, they could be measured too, and what is missing stays unknown. Prompts of a
    grown domain are left as they are: without scores they are those that its specialist was trained on.
    """
    is_grown = np.array([task.startswith(GROWN) for task in table.tasks], dtype=bool)
    rows = np.isnan(table.scores).all(axis=1) & ~is_grown
    columns = np.array([model in names for model in table.models], dtype=bool)
    scores = np.where(rows[:, None] & columns, 0.0, table.scores)
    return replace(table, scores=scores)
