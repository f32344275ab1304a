"""The words and numbers of a report: how a figure is written, and what a difference says. Pure."""

import math
from collections.abc import Mapping
from typing import Any

Report = Mapping[str, Any]
TITLES: Mapping[str, str] = {
    "area": "area",
    "small_accuracy": "small accuracy",
    "apgr": "APGR",
    "cpt50": "CPT(50)",
    "cpt80": "CPT(80)",
    "aiq": "AIQ",
    "aiq_by_largest": "AIQ by largest cost",
    "pgr": "PGR",
    "gain_over_best_single": "gain over best single",
    "gap_to_oracle": "gap to oracle",
    "routing_accuracy": "routing accuracy",
    "arena_score": "RouterArena score",
    "audc": "AUDC",
    "qnc": "QNC",
    "accuracy": "accuracy",
    "cost_usd_per_1k": "USD per 1,000",
    "usd_per_1k": "USD per 1,000",
    "average_without_humaneval": "average, no HumanEval",
}
WORDS: Mapping[str, str] = {
    "apgr": "APGR",
    "auroc": "AUROC",
    "aurc": "AURC",
    "ece": "ECE",
    "cpt50": "CPT(50)",
    "cpt80": "CPT(80)",
    "arc": "ARC",
    "mmlu": "MMLU",
    "cmmlu": "CMMLU",
    "gsm8k": "GSM8K",
    "mtbench": "MT-Bench",
    "humaneval": "HumanEval",
    "brier": "Brier",
    "logprob": "log-probability",
    "usd": "USD",
    "1k": "1,000",
}
HEADLINES: Mapping[str, str] = {
    "area": "area under the cost-quality hull",
    "small_accuracy": "accuracy among the small models",
}


def title(figure: str) -> str:
    """A figure's name for people."""
    return TITLES.get(figure) or " ".join(WORDS.get(word, word) for word in figure.split("_"))


def unit(figure: str) -> str:
    """What a figure is counted in, and which way is better where that is not up."""
    if "usd" in figure:
        return "USD, less is better"
    if "cpt" in figure:
        return "share of calls, less is better"
    return "share of the gap" if "apgr" in figure else "points of 100"


def decimals(*values: float | None) -> int:
    """Two where a value reaches 10, three below it, and as many as show three digits where all are small."""
    largest = max((abs(value) for value in values if value is not None), default=0.0)
    if largest >= 10 or largest == 0:
        return 2
    return min(8, max(3, 2 - math.floor(math.log10(largest))))


def number(value: float | None, places: int = 2) -> str:
    """A number with a true minus sign; a dash where there is none."""
    return "–" if value is None else f"{value:.{places}f}".replace("-", "−")


def interval(low: float | None, high: float | None, places: int = 2) -> str:
    """`low to high`, or nothing."""
    return "" if low is None or high is None else f"{number(low, places)} to {number(high, places)}"


def differences(report: Report) -> list[str]:
    """A sentence for each difference between ours and the best peer, and the content-blind mix."""
    sentences: list[str] = []
    for key, against in (
        ("delta_vs_best_peer", "the best peer"),
        ("delta_vs_blind", "the content-blind mix"),
    ):
        delta = report.get(key)
        for figure, words in HEADLINES.items():
            if delta and delta.get(figure) is not None:
                sentences.append(_difference(report, delta, figure, words, against))
    return sentences


def _difference(report: Report, delta: Mapping[str, Any], figure: str, words: str, against: str) -> str:
    peer = delta.get(f"{figure}_peer", delta.get("peer"))
    named = "" if peer is None else f" ({report['methods'].get(peer, {}).get('label', peer)})"
    value, low, high = delta[figure], delta.get(f"{figure}_low"), delta.get(f"{figure}_high")
    said = f"{number(abs(value))} points"
    if low is None or high is None:
        return f"In {words}, {_ours(report)} is {said} {_side(value)} {against}{named}; no interval is known."
    if low <= 0 <= high:
        return (
            f"In {words}, {_ours(report)} is not distinguishable from {against}{named}: "
            f"the difference is {number(value)} points ({interval(low, high)})."
        )
    ends = (low, high) if value >= 0 else (-high, -low)
    return f"In {words}, {_ours(report)} is {_side(value)} {against}{named} by {said} ({interval(*ends)})."


def _side(value: float) -> str:
    return "above" if value >= 0 else "below"


def _ours(report: Report) -> str:
    labels = [method["label"] for method in report["methods"].values() if method.get("kind") == "ours"]
    return labels[0] if labels else "Pinnace"
