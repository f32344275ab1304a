"""What was grown, in the fleet: read beside router.yaml, put in place whole, and taken back."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_fit import table_of
from test_state import small_state

from pinnace.config import AdapterMember, load_config
from pinnace.config.grown import CURRENT, current_generation, grown_folder
from pinnace.errors import ConfigError
from pinnace.eval.grow import registry
from pinnace.eval.grow.registry import locked, place_adapter, register, undo
from pinnace.eval.table_file import read_table, write_table
from pinnace.router.state import TABLE, can_replace, load_state, save_state

SMALL = {"name": "small", "backend": "vllm", "weights": ["path:weights"], "price": {"input": 1, "output": 2}}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return configured(tmp_path)


def configured(folder: Path, *fleet: dict[str, Any], **router: Any) -> Path:
    whole = {"fleet": fleet or [SMALL], "ledger": {"path": str(folder / "ledger.sqlite")}, "router": router}
    path = folder / "router.yaml"
    path.write_text(yaml.safe_dump(whole))
    return path


def trained(folder: Path, content: str = "weights") -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_text(content)
    return folder


def grow(place: Path, *names: str) -> str:
    """Register specialists of these names, all there are from then on."""
    folder = grown_folder(load_config(place))
    members = [
        AdapterMember(
            name=name,
            backend="vllm",
            base="small",
            adapter=place_adapter(folder, name, place.parent / f"trained-{name}"),
            least_bar=0.8,
        )
        for name in names
    ]
    return register(folder, members, small_state(), table_of(60), {"told": "all"})


def test_grown_members_are_in_the_fleet_with_what_they_have_from_their_base(place: Path) -> None:
    trained(place.parent / "trained-a")
    assert grow(place, "a") == "0001"
    config = load_config(place)
    (_, member) = config.fleet
    assert isinstance(member, AdapterMember)
    assert (member.name, member.least_bar, member.on(config.fleet[0]).price.output) == ("a", 0.8, 2)  # type: ignore[arg-type]
    assert Path(member.adapter).joinpath("adapter_model.safetensors").read_text() == "weights"
    assert config.router.state is not None
    assert load_state(config.router.state).models == small_state().models
    assert len(read_table(config.router.state / TABLE)) == 60
    assert load_config(place, grown=False).fleet == (config.fleet[0],)
    assert "adapter" not in place.read_text()


def test_where_grown_things_lie_can_be_said(tmp_path: Path) -> None:
    assert grown_folder(load_config(configured(tmp_path))) == tmp_path / "grown"
    assert grown_folder(load_config(configured(tmp_path, grown=str(tmp_path / "g")))) == tmp_path / "g"


def test_several_undos_go_back_one_by_one(place: Path) -> None:
    plain = load_config(place)
    for name in "ab":
        trained(place.parent / f"trained-{name}", name)
    grow(place, "a")
    first = load_config(place)
    grow(place, "a", "b")
    folder = place.parent / "grown"
    assert (undo(folder).gone, load_config(place)) == (("b",), first)
    assert (undo(folder).now, load_config(place)) == (None, plain)
    assert not list(folder.glob("*/*"))
    with pytest.raises(ConfigError, match="nothing grown is in use, so there is nothing to undo"):
        undo(folder)


def test_a_crash_in_the_middle_leaves_the_former_state_whole(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        trained(place.parent / f"trained-{name}", name)
    grow(place, "a")
    before = load_config(place)
    for broken in ("save_state", "_point_to"):
        with monkeypatch.context() as patched:
            patched.setattr(registry, broken, _crash)
            with pytest.raises(OSError, match="power is out"):
                grow(place, "a", "b")
        assert load_config(place) == before
    assert grow(place, "a", "b") > "0001"
    assert [member.name for member in load_config(place).fleet] == ["small", "a", "b"]


def _crash(*given: object, **more: object) -> None:
    raise OSError("power is out")


@pytest.mark.parametrize(
    ("fleet", "said"),
    [
        ([{**SMALL, "name": "other"}], "the base of 'a' is 'small', which is no member of the fleet"),
        (
            [SMALL, {"name": "a", "backend": "scripted", "script": [{"answer": "x"}]}],
            r"\['a'\] is grown, and in router.yaml too",
        ),
    ],
)
def test_grown_members_that_fit_no_more_are_told_with_the_way_out(
    place: Path, fleet: list[dict[str, Any]], said: str
) -> None:
    trained(place.parent / "trained-a")
    grow(place, "a")
    configured(place.parent, *fleet)
    with pytest.raises(ConfigError, match=said) as caught:
        load_config(place)
    assert "'pinnace grow --undo' takes out what was grown last" in str(caught.value)


@pytest.mark.parametrize("text", ["{", '{"generation": "../x"}', '{"generation": "0009"}', "[]"])
def test_a_damaged_pointer_is_told(place: Path, text: str) -> None:
    folder = place.parent / "grown"
    folder.mkdir()
    (folder / CURRENT).write_text(text)
    with pytest.raises(ConfigError, match="grown"):
        load_config(place)


def test_two_do_not_grow_at_once(tmp_path: Path) -> None:
    refused = pytest.raises(ConfigError, match="another 'pinnace grow' is at work there")
    with locked(tmp_path), refused, locked(tmp_path):
        pass
    assert current_generation(tmp_path) is None


def test_a_state_may_carry_its_table(tmp_path: Path) -> None:
    table = table_of(60)
    save_state(small_state(), tmp_path / "state", table=partial(write_table, table))
    assert read_table(tmp_path / "state" / TABLE).ids == table.ids
    assert can_replace(tmp_path / "state")
    save_state(small_state(), tmp_path / "state")
    assert not (tmp_path / "state" / TABLE).exists()


def test_the_state_that_ships_carries_its_table() -> None:
    from pinnace.router.state import default_state

    state, table = load_state(default_state()), read_table(default_state() / TABLE)
    assert (len(table), table.models) == (state.provenance.rows, state.models)
    assert json.dumps(state.provenance.table_sha256)
