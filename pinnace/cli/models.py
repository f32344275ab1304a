"""`pinnace models`: the fleet, its shapes and licences, and where the weights lie."""

import json as json_module
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.table import Table

from pinnace.cli.app import DEFAULT_PATH, ConfigOption, JsonOption, app, console, print_json, read_config
from pinnace.config import FleetMember, VllmMember
from pinnace.errors import UnknownModelError
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
    members = read_config(config).fleet if name is None else (_member(name, config),)
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
    name: Annotated[str, typer.Argument(help="The fleet member.")],
    config: ConfigOption = DEFAULT_PATH,
    json: JsonOption = False,
) -> None:
    """Show one member's card: prices, abilities, shape, licence.

    Example: [bold]pinnace models card smollm2-135m[/bold]
    """
    member = _member(name, config)
    facts: dict[str, Any] = member.model_dump(mode="json", exclude={"api_key", "script"})
    if isinstance(member, VllmMember):
        facts |= _local_facts(member)
    if json:
        print_json(facts)
        return
    for key, value in facts.items():
        console.print(f"{key:16} {value}", highlight=False, soft_wrap=True)


def _member(name: str, config: Path) -> FleetMember:
    fleet = {member.name: member for member in read_config(config).fleet}
    if name not in fleet:
        raise UnknownModelError(f"the fleet has no model {name!r}; it has: {', '.join(fleet)}")
    return fleet[name]


def _facts(member: FleetMember) -> dict[str, str]:
    facts = {
        "name": member.name,
        "backend": member.backend,
        "price": f"{member.price.input:g} / {member.price.output:g}",
    }
    if isinstance(member, VllmMember):
        facts["note"] = member.weights[0].partition("#")[0]
    return facts


def _local_facts(member: VllmMember) -> dict[str, Any]:
    """What the fetched weights say of themselves."""
    weights = resolve_weights(member.weights, cache=default_cache())
    manifest = read_manifest(weights.folder)
    shape = cast(Mapping[str, Any], json_module.loads((weights.folder / "config.json").read_bytes()))
    return {
        "source": weights.source,
        "folder": str(weights.folder),
        "licence": manifest.license if manifest else None,
        "layers": shape.get("num_hidden_layers"),
        "width": shape.get("hidden_size"),
        "heads": shape.get("num_attention_heads"),
        "kv_heads": shape.get("num_key_value_heads"),
        "vocabulary": shape.get("vocab_size"),
        "trained_window": shape.get("max_position_embeddings"),
    }
