from pathlib import Path

import pytest

from pinnace.errors import WeightsError
from pinnace.models.model_folder import check_model_folder, license_of


def test_a_folder_with_pickles_only_is_refused_by_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_text("")
    with pytest.raises(WeightsError, match=r"got \['config.json', 'pytorch_model.bin'\]"):
        check_model_folder(tmp_path)


def test_the_readme_names_the_models_licence_and_the_wheel_only_its_own(tmp_path: Path) -> None:
    assert license_of(tmp_path) is None
    (tmp_path / "licenses").mkdir()
    (tmp_path / "licenses" / "METADATA").write_text("Name: a\nLicense: MIT\n\nLicense: in the text\n")
    assert license_of(tmp_path) == "MIT"
    (tmp_path / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\nlicense: no\n")
    assert license_of(tmp_path) == "apache-2.0"
