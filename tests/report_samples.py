"""Reports made up for tests, and a reader of their pages."""

import json
import re
from html.parser import HTMLParser

import numpy as np

from pinnace.eval.report import write_report

NASTY = "<script>alert('1')</script> & \"$x^$\" 定律\x00\n--> ]]>"

NAN = float("nan")

VOID = {"meta", "br"}


def method(label, kind, area, *, curve=True):
    costs = np.linspace(1e-5, 1e-3, 9)
    quality = area - 10 + 20 * np.sqrt((costs - costs[0]) / (costs[-1] - costs[0]))
    line = {"cost": costs.tolist(), "quality": quality, "low": quality - 1, "high": quality + 1}
    return {
        "label": label,
        "kind": kind,
        "area": area,
        "area_low": area - 1.25,
        "area_high": area + 1.5,
        "small_accuracy": area - 5.125,
        "small_accuracy_low": area - 6.0,
        "small_accuracy_high": area - 4.0,
        "curve": line if curve else None,
        "metrics": {
            "apgr": {"value": area / 100, "low": area / 100 - 0.0125, "high": area / 100 + 0.0125},
            "qnc": {"value": NAN, "low": NAN, "high": NAN},
            "cpt50": None,
        },
    }


def cluster(label, rows, gain, x):
    return {
        "label": label,
        "rows": rows,
        "share": rows / 300,
        "best_small": "org/small",
        "best_small_quality": 40.25,
        "large_quality": 40.25 + gain,
        "gain": gain,
        "gain_low": gain - 3,
        "gain_high": gain + 4,
        "x": x,
        "y": x * x,
    }


def sample():
    """A report as `replay_json` and `report_parts` give it."""
    delta = {"area": 1.5, "area_low": 0.5, "area_high": 2.25}
    delta |= {"small_accuracy": -0.25, "small_accuracy_low": -1.0, "small_accuracy_high": 0.75}
    blind = delta | {"small_accuracy": -2.5, "small_accuracy_low": -3.5, "small_accuracy_high": -1.25}
    bins = [0.125, 0.375, 0.625, 0.875]
    return {
        "table": "made_up.parquet",
        "rows": 12_345,
        "dropped": {"rows of a task that was not asked for": 17, "rows without a score": 0},
        "test_rows": [3_601, 3_602],
        "seeds": 2,
        "draws": 1_000,
        "train_share": 0.7,
        "small": ["org/small", "org/other"],
        "large": "org/large",
        "normalisation": {"area": "area under the hull", "apgr": "0 is the weak model"},
        "cost_low": 1e-5,
        "cost_high": 1e-3,
        "methods": {
            "pinnace": method("Pinnace", "ours", 61.5),
            "knn40": method("kNN-40", "peer", 60.0),
            "content_blind": method("content-blind mix", "control", 55.0),
            "best_single": method("best single", "control", 54.0, curve=False),
            "theirs": method("theirs", "foreign", 58.0),
            "oracle": method("oracle", "bound", 80.0),
        },
        "singles": {
            "org/small": {"cost": 1e-5, "quality": 51.25},
            "org/other": {"cost": 2e-5, "quality": 49.5},
            "org/large": {"cost": 1e-3, "quality": 70.75},
        },
        "delta_vs_best_peer": {"peer": "knn40", **delta},
        "delta_vs_blind": blind,
        "clusters": [cluster("tide, sail", 200, 12.5, 0.0), cluster("oven, flour", 100, -1.5, 1.0)],
        "reliability": [
            {
                "model": "org/small",
                "what": what,
                "confidence": bins,
                "right": bins,
                "low": [each - 0.1 for each in bins],
                "high": [each + 0.1 for each in bins],
                "counts": [25.0] * 4,
                "ece": 0.0123,
            }
            for what in ("estimate", "gate")
        ],
    }


def bare():
    """What a table of two models without a large one has, at one cost and without clusters."""
    report = sample()
    report |= {"large": None, "clusters": [], "reliability": [], "cost_low": 0.0, "cost_high": 0.0}
    report |= {
        "delta_vs_best_peer": None,
        "delta_vs_blind": None,
        "methods": {"pinnace": method("Pinnace", "ours", 9.0)},
    }
    report["singles"] = {"a": {"cost": 0.0, "quality": 50.0}, "b": {"cost": 0.0, "quality": NAN}}
    report["methods"]["pinnace"]["curve"]["cost"] = [0.0] * 9
    return report


def plain(report):
    """The report as JSON knows it: lists for arrays, nothing for NaN."""
    return json.loads(re.sub(r"\bNaN\b", "null", json.dumps(report, default=lambda array: array.tolist())))


class Tags(HTMLParser):
    """Reads a page and notes what is open, every id, and every reference within the page."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.references, self.names = [], [], set(), set()

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.note(attrs)

    def handle_startendtag(self, tag, attrs):
        self.names.add(tag)
        self.note(attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def note(self, attrs):
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            self.references |= set(re.findall(r"url\(#([^)]+)\)", value or ""))
            if name == "href":
                self.references.add(value.removeprefix("#"))


def read(page):
    tags = Tags()
    tags.feed(page)
    tags.close()
    return tags


def page_of(report, folder):
    """The page of one report, checked for what every page must be."""
    for name in ("once", "twice"):
        write_report([report], folder / name)
    page = (folder / "once" / "report.html").read_bytes()
    assert page == (folder / "twice" / "report.html").read_bytes()
    tags = read(page.decode())
    assert tags.open == []
    assert tags.references <= set(tags.ids)
    assert len(tags.ids) == len(set(tags.ids))
    assert b"://" not in page
    assert "script" not in tags.names
    assert json.loads((folder / "once" / "figures.json").read_text(encoding="utf-8"))["format"] == 1
    return page.decode()
