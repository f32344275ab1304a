"""docs/models.md and docs/api.md list what cards, batteries and diverse answers have, and nothing else."""

import re
from pathlib import Path

from server_fixtures import ASK, house, member
from shape_fixtures import adapter_folder, model_folder

from pinnace.config import Energy
from pinnace.models.energy.estimate import PUBLISHED as PHYSICS
from pinnace.models.energy.estimate import Load, battery
from pinnace.models.shapes.card import folder_facts
from pinnace.models.shapes.published import PUBLISHED
from pinnace.server.diverse_wire import MOST_SAMPLES, Diverse

DOCS = Path(__file__).resolve().parent.parent / "docs"
BY_THE_COMMAND = {"name", "source", "folder"}


def section(page: str, heading: str) -> str:
    found = (DOCS / page).read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    assert found, heading
    return found


def keys_of(text: str) -> set[str]:
    """What the first columns of the tables in `text` name."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {key for row in rows for key in re.findall(r"`([^`]+)`", row)}


def test_every_key_of_a_card_is_in_the_docs_and_no_other(tmp_path: Path) -> None:
    model, adapter = folder_facts(model_folder(tmp_path / "m")), folder_facts(adapter_folder(tmp_path / "a"))
    assert keys_of(section("models.md", "Cards")) == model.keys() | adapter.keys() | BY_THE_COMMAND


def test_every_published_shape_is_in_the_docs() -> None:
    said = re.findall(r"((?:MobileLLM|SmolLM2)-\S+) ([0-9]+) x\s([0-9]+)", section("models.md", "Cards"))
    assert said == [(shape.name, str(shape.layers), str(shape.width)) for shape in PUBLISHED]


def test_every_key_of_a_battery_is_in_the_docs_and_no_other() -> None:
    found = battery(Energy(input=1, output=1, source="s"), Load(), 1, 1)
    assert keys_of(section("models.md", "Batteries")) == found.keys()


def test_the_docs_have_the_constants_of_the_estimate() -> None:
    text = section("models.md", "Energy")
    assert f"{PHYSICS.joules_per_flop:.2g} J per FLOP" in text
    assert f"{PHYSICS.joules_per_byte:.2g} J per byte" in text.replace("1e-10", f"{1e-10:.2g}")


async def test_every_field_and_key_of_diverse_answers_is_in_the_docs_and_no_other() -> None:
    async with house(member("only", {"answer": "a"})) as place, place.http() as http:
        asked = {"model": "auto", "messages": ASK, "diverse": {"n": 2}}
        told = (await http.post("/v1/chat/completions", json=asked)).json()["pinnace"]["diverse"]
    text = section("api.md", "Diverse answers")
    fields = {f"diverse.{name}" for name in Diverse.model_fields}
    assert keys_of(text) == fields | told.keys()
    assert f"`n` to {MOST_SAMPLES} x `limits.n`" in text
