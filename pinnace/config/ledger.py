"""The ledger: where served requests are written down."""

from pathlib import Path

from pinnace.config.section import Section


class Ledger(Section):
    """Where served requests are written down. Prompts and answers only with `store_text`."""

    path: Path = Path(".pinnace/ledger.sqlite")
    store_text: bool = False
