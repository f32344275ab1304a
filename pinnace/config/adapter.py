"""Adapters in the fleet: members that share the engine of another one, their base."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import Discriminator, Field, Tag

from pinnace.config.fleet import Member, OpenAIMember, ScriptedMember, VllmMember

INHERITED = ("price", "context_window", "tools", "json_schema", "sampling", "system", "energy")
"""What an adapter has from its base where it says nothing else."""
SLOTS = 8
"""Adapters that an engine is started for at once where nobody says how many: so many can be added later."""


class AdapterMember(Member):
    """A LoRA adapter on a model of the fleet: answers in its base's engine and batch.

    `base` names that model. What is not said here is as the base has it (`INHERITED`). `adapter` is where its
    files are: a folder, or `hf:ORG/NAME@REVISION`.
    """

    backend: Literal["vllm"]
    base: str = Field(min_length=1)
    adapter: str = Field(min_length=1)
    system: str | None = Field(default=None, min_length=1, max_length=4096)
    tools: bool = True
    json_schema: bool = True

    def on(self, base: VllmMember) -> "AdapterMember":
        """This member with everything that it has from its base."""
        missing = [key for key in INHERITED if key not in self.model_fields_set]
        return self.model_copy(update={key: getattr(base, key) for key in missing})


WHOLE, ADAPTER = "vllm (weights of its own)", "vllm (an adapter)"
"""Which kind of `vllm` member a section is; no key has such a name."""


def _kind(section: Any) -> str:
    if isinstance(section, AdapterMember):
        return ADAPTER
    if not isinstance(section, dict):
        return WHOLE
    return ADAPTER if {"base", "adapter"} & cast(Mapping[str, Any], section).keys() else WHOLE


LocalMember = Annotated[
    Annotated[VllmMember, Tag(WHOLE)] | Annotated[AdapterMember, Tag(ADAPTER)], Discriminator(_kind)
]
FleetMember = Annotated[LocalMember | OpenAIMember | ScriptedMember, Field(discriminator="backend")]


def from_folder(fleet: Iterable[FleetMember], folder: Path) -> tuple[FleetMember, ...]:
    """The members, whose adapters' relative folders are taken from `folder`."""
    return tuple(
        member.model_copy(update={"adapter": str(folder / member.adapter)})
        if isinstance(member, AdapterMember) and not member.adapter.startswith("hf:")
        else member
        for member in fleet
    )


def adapters_on(fleet: Iterable[Member], base: str) -> list[AdapterMember]:
    """The adapters of `fleet` that share the engine of the member `base`."""
    return [member for member in fleet if isinstance(member, AdapterMember) and member.base == base]


def adapter_slots(fleet: Iterable[Member], base: VllmMember) -> int:
    """How many adapters the engine of `base` is to hold at once; 0: it is started without any."""
    if base.engine.max_adapters is not None:
        return base.engine.max_adapters
    count = len(adapters_on(fleet, base.name))
    return -(-count // SLOTS) * SLOTS


def check_bases(fleet: Iterable[Member]) -> None:
    """Refuse adapters without a base to serve them.

    :raises ValueError: names the adapter, and what is wrong with its base.
    """
    members = {member.name: member for member in fleet}
    for member in members.values():
        if isinstance(member, AdapterMember):
            base = members.get(member.base)
            if not isinstance(base, VllmMember):
                what = "no member of the fleet" if base is None else "no vllm member with weights of its own"
                raise ValueError(f"fleet: the base of {member.name!r} is {member.base!r}, which is {what}")
    for base in members.values():
        if isinstance(base, VllmMember):
            count, most = len(adapters_on(members.values(), base.name)), base.engine.max_adapters
            if most is not None and count > most:
                limit = f"{count} adapters on {base.name!r}, whose engine.max_adapters is {most}"
                raise ValueError(f"fleet: {limit}")
