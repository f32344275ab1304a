"""The published protocols: their rows, their splits and their figures, for every method that fits them.

All choices are made on the rows that a protocol trains on. Published numbers stand beside ours as they were
published; ours are in-domain supervised where the protocol's own routers were trained on other data.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from threadpoolctl import threadpool_limits  # pyright: ignore

from pinnace.eval.bootstrap import draw_weights
from pinnace.eval.methods import METHODS
from pinnace.eval.pool import Pool, whole_pool
from pinnace.eval.protocol_run import ProtocolRun, plain_interval
from pinnace.eval.recorded_rows import Embed, recorded_rows
from pinnace.eval.replay import Replay, replay
from pinnace.eval.replay_json import replay_json
from pinnace.eval.report_parts import report_parts
from pinnace.eval.routellm import run_routellm
from pinnace.eval.routerdc import run_routerdc
from pinnace.eval.share_curves import Pair, share_panel
from pinnace.eval.table import OutcomeTable


@dataclass(frozen=True, slots=True)
class Protocol:
    """A protocol in words, its published figures, which of ours they are to be compared with, and what runs
    it."""

    note: str
    published: Mapping[str, str]
    run: Callable[[OutcomeTable, Embed, int, int], ProtocolRun]
    beside: Mapping[str, str] = field(default_factory=dict[str, str])


def run_protocol(name: str, table: OutcomeTable, embed: Embed, *, seeds: int, draws: int) -> ProtocolRun:
    """Run a protocol of `PROTOCOLS` on its table.

    :raises TableError: when the table is not the protocol's.
    """
    with threadpool_limits(1):
        return PROTOCOLS[name].run(table, embed, seeds, draws)


def protocol_json(name: str, found: ProtocolRun, source: str, *, seeds: int, draws: int) -> dict[str, Any]:
    """What `--json` prints: `table`, `protocol`, `note`, `published`, `seeds`, `draws`, and `methods`: per
    method each figure with `value`, `low` and `high`.
    """
    protocol = PROTOCOLS[name]
    return {
        "table": source,
        "protocol": name,
        "note": protocol.note,
        "seeds": seeds,
        "draws": draws,
        "published": dict(protocol.published),
        "methods": found.methods,
    }


def protocol_parts(name: str, found: ProtocolRun, source: str, *, draws: int) -> dict[str, Any]:
    """What a report shows beside: `labels` and `kinds` of the methods, `beside` (by figure, the name and the
    number of the published one), `pairs` (as `SharePanel`), and `replay` (as `replay_json`), or null.
    """
    protocol = PROTOCOLS[name]
    with threadpool_limits(1):
        pairs = [share_panel(_bounded(pair), draw_weights(len(pair.weak), draws, 0)) for pair in found.pairs]
    done = found.replay
    methods = {**METHODS, **found.shown}
    return {
        "labels": {name: method.label for name, method in methods.items()},
        "kinds": {name: method.kind for name, method in methods.items()},
        "beside": {
            figure: {"name": said, "value": float(protocol.published[said])}
            for figure, said in protocol.beside.items()
        },
        "pairs": [panel.as_json() for panel in pairs],
        "replay": None if done is None else replay_json(done, source) | report_parts(done),
    }


def _bounded(pair: Pair) -> Pair:
    """The pair with the oracle among the methods: rows that the strong model wins go there first."""
    return Pair(pair.name, pair.weak, pair.strong, {**pair.needs, "oracle": (pair.strong - pair.weak)[None]})


def _routerbench(table: OutcomeTable, embed: Embed, seeds: int, draws: int) -> ProtocolRun:
    recorded = recorded_rows(table, whole_pool(table), embed)
    names = {
        "aiq": "area",
        "aiq_by_largest": "aiq_by_largest",
        "accuracy": "accuracy",
        "usd_per_1k": "cost_usd_per_1k",
    }
    return _picked(replay(recorded, seeds=seeds, draws=draws), names)


def _llmrouterbench(table: OutcomeTable, embed: Embed, seeds: int, draws: int) -> ProtocolRun:
    recorded = recorded_rows(table, Pool(table.models), embed)
    names = {
        "average_accuracy": "accuracy",
        "gain_over_best_single": "gain_over_best_single",
        "gap_to_oracle": "gap_to_oracle",
        "usd_per_1k": "cost_usd_per_1k",
    }
    return _picked(replay(recorded, seeds=seeds, draws=draws), names)


def _picked(done: Replay, names: Mapping[str, str]) -> ProtocolRun:
    methods = {
        name: {shown: plain_interval(of.figures[figure].interval()) for shown, figure in names.items()}
        for name, of in done.methods.items()
    }
    return ProtocolRun(methods, replay=done)


PROTOCOLS: Mapping[str, Protocol] = {
    "routerdc": Protocol(
        "mean test accuracy of five tasks, choices made on the train split alone",
        {"RouterDC, average": "58.54", "RouterDC, without HumanEval": "60.42", "best single": "54.56"},
        run_routerdc,
        {"average": "RouterDC, average", "average_without_humaneval": "RouterDC, without HumanEval"},
    ),
    "routellm": Protocol(
        "five-fold in-domain supervised, where RouteLLM's routers were trained on preferences",
        {"RouteLLM, MMLU APGR": "0.603", "RouteLLM, GSM8K APGR": "0.622"},
        run_routellm,
        {"mmlu_apgr": "RouteLLM, MMLU APGR", "gsm8k_apgr": "RouteLLM, GSM8K APGR"},
    ),
    "routerbench": Protocol("AIQ over 70/30 splits by a hash of the id, all models", {}, _routerbench),
    "llmrouterbench": Protocol(
        "accuracy over 70/30 splits by a hash of the id, all models, cost not counted",
        {"Avengers on LLMRouterBench's own 20 models": "71.94"},
        _llmrouterbench,
    ),
}
