"""How long a specialist is trained: epochs from tokens, so that the same rows train alike. Pure."""

from collections.abc import Sequence

from pinnace.models.training.row_tokens import TokenRow, shared_beginning

MOST_TOKENS = 1_000_000
"""Tokens of one command's training, all domains together: about 35 minutes on two quiet cores."""
TOKENS_PER_S = 500
MOST_EPOCHS = 5
SHORT_SHARED = 40
"""Tokens of a shared beginning that count in full. Of a longer one the rest is computed once a batch, and
what is left of it in each row is attention: about a tenth."""
FEW_ROWS = 2_000
"""Rows below which batches are half as large, for more steps."""


def counted_tokens(rows: Sequence[TokenRow]) -> int:
    """Tokens that one epoch of `rows` counts for."""
    shared = shared_beginning([row.prompt for row in rows]) if len(rows) > 1 else 0
    spared = 0.9 * max(shared - SHORT_SHARED, 0)
    return round(sum(len(row) - spared for row in rows))


def epochs_for(tokens: int, most: int = MOST_TOKENS) -> int:
    """Epochs of `tokens` each within `most` tokens, at least one."""
    return min(max(most // max(tokens, 1), 1), MOST_EPOCHS)


def batch_for(rows: int) -> int:
    """Rows a step."""
    return 16 if rows < FEW_ROWS else 32


def minutes_for(tokens: int) -> float:
    """Minutes of training on two quiet cores."""
    return tokens / TOKENS_PER_S / 60
