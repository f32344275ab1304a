"""`pinnace models`: the fleet, its shapes and licences, and where the weights lie."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from pinnace.cli.app import DEFAULT_PATH, ConfigOption, JsonOption, app, console, print_json, read_config
from pinnace.config import AdapterMember, FleetMember, VllmMember
from pinnace.errors import UnknownModelError, WeightsError
from pinnace.models.adapters.intake import source_folder
from pinnace.models.found_folder import found_folder, needed_folder
from pinnace.models.weights import default_cache, read_manifest, resolve_weights

models = typer.Typer(help="The fleet: list it, fetch its weights, read its cards.", no_args_is_help=True)
app.add_typer(models, name="models")


@models.command("list")
def list_models(config: ConfigOption = DEFAULT_PATH, json: JsonOption = False) -> None:
    """List the fleet. Example: [bold]pinnace models list[/bold]"""
    found = read_config(config)
    rows = [_facts(member) for member in found.fleet]
    rows += [{"name": name, "backend": "absent", "note": why} for name, why in found.absent.items()]
    if json:
        print_json(rows)
        return
    table = Table("name", "backend", "price in/out (USD per M tokens)", "note")
    for row in rows:
        table.add_row(row["name"], row["backend"], row.get("price", ""), row.get("note", ""))
    console.print(table)


@models.command()
def pull(
    name: Annotated[str | None, typer.Argument(help="One member; all local ones by default.")] = None,
    config: ConfigOption = DEFAULT_PATH,
    json: JsonOption = False,
) -> None:
    """Fetch the weights of the local members. Example: [bold]pinnace models pull[/bold]"""
    fleet = read_config(config).fleet
    members = [member for member in fleet if name in (None, member.name)]
    if not members:
        known = ", ".join(member.name for member in fleet)
        raise UnknownModelError(f"the fleet has no model {name!r}; it has: {known}")
    pulled: list[dict[str, str]] = []
    for member in members:
        if isinstance(member, VllmMember):
            weights = resolve_weights(member.weights, cache=default_cache())
            pulled.append({"name": member.name, "source": weights.source, "folder": str(weights.folder)})
    if json:
        print_json(pulled)
        return
    for row in pulled:
        console.print(f"{row['name']}: {row['source']} in {row['folder']}", highlight=False, soft_wrap=True)


@models.command()
def card(
    name: Annotated[
        str,
        typer.Argument(help="A fleet member, a folder of a model or adapter, or a cached hub repository."),
    ],
    config: ConfigOption = DEFAULT_PATH,
    context: Annotated[int, typer.Option(min=0, help="Tokens of context to state FLOPs for.")] = 1024,
    base: Annotated[str | None, typer.Option(help="Of an adapter: its base, to state its share of.")] = None,
    json: JsonOption = False,
) -> None:
    """Show a model's card: prices, abilities, shape, licence, and where it sits among published shapes.

    Example: [bold]pinnace models card smollm2-135m[/bold]
    """
    member = member_of(name, config)
    facts: dict[str, Any] = {"name": name}
    if member is not None:
        facts |= member.model_dump(mode="json", exclude={"api_key", "script"})
    if member is None or member.backend == "vllm":
        facts |= _shape_facts(name, member, config, context, base)
    if json:
        print_json(facts)
        return
    for key, value in facts.items():
        console.print(f"{key:20} {value}", highlight=False, soft_wrap=True)


def member_of(name: str, config: Path) -> FleetMember | None:
    """The fleet's member of that name; None where `name` means a folder or a cached repository instead.

    :raises UnknownModelError: where it means neither.
    """
    elsewhere = found_folder(name, default_cache()) is not None
    if elsewhere and not config.exists():
        return None
    fleet = {member.name: member for member in read_config(config).fleet}
    if name not in fleet and not elsewhere:
        raise UnknownModelError(f"the fleet has no model {name!r}; it has: {', '.join(fleet)}")
    return fleet.get(name)


def folder_of(name: str, member: FleetMember | None) -> Path:
    """Where the weights of a member, or of what `name` means, lie; fetched first where they must be.

    :raises WeightsError: where they cannot be had, or are not here by their nature.
    """
    if isinstance(member, VllmMember):
        return resolve_weights(member.weights, cache=default_cache()).folder
    if isinstance(member, AdapterMember):
        return source_folder(member.adapter, default_cache())
    if member is not None:
        raise WeightsError(f"{name}: a member with the backend {member.backend!r} has no weights here")
    return needed_folder(name, default_cache())


def _facts(member: FleetMember) -> dict[str, str]:
    facts = {
        "name": member.name,
        "backend": member.backend,
        "price": f"{member.price.input:g} / {member.price.output:g}",
    }
    if isinstance(member, VllmMember):
        facts["note"] = member.weights[0].partition("#")[0]
    return facts


def _shape_facts(
    name: str, member: FleetMember | None, config: Path, context: int, base: str | None
) -> dict[str, Any]:
    """What the files of a model or adapter say of it."""
    from pinnace.models.shapes.card import folder_facts

    folder = folder_of(name, member)
    base = base or (member.base if isinstance(member, AdapterMember) else None)
    base_folder = None if base is None else folder_of(base, member_of(base, config))
    manifest = read_manifest(folder)
    source = manifest.source if manifest else str(folder)
    return {"source": source, "folder": str(folder)} | folder_facts(folder, context=context, base=base_folder)
