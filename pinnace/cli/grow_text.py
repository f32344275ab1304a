"""What `pinnace grow` prints: for people, and the plain values of a dry run and of an undoing."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pinnace.cli.app import console
from pinnace.eval.grow.expectation import Expected
from pinnace.eval.grow.outcome import GrownDomain, Growth, figures, read_dict
from pinnace.eval.grow.plan import GrowthPlan, PlannedDomain
from pinnace.eval.grow.registry import Undone

SHOWN = 5


def print_growth(growth: Growth) -> None:
    """All of a growth, and what serves now."""
    _print_read(growth.plan)
    for domain in growth.domains:
        for line in _domain_lines(domain):
            _say(line)
    _say(f"the teacher is {growth.teacher}, whose answers were told again as the examples have them")
    _say(_routing("before", growth, of_before=True))
    if growth.after is not None:
        _say(_routing("now", growth, of_before=False))
        _say(f"registered as generation {growth.generation}; 'pinnace grow --undo' takes it back")
    else:
        _say("nothing was registered, and the routing is as it was")
    _say(f"{growth.seconds:.0f} s in all")


def dry_dict(plan: GrowthPlan, found: Sequence[Expected]) -> dict[str, Any]:
    """A dry run, for JSON."""
    pairs = zip(plan.domains, found, strict=True)
    return {"dry_run": True, "domains": [_dry(domain, each) for domain, each in pairs], **read_dict(plan)}


def print_dry(plan: GrowthPlan, found: Sequence[Expected]) -> None:
    """A dry run."""
    _print_read(plan)
    for domain, each in zip(plan.domains, found, strict=True):
        split, told = domain.split, "; ".join(domain.clusters)
        _say(f"{domain.name}" + (f" ({told})" if told else ""))
        _say(
            f"  {len(split.train)} rows to train on, {len(split.calibration)} to calibrate on, "
            f"{len(split.held)} to measure on"
        )
        _say(
            f"  {domain.settings.epochs} epochs of {domain.tokens} tokens, "
            f"about {domain.minutes:.0f} minutes on two quiet cores"
        )
        share = f"{each.bar.share:.0%}" if each.bar else "none"
        _say(f"  nearest neighbours agree on {each.accuracy:.1%} of the answers, {share} safely")
    if not plan.domains:
        _say("no domain has enough examples: nothing would be trained")


def undone_dict(found: Undone) -> dict[str, Any]:
    """An undoing, for JSON."""
    return {
        "undone": found.generation,
        "removed": found.gone,
        "restored": found.back,
        "generation": found.now,
    }


def print_undone(found: Undone) -> None:
    """An undoing."""
    gone = f"; gone: {', '.join(found.gone)}" if found.gone else ""
    back = f"; back: {', '.join(found.back)}" if found.back else ""
    now = f"generation {found.now} is in use" if found.now else "nothing grown is in use"
    _say(f"generation {found.generation} is undone{gone}{back}; {now}")


def _dry(domain: PlannedDomain, found: Expected) -> Mapping[str, Any]:
    split = domain.split
    return {
        "name": domain.name,
        "clusters": domain.clusters,
        "rows": {
            "train": len(split.train),
            "calibration": len(split.calibration),
            "holdout": len(split.held),
        },
        "epochs": domain.settings.epochs,
        "tokens": domain.tokens * domain.settings.epochs,
        "minutes": domain.minutes,
        "neighbours_accuracy": found.accuracy,
        "expected_share": found.bar.share if found.bar else 0.0,
        "expected_bar": asdict(found.bar) if found.bar else None,
    }


def _domain_lines(domain: GrownDomain) -> list[str]:
    verdict, training = domain.verdict, domain.training
    verb = "is registered" if verdict.is_registered else "is not registered"
    lines = [
        f"{domain.plan.name} {verb}: {verdict.why}",
        f"  trained on {training.rows} rows, {training.tokens} tokens in {training.seconds:.0f} s",
        f"  on {len(domain.plan.split.calibration)} calibration rows it is right on {domain.accuracy:.1%}, "
        f"the teacher on {domain.teacher_accuracy:.1%}",
    ]
    if bar := verdict.bar:
        lines.append(
            f"  at a confidence of {bar.least:.3f} and more {bar.share:.1%} of its answers stand, "
            f"and {bar.kept:.1%} of the teacher's quality is kept"
        )
    return lines


def _routing(word: str, growth: Growth, *, of_before: bool) -> str:
    found = figures(growth.before if of_before else growth.serves, growth.teacher)
    if not found["holdout_rows"]:
        return f"{word}: no rows to measure on"
    return (
        f"{word}: {found['small_share']:.1%} answered without {growth.teacher}, "
        f"{found['accuracy']:.1%} right "
        f"(the teacher: {growth.teacher_accuracy:.1%}), {found['usd_per_1k']:.4f} USD per 1,000 requests, "
        f"on {found['holdout_rows']} rows"
    )


def _print_read(plan: GrowthPlan) -> None:
    for refusal in plan.refused[:SHOWN]:
        _say(f"row {refusal.number} refused: {refusal.why}")
    if len(plan.refused) > SHOWN:
        _say(f"... and {len(plan.refused) - SHOWN} more refused")
    if plan.redacted:
        _say("redacted: " + ", ".join(f"{count} {kind}" for kind, count in sorted(plan.redacted.items())))
    for why, count in sorted(plan.unused.items()):
        _say(f"{count} served requests not used: {why}")


def _say(line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
