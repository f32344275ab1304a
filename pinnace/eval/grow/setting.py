"""What a growth starts from: the fleet, its teacher, the base to train on, and the state with its table."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from pinnace.config import AdapterMember, Config, FleetMember, OpenAIMember, VllmMember, load_config
from pinnace.config.grown import current_generation, grown_folder, read_generation
from pinnace.errors import ConfigError, UnknownModelError
from pinnace.eval.grow.teacher import described_config, teacher_card
from pinnace.eval.table import OutcomeTable
from pinnace.eval.table_file import read_table
from pinnace.models.card import ModelCard
from pinnace.router.state import TABLE, RouterState, default_state, load_state

GROWN = "grown/"
"""What the tasks of grown domains begin with, in outcome tables."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a growth starts from.

    `config` is what serves, absent members left out and grown ones included; `teacher` the card of the model
    that teaches, and `is_absent` whether it is not there to be asked. `base` is the member to train on,
    `state` the one that serves, with the `table` that it was fitted from and its number of `clusters` apart
    from those of grown domains; `grown` are the grown members, and `folder` is where they lie.
    """

    config: Config
    teacher: ModelCard
    is_absent: bool
    base: VllmMember
    state: RouterState
    table: OutcomeTable
    clusters: int
    grown: tuple[AdapterMember, ...]
    folder: Path

    @property
    def of(self) -> str:
        """What tells this setting from others: the fleet and the state."""
        told = [self.config.model_dump_json(include={"fleet"}), self.state.provenance.table_sha256]
        return sha256(repr([*told, self.teacher]).encode()).hexdigest()

    def locals(self) -> tuple[FleetMember, ...]:
        """The members that this machine runs, the teacher apart."""
        return tuple(
            member
            for member in self.config.fleet
            if member.name != self.teacher.name and not isinstance(member, OpenAIMember)
        )

    def column(self) -> str:
        """The teacher's column in the table."""
        estimates = self.teacher.estimates
        return estimates if estimates in self.state.models else self.teacher.name


def read_setting(path: Path, base: str | None = None) -> Setting:
    """Read all that a growth starts from.

    :param path: the configuration.
    :param base: the member to train on; by default the only one, or the first, with weights of its own.
    :raises ConfigError: when there is nobody to learn from, or the state has no table with it.
    :raises UnknownModelError: when there is no such base.
    """
    config, described = load_config(path), described_config(path)
    teacher = teacher_card(described)
    folder = grown_folder(config)
    generation = current_generation(folder)
    plain = load_config(path, grown=False).router.state or default_state()
    return Setting(
        config=config,
        teacher=teacher,
        is_absent=teacher.name in config.absent,
        base=_base(config.fleet, base),
        state=load_state(config.router.state or default_state()),
        table=_table(config.router.state or default_state()),
        clusters=len(load_state(plain).clusters.labels),
        grown=read_generation(folder, generation).members if generation else (),
        folder=folder,
    )


def _base(fleet: Sequence[FleetMember], name: str | None) -> VllmMember:
    whole = {member.name: member for member in fleet if isinstance(member, VllmMember)}
    if not whole or (name is not None and name not in whole):
        raise UnknownModelError(
            f"--base: expected one of {', '.join(whole) or 'no vllm member'}, got {name!r}"
        )
    return whole[name] if name is not None else next(iter(whole.values()))


def _table(state: Path) -> OutcomeTable:
    path = state / TABLE
    if not path.exists():
        raise ConfigError(
            f"{state}: expected {TABLE}, the outcome table that the state was fitted from, beside it: "
            "fit it again with 'pinnace fit', without --no-table"
        )
    return read_table(path)
