"""`pinnace fit --from-ledger`: a candidate state of tables and ledger, promoted only where it is no worse."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rich.progress import Progress

from pinnace.cli.app import console, print_json, stderr
from pinnace.config import Config
from pinnace.errors import TableError
from pinnace.eval.embedding_cache import embed_cached
from pinnace.eval.gate_rows import EmbeddedTexts
from pinnace.eval.join import join_tables
from pinnace.eval.learning import FOLDS, LearningRows, cross_validate, recorded_card, why_not_comparable
from pinnace.eval.ledger_table import LedgerTable, ledger_table, without_evidence
from pinnace.eval.members import only_members
from pinnace.eval.promotion import Verdict
from pinnace.eval.table import OutcomeTable
from pinnace.eval.table_file import read_table, write_table
from pinnace.models.card import ModelCard, card_of
from pinnace.router.embedder import load_embedder
from pinnace.router.state import RouterState, default_state, load_state, save_state
from pinnace.router.types import Embedder

DEFAULT = "default"
FitStates = Callable[[OutcomeTable, Embedder, Sequence[str]], RouterState]
"""From rows, an embedder and the names of their sources to a state."""


def learn(
    fit: FitStates,
    paths: Sequence[Path],
    ledger: str,
    out: Path,
    config: Config,
    *,
    seed: int,
    force: bool,
    keep_table: bool,
    json: bool,
) -> None:
    """Fit a candidate, compare it with the state that serves, put it in its place or leave it beside.

    :param ledger: a ledger's path, or 'default' for the configuration's own.
    :raises TableError: when the ledger teaches nothing, or there are too few rows to fit on.
    """
    ledger_path = config.ledger.path if ledger == DEFAULT else Path(ledger)
    found = ledger_table(ledger_path)
    if not len(found.table):
        raise TableError(f"{ledger_path}: {_usable(found)}")
    served = serving_folder(out, config)
    serving = load_state(served) if served else None
    sources = (*(path.name for path in paths), ledger_path.name)
    seen_before = _Seen(serving.provenance.sources if serving else (), _written(served))
    rows = _rows(paths, found, ledger_path, seen_before, config)
    candidate = fit(rows.table, rows.embedded, sources)
    beside = candidate_folder(out)
    table = partial(write_table, rows.table) if keep_table else None
    save_state(candidate, beside, table=table)

    def fit_part(table: OutcomeTable, embedder: Embedder) -> RouterState:
        return fit(table, embedder, sources)

    verdict = _compare(serving, fit_part, rows, config, seed) if serving else None
    refusal = why_not_comparable(serving, candidate) if serving else ""
    is_promoted = force or verdict is None or (verdict.is_promoted and not refusal)
    if is_promoted:
        save_state(candidate, out, table=table)
        shutil.rmtree(beside)
    told = _Learnt(candidate, found, verdict, refusal, out if is_promoted else beside, is_promoted)
    print_json(told.as_dict()) if json else told.print()


def serving_folder(out: Path, config: Config) -> Path | None:
    """Where the state lies that would be replaced: in `out`, else the one that the configuration serves;
    None where there is neither.
    """
    folders = (out, config.router.state or default_state())
    return next((folder for folder in folders if (folder / "state.json").exists()), None)


def candidate_folder(out: Path) -> Path:
    """Where a candidate waits."""
    return out.with_name(f"{out.name}.candidate")


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the serving state was fitted on: names of files, and when it was written, Unix seconds."""

    sources: tuple[str, ...]
    written: float

    def ids(
        self, tables: Sequence[OutcomeTable], paths: Sequence[Path], found: LedgerTable, ledger: Path
    ) -> set[str]:
        """The rows that were among it: of known files all, of a known ledger those that are older."""
        known = [table for table, path in zip(tables, paths, strict=True) if path.name in self.sources]
        seen = {name for table in known for name in table.ids}
        if ledger.name in self.sources:
            old = zip(found.table.ids, (found.created <= self.written).tolist(), strict=True)
            seen |= {name for name, is_old in old if is_old}
        return seen


def _written(folder: Path | None) -> float:
    return (folder / "state.json").stat().st_mtime if folder else 0.0


def _rows(
    paths: Sequence[Path], found: LedgerTable, ledger: Path, seen_before: _Seen, config: Config
) -> LearningRows:
    """Tables and ledger as one, with what the serving state has seen of them."""
    tables = [only_members(read_table(path)) for path in paths]
    judged = [model for table in tables for model in table.evidence]
    table = join_tables([*tables, without_evidence(found.table, judged)])
    rows: list[int] = np.nonzero(~found.is_known)[0].tolist()
    columns: list[int] = np.nonzero(~found.is_known)[1].tolist()
    expected = {(found.table.ids[i], found.table.models[j]) for i, j in zip(rows, columns, strict=True)}
    embedder = load_embedder(config.router.embedder)
    seen = seen_before.ids(tables, paths, found, ledger)
    return LearningRows(
        table=table,
        embedded=EmbeddedTexts(embedder.name, table.prompts, embed_cached(embedder, table.prompts)),
        is_known=np.array([[(i, m) not in expected for m in table.models] for i in table.ids], dtype=bool),
        is_seen=np.array([name in seen for name in table.ids], dtype=bool),
        cards=_cards(config, table),
    )


def _compare(
    serving: RouterState,
    fit: Callable[[OutcomeTable, Embedder], RouterState],
    rows: LearningRows,
    config: Config,
    seed: int,
) -> Verdict:
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        task = progress.add_task("cross-validating", total=FOLDS)
        return cross_validate(
            serving, fit, rows, policy=config.router.policy, seed=seed, on_fold=lambda: progress.advance(task)
        )


def _cards(config: Config, table: OutcomeTable) -> tuple[ModelCard, ...]:
    """The cards of the fleet members that the rows tell of; of a fleet of other models, the rows' own."""
    cards = [card_of(member, backend=member.backend) for member in config.fleet]
    known = tuple(card for card in cards if card.estimates in table.models)
    return known if len(known) > 1 else tuple(recorded_card(model) for model in table.models)


def _usable(found: LedgerTable) -> str:
    """How many requests teach something, and why others do not."""
    reasons = "; ".join(f"{count}: {reason}" for reason, count in sorted(found.unused.items()))
    unused = f" ({reasons})" if reasons else ""
    return (
        f"{len(found.table)} of {found.rows} requests teach something{unused}: {found.rated} rated answers, "
        f"{found.compared} compared drafts, {found.expected} expected scores"
    )


@dataclass(frozen=True, slots=True)
class _Learnt:
    """What became of the candidate."""

    state: RouterState
    found: LedgerTable
    verdict: Verdict | None
    refusal: str
    folder: Path
    is_promoted: bool

    @property
    def why(self) -> str:
        return self.refusal or (self.verdict.why if self.verdict else "no state serves yet")

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        found = self.found
        return {
            "out": str(self.folder),
            "is_promoted": self.is_promoted,
            "why": self.why,
            "rows": self.state.provenance.rows,
            "models": self.state.models,
            "verdict": asdict(self.verdict) if self.verdict else None,
            "ledger": {
                "requests": found.rows,
                "used": len(found.table),
                "rated": found.rated,
                "compared": found.compared,
                "expected": found.expected,
                "unused": found.unused,
            },
        }

    def print(self) -> None:
        """For people."""
        verb = "replaces" if self.is_promoted else "does not replace"
        lines = [
            _usable(self.found),
            f"the new state of {self.state.provenance.rows} rows {verb} the one that serves: {self.why}",
        ]
        if verdict := self.verdict:
            lines.append(
                f"  quality {verdict.quality_gain:+.4f}, cost {verdict.extra_usd_per_1k:+.4g} USD per 1,000; "
                f"{verdict.differing} rows served differently, {verdict.unknown} not comparable"
            )
        for line in (*lines, f"  written to {self.folder}"):
            console.print(line, highlight=False)
