"""Who may import whom: the arrows of docs/architecture.md, read off the imports themselves."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "pinnace"

MAY_IMPORT = {
    "errors": set(),
    "config": {"errors"},
    "models": {"errors", "config"},
    "router": {"errors", "config", "models"},
    "server": {"errors", "config", "models", "router"},
    "agents": {"errors", "config", "models", "router"},
    "eval": {"errors", "config", "models", "router"},
    "bench": {"errors", "config", "models", "router", "server"},
    "cli": {"errors", "config", "models", "router", "server", "agents", "eval", "bench"},
    "__main__": {"cli"},
    "__init__": set(),
}
HEAVY = ("torch", "vllm", "transformers", "sentence_transformers")
SOURCES = sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    """The package, or the module at the top, that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(source: Path) -> Iterator[str]:
    """Everything that a file imports anywhere in it, by its full name."""
    package = source.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(source.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *filter(None, [node.module])])
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from (arg.value for arg in node.args if isinstance(arg, ast.Constant))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_arrow_turns_round(source: Path) -> None:
    part = part_of(source)
    parts = {name.split(".")[1] for name in imported(source) if name.startswith("pinnace.")}
    assert parts - {part} <= MAY_IMPORT[part]


def test_relative_imports_are_seen_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    source = tmp_path / "pinnace" / "models" / "x.py"
    source.parent.mkdir(parents=True)
    source.write_text(
        "from ..server import app\nfrom . import card\nfrom .card import y\n"
        "import pinnace.cli\nimport_module('pinnace.bench')\n"
    )
    models = {"pinnace.models.card", "pinnace.models.card.y"}
    assert set(imported(source)) == {"pinnace.server.app", "pinnace.cli", "pinnace.bench"} | models


def test_httpx_is_imported_in_one_module_of_the_models() -> None:
    users = {
        str(source.relative_to(PACKAGE))
        for source in SOURCES
        if any(name.split(".")[0] in ("httpx", "requests", "aiohttp") for name in imported(source))
        and part_of(source) != "bench"
    }
    assert users == {"models/http.py"}


@pytest.mark.parametrize(
    "module", ["pinnace", "pinnace.config", "pinnace.server.app", "pinnace.router.dispatch", "pinnace.cli"]
)
def test_importing_loads_nothing_heavy_and_does_nothing(module: str, tmp_path: Path) -> None:
    code = f"import sys, {module}; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("[]\n", "", 0)
    assert list(tmp_path.iterdir()) == []
