"""Scripted fleets that stand in for engines: members with known token times, and what is served of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

INSTANT, TWENTY, PACED = "instant", "twenty", "paced"
WORDS = 20


def scripted(name: str, words: int, **further: object) -> dict[str, Any]:
    """A scripted member that answers with so many words, each of which it is as sure of as can be."""
    reply = {key: further.pop(key) for key in ("first_token_s", "token_s") if key in further}
    script = [{"answer": "word " * words, "probability": 0.99, **reply}]
    return {"name": name, "backend": "scripted", "script": script, **further}


def remote(name: str, port: int, **further: object) -> dict[str, Any]:
    """A remote member whose server is the stand-in on `port`."""
    address = f"http://127.0.0.1:{port}/v1"
    return {"name": name, "backend": "openai", "base_url": address, "model": "fixed", **further}


def document(
    fleet: Sequence[Mapping[str, Any]], scratch: Path, **sections: Mapping[str, Any]
) -> dict[str, Any]:
    """A `router.yaml` of `fleet`, with a ledger of its own, and else as shipped."""
    ledger = {"path": str(scratch / f"ledger-{len(list(scratch.iterdir()))}.sqlite")}
    return {"fleet": list(fleet), "ledger": ledger, **sections}
