"""The plan of a growth: which domains, on which rows, trained for how long. Trains and asks nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from pinnace.config import VllmMember
from pinnace.errors import TrainingRowsError
from pinnace.eval.grow.budget import MOST_TOKENS, batch_for, counted_tokens, epochs_for, minutes_for
from pinnace.eval.grow.domains import Domain, check_names, found_domains, named_domains, slug
from pinnace.eval.grow.examples import Examples, checked_examples, read_examples, redacted_examples
from pinnace.eval.grow.redaction import Redactor
from pinnace.eval.grow.served import placed_requests, served_requests
from pinnace.eval.grow.setting import Setting
from pinnace.eval.grow.splits import Split, split_rows
from pinnace.models.tokens import ChatTokenizer
from pinnace.models.training.row_tokens import token_rows
from pinnace.models.training.rows import Refusal, TrainingRows
from pinnace.models.training.settings import TrainingSettings
from pinnace.router.types import Embedder

RANK = 8
MOST_ROW_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class Options:
    """What a user may ask for. `examples` are a file's rows in place of the ledger's, `holdout` what is only
    measured on; `epochs` in place of those that the budget of tokens allows."""

    examples: Path | None = None
    holdout: Path | None = None
    name: str | None = None
    epochs: int | None = None
    keep: float = 0.97
    seed: int = 0


@dataclass(frozen=True, slots=True)
class PlannedDomain:
    """One specialist to be: its name, rows, training, and the tokens of one epoch. `of` tells it from
    others."""

    name: str
    clusters: tuple[str, ...]
    split: Split
    rows: TrainingRows
    tokens: int
    settings: TrainingSettings
    of: str

    @property
    def minutes(self) -> float:
        """Of its training, on two quiet cores."""
        return minutes_for(self.tokens * self.settings.epochs)


@dataclass(frozen=True, slots=True)
class GrowthPlan:
    """All domains; the rows that were read, refused and redacted; and served requests that were not used."""

    domains: tuple[PlannedDomain, ...]
    rows: int
    refused: tuple[Refusal, ...]
    redacted: Mapping[str, int]
    unused: Mapping[str, int] = field(default_factory=dict[str, int])


def plan_growth(
    setting: Setting, options: Options, tokenizer: ChatTokenizer, embed: Callable[[], Embedder]
) -> GrowthPlan:
    """Read, redact, find domains, split, and say how long each is trained.

    :param embed: makes the router's embedder, where requests must be placed in clusters.
    :raises TrainingRowsError: when rows are not what they should be, or too few.
    :raises ConfigError: when there is no ledger, or a name is taken.
    """
    redactor = Redactor()
    unused: Mapping[str, int] = {}
    if options.examples is not None:
        raw = read_examples(options.examples, spells=tokenizer.spelled)
        found = redacted_examples(raw, redactor)
        domains = named_domains(found.kept, options.name or options.examples.stem)
    else:
        found, unused, domains = _served_domains(setting, options, redactor, tokenizer, embed)
    check_names(domains, _taken(setting))
    holdout = None if options.holdout is None else read_examples(options.holdout, spells=tokenizer.spelled)
    rows = sum(len(each.rows) for each in domains)
    planned = tuple(
        _planned(domain, _measured(domain, domains, holdout), setting.base, options, tokenizer, rows)
        for domain in domains
    )
    return GrowthPlan(planned, len(found.kept) + len(found.refused), found.refused, found.redacted, unused)


def _served_domains(
    setting: Setting,
    options: Options,
    redactor: Redactor,
    tokenizer: ChatTokenizer,
    embed: Callable[[], Embedder],
) -> tuple[Examples, Mapping[str, int], tuple[Domain, ...]]:
    """What the ledger teaches."""
    served, unused = served_requests(setting.config.ledger.path, setting.teacher.name)
    if not served:
        told = "; ".join(f"{count}: {why}" for why, count in sorted(unused.items())) or "it is empty"
        expected = "expected served requests with their text (ledger.store_text)"
        raise TrainingRowsError(f"{setting.config.ledger.path}: {expected}, got none ({told})")
    raw = checked_examples((each.asked for each in served), spells=tokenizer.spelled, most_refused=0.999)
    found = redacted_examples(raw, redactor)
    gone = {each.number for each in found.refused}
    rows = iter(found.kept)
    taught = [None if number in gone else next(rows) for number in range(1, len(served) + 1)]
    embedder = embed()

    def place(prompts: Sequence[str]) -> Any:
        return setting.state.clusters.membership(embedder.embed(prompts))[0][:, 0]

    domains = found_domains(placed_requests(served, taught, place), setting.state.clusters.labels)
    if options.name and len(domains) == 1:
        domains = (Domain(slug(options.name), domains[0].rows, domains[0].clusters),)
    return found, unused, domains


def _taken(setting: Setting) -> set[str]:
    """Names of members and of models that the state knows; those of grown specialists are free to replace."""
    grown = {member.name for member in setting.grown}
    members = (member.name for member in setting.config.fleet)
    return {*members, *setting.config.absent, *setting.state.models} - grown


def _measured(domain: Domain, domains: Sequence[Domain], holdout: Examples | None) -> tuple[Any, ...] | None:
    """The rows of the holdout that are of this domain; all of them where there is only one."""
    if holdout is None:
        return None
    if len(domains) == 1:
        return holdout.kept
    return next((each.rows for each in named_domains(holdout.kept, "") if each.name == domain.name), ())


def _planned(
    domain: Domain,
    holdout: Sequence[Any] | None,
    base: VllmMember,
    options: Options,
    tokenizer: ChatTokenizer,
    all_rows: int,
) -> PlannedDomain:
    split = split_rows(domain.rows, holdout, seed=options.seed, where=f"{domain.name}: ")
    rows = TrainingRows(tuple(each.row for each in split.train))
    made, _ = token_rows(rows, tokenizer, base.system, MOST_ROW_TOKENS)
    tokens = counted_tokens(made)
    share = MOST_TOKENS * len(domain.rows) // max(all_rows, 1)
    settings = TrainingSettings(
        rank=RANK,
        alpha=2 * RANK,
        batch=batch_for(len(made)),
        epochs=options.epochs or epochs_for(tokens, share),
        seed=options.seed,
        system=base.system,
        max_tokens=MOST_ROW_TOKENS,
    )
    told = [
        base.name,
        base.weights,
        [asdict(each) for part in (split.train, split.calibration, split.held) for each in part],
    ]
    of = sha256(repr([told, asdict(settings)]).encode()).hexdigest()[:12]
    return PlannedDomain(domain.name, domain.clusters, split, rows, tokens, settings, of)
