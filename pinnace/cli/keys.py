"""`pinnace keys`: make API keys. A key is shown once, and kept nowhere: `router.yaml` has its hash."""

import hashlib
import secrets
from typing import Annotated

import typer
from pydantic import ValidationError

from pinnace.cli.app import JsonOption, app, console, print_json, stderr
from pinnace.config import Key
from pinnace.errors import ConfigError

PREFIX = "pk-"
KEY_BYTES = 32
"""256 random bits: nobody can guess a key from its hash, so a plain SHA-256 keeps it."""

keys = typer.Typer(help="API keys: make them.", no_args_is_help=True)
app.add_typer(keys, name="keys")


@keys.command()
def new(
    name: Annotated[str, typer.Argument(help="What the key is called in router.yaml and in the ledger.")],
    json: JsonOption = False,
) -> None:
    """Make a key: it is printed once, with the lines for router.yaml, which hold its hash.

    Example: [bold]pinnace keys new alice[/bold]
    """
    key = PREFIX + secrets.token_urlsafe(KEY_BYTES)
    digest = hashlib.sha256(key.encode()).hexdigest()
    try:
        Key(name=name, sha256=digest)
    except ValidationError:
        raise ConfigError(
            f"NAME: expected 1 to 64 letters, digits, dots, dashes or underscores, got {name!r}"
        ) from None
    if json:
        print_json({"name": name, "key": key, "sha256": digest})
        return
    stderr.print("The key, shown this once:", highlight=False)
    console.print(key, highlight=False, markup=False, soft_wrap=True)
    stderr.print("Its lines in router.yaml, under server.keys:", highlight=False)
    console.print(yaml_lines(name, digest), highlight=False, markup=False, soft_wrap=True)


def yaml_lines(name: str, digest: str) -> str:
    """An entry of `server.keys`; the name is quoted, since YAML would read some names as numbers."""
    return f'server:\n  keys:\n    - name: "{name}"\n      sha256: "{digest}"'
