"""A foreign router among the methods of a replay: its recorded choices, one setting, nothing learnt."""

from collections.abc import Sequence

import numpy as np

from pinnace.errors import TableError
from pinnace.eval.methods import Method, Settings
from pinnace.eval.recorded_rows import Recorded, Split


def foreign(name: str, models: Sequence[str], recorded: Recorded) -> Method:
    """The recorded choices of another router: `models` (n,) are the names that it chose, a row each.

    :raises TableError: when a chosen model is not in the pool.
    """
    columns = {model: column for column, model in enumerate(recorded.pool.models)}
    outside = next((model for model in models if model not in columns), None)
    if outside is not None:
        raise TableError(f"{name}: expected choices among {', '.join(columns)}, got {outside!r}")
    chosen = np.array([columns[model] for model in models], dtype=np.int64)

    def settle(split: Split) -> Settings:
        here = chosen[split.test.rows]
        best = split.small[int(np.argmax(split.train.scores.mean(axis=0)[split.small]))]
        small = np.where(np.isin(here, split.small), here, best)
        return Settings(here[None, :], small)

    return Method(name, "foreign", settle)
