"""Domains: rows that one specialist is to learn, each with a name. Pure.

In a file, all rows are one domain, or those of each `domain` that rows name. In a ledger they are found:
clusters of the router's state where the teacher answers most, and clusters that are answered alike are one.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pinnace.errors import ConfigError
from pinnace.eval.grow.examples import Taught
from pinnace.eval.grow.splits import MIN_EXAMPLES

MOST_SHARE = 0.5
"""Of a cluster's requests, answered by the teacher, from which on it "answers most"."""
ALIKE = 0.5
"""Shared answers, of all answers of two clusters, from which on both are one domain."""
_ODD = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Domain:
    """Rows that one specialist is to learn. `clusters` are the state's labels where they were found."""

    name: str
    rows: tuple[Taught, ...]
    clusters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """A served request: the cluster that it falls into, whether the teacher answered, and what it teaches."""

    cluster: int
    is_teachers: bool
    taught: Taught | None


def named_domains(rows: Sequence[Taught], name: str) -> tuple[Domain, ...]:
    """The domains of a file: those that its rows name, and `name` for the others."""
    found: dict[str, list[Taught]] = {}
    for each in rows:
        found.setdefault(each.domain or name, []).append(each)
    return tuple(Domain(slug(each), tuple(own)) for each, own in found.items())


def found_domains(
    placed: Sequence[Placed], labels: Sequence[str], least: int = MIN_EXAMPLES
) -> tuple[Domain, ...]:
    """The domains of served requests, the largest first.

    :param labels: of the clusters.
    :param least: different requests that a domain must teach by.
    """
    clusters = [at for at in sorted({each.cluster for each in placed}) if _is_teachers(placed, at)]
    groups: list[list[int]] = []
    answers = {at: _answers(placed, at) for at in clusters}
    for at in sorted(clusters, key=lambda at: -sum(answers[at].values())):
        home = next((group for group in groups if _are_alike(answers[at], answers[group[0]])), None)
        groups.append([at]) if home is None else home.append(at)
    domains = [_domain(placed, group, labels) for group in groups]
    enough = [each for each in domains if len({row.id for row in each.rows}) >= least]
    return tuple(sorted(enough, key=lambda each: -len(each.rows)))


def slug(text: str) -> str:
    """A name that a fleet member can have."""
    return _ODD.sub("-", text.lower()).strip("-")[:48].strip("-") or "grown"


def check_names(domains: Sequence[Domain], taken: Collection[str]) -> None:
    """Refuse names that belong to somebody else.

    :raises ConfigError: names them.
    """
    names = [each.name for each in domains]
    if doubled := sorted({name for name in names if names.count(name) > 1 or name in {*taken, "auto"}}):
        raise ConfigError(f"grow: expected names of their own, got {', '.join(doubled)}; give another --name")


def _is_teachers(placed: Sequence[Placed], cluster: int) -> bool:
    own = [each.is_teachers for each in placed if each.cluster == cluster]
    return sum(own) >= MOST_SHARE * len(own)


def _answers(placed: Sequence[Placed], cluster: int) -> Counter[str]:
    return Counter(each.taught.row.answer for each in placed if each.cluster == cluster and each.taught)


def _are_alike(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    """Whether most of the answers of two clusters are answers of both."""
    shared = set(one) & set(other)
    both = sum(one[each] + other[each] for each in shared)
    total = sum(one.values()) + sum(other.values())
    return total > 0 and both >= ALIKE * total


def _domain(placed: Sequence[Placed], group: Sequence[int], labels: Sequence[str]) -> Domain:
    rows = tuple(each.taught for each in placed if each.cluster in group and each.taught is not None)
    told = tuple(labels[at] for at in group)
    return Domain(slug("-".join(told[0].split(", ")[:2])), rows, told)
