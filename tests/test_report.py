"""The report: one page with everything in it, foreign text escaped, the same bytes each time."""

import copy
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from test_gate_report import judged

from pinnace.errors import PinnaceError
from pinnace.eval.figures.drawing import draw_figures
from pinnace.eval.figures.sketches import REPLAY
from pinnace.eval.gate_parts import gate_parts
from pinnace.eval.gate_report import report_gate
from pinnace.eval.report import write_report
from pinnace.eval.report_words import decimals, differences, interval, number, title
from pinnace.router.drift import drift, reference_of

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


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_report([sample()], folder, command="pinnace eval replay made_up.parquet --report here")
    return folder


@pytest.fixture(scope="module")
def html(written):
    return (written / "report.html").read_text(encoding="utf-8")


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


def test_the_page_is_whole_and_every_reference_leads_to_the_one_thing_that_it_names(tmp_path):
    write_report([sample(), sample()], tmp_path)
    tags = read((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert tags.open == []
    assert len(tags.ids) == len(set(tags.ids))
    assert tags.references <= set(tags.ids)
    assert {"svg", "table", "figure"} <= tags.names


def test_the_page_needs_nothing_from_elsewhere(html):
    tags = read(html)
    assert "://" not in html
    assert not tags.names & {"script", "link", "img", "iframe", "object", "embed", "base"}
    assert "@import" not in html
    assert "content=\"default-src 'none'; style-src 'unsafe-inline'\"" in html


def test_every_picture_is_there(html):
    assert html.count("<svg") == 6
    assert [drawing.name for drawing in draw_figures(plain(sample()), REPLAY)] == [
        "cost-quality",
        "routers",
        "areas",
        "reliability",
        "cluster-map",
        "cluster-gains",
    ]


def test_all_numbers_appear(html):
    for each in sample()["methods"].values():
        for name in ("area", "small_accuracy"):
            assert number(each[name]) in html
            assert interval(each[f"{name}_low"], each[f"{name}_high"]) in html
        apgr = each["metrics"]["apgr"]
        assert f"<td>{number(apgr['value'], 3)}" in html
        assert interval(apgr["low"], apgr["high"], 3) in html
    for said in ("12,345", "3,601, 3,602", "1,000", "70%", "17 rows of a task", "0 is the weak model"):
        assert said in html
    for said in ("51.25", "49.50", "70.75", "tide, sail", "12.5", "−1.5", "9.5 to 16.5", "66.7 %"):
        assert said in html
    assert "QNC" not in html  # not defined for any method
    assert "rows without a score" not in html  # none was left out for it
    assert "pinnace eval replay made_up.parquet --report here" in html


def test_the_json_has_every_figure_and_no_nan(written):
    def refuse(name):
        raise AssertionError(name)

    text = (written / "figures.json").read_text(encoding="utf-8")
    found = json.loads(text, parse_constant=refuse)
    assert found["tables"] == [plain(sample())]
    assert found["tables"][0]["methods"]["pinnace"]["metrics"]["qnc"]["value"] is None
    assert found["format"] == 1


def plain(report):
    """The report as JSON knows it: lists for arrays, nothing for NaN."""
    return json.loads(re.sub(r"\bNaN\b", "null", json.dumps(report, default=lambda array: array.tolist())))


def test_the_same_figures_give_the_same_bytes(written, tmp_path):
    write_report([sample()], tmp_path, command="pinnace eval replay made_up.parquet --report here")
    for name in ("report.html", "figures.json"):
        assert (tmp_path / name).read_bytes() == (written / name).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figures.json", "report.html"]


def test_foreign_text_is_escaped_everywhere(tmp_path):
    report = sample()
    report |= {"table": NASTY, "large": NASTY, "small": [NASTY], "normalisation": {NASTY: NASTY}}
    report["dropped"] = {NASTY: 3}
    report["methods"] = {NASTY: method(NASTY, "peer", 61.0), **report["methods"]}
    report["delta_vs_best_peer"]["peer"] = NASTY
    report["singles"][NASTY] = {"cost": 1e-4, "quality": 50.0}
    for each in report["clusters"]:
        each |= {"label": NASTY, "best_small": NASTY}
    for each in report["reliability"]:
        each["model"] = NASTY
    write_report([report], tmp_path, command=NASTY)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    tags = read(page)
    assert tags.open == []
    assert "script" not in tags.names
    assert "<script" not in page
    assert "\x00" not in page
    assert "定律" in page
    assert json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))["tables"][0]["table"] == NASTY


def test_a_table_with_little_in_it_is_reported_too(tmp_path):
    write_report([bare()], tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 3
    assert "distinguishable" not in page


def test_a_protocol_is_a_table_beside_what_was_published(tmp_path):
    figures = {
        "mmlu": {"value": 61.25, "low": 60.5, "high": 62.0},
        "mean": {"value": NAN, "low": NAN, "high": NAN},
    }
    protocol = {
        "table": "dc.parquet",
        "protocol": "routerdc",
        "note": "on its own split",
        "seeds": 5,
        "draws": 100,
    }
    protocol |= {"published": {"RouterDC": "58.54"}, "methods": {"pinnace": figures}}
    write_report([protocol], tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for said in ("61.25", "60.50 to 62.00", "RouterDC", "58.54", "on its own split", "protocol routerdc"):
        assert said in page


def protocol_of_pairs():
    """A protocol's report with a pair of models, as `protocol_json` and `protocol_parts` give it."""
    figures = {"mmlu_apgr": {"value": 0.61, "low": 0.58, "high": 0.64}}
    share = [0.0, 0.5, 1.0]
    curve = {"accuracy": [60.0, 72.0, 80.0], "over_blind": [0.0, 2.0, 0.0]}
    curve |= {"over_blind_low": [0.0, 1.0, 0.0], "over_blind_high": [0.0, 3.0, 0.0]}
    curve |= {"apgr": 0.61, "cpt50": 0.4, "cpt80": 0.75}
    names = {"pinnace": "ours", "knn40": "peer", "oracle": "bound"}
    pair = {"name": "mmlu", "rows": 600, "weak": 60.0, "strong": 80.0, "share": share}
    return {
        "table": NASTY,
        "protocol": "routellm",
        "note": NASTY,
        "seeds": 1,
        "draws": 20,
        "published": {"RouteLLM, MMLU APGR": "0.603"},
        "methods": {"pinnace": figures, "knn40": figures},
        "labels": {name: f"label of {name}" for name in names},
        "kinds": names,
        "beside": {"mmlu_apgr": {"name": "RouteLLM, MMLU APGR", "value": 0.603}},
        "pairs": [{**pair, "curves": dict.fromkeys(names, curve)}],
        "replay": None,
    }


def gate():
    """A gate's report, as the command line puts it together."""
    found = report_gate(judged(), draws=100, drift=drift(judged().evidence, reference_of(judged().evidence)))
    return {"table": NASTY, "judged_by": "cross-validation", **found.as_json(), **gate_parts(found)}


def section_of(report, folder):
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


def test_a_protocol_of_pairs_has_its_curves_and_its_figures_drawn(tmp_path):
    page = section_of(protocol_of_pairs(), tmp_path)
    assert page.count("<svg") == 2
    for said in ("Accuracy over calls to the large model", "MMLU APGR", "label of pinnace", "0.603"):
        assert said in page


def test_a_protocol_read_off_a_replay_has_the_pictures_of_the_replay(tmp_path):
    protocol = {**protocol_of_pairs(), "protocol": "routerbench", "pairs": [], "replay": sample()}
    page = section_of(protocol, tmp_path)
    assert page.count("<svg") == 7
    for said in ("Pinnace is above the best peer (kNN-40)", "Single models", "tide, sail"):
        assert said in page


def test_a_gate_has_a_page_of_its_own(tmp_path):
    page = section_of(gate(), tmp_path)
    assert page.count("<svg") == 4
    for said in ("The gate, measured", "above that of the mean log-probability by", "Risk over coverage"):
        assert said in page
    for said in ("The gate, task by task", "The cascade", "Drift from what was fitted", "excess AURC"):
        assert said in page


def test_a_gate_whose_answers_are_all_right_is_reported_too(tmp_path):
    rows = replace(judged(large=False), right=np.ones(400))
    found = report_gate(rows, draws=100)
    plain = {"table": "t", "judged_by": "state", **found.as_json(), **gate_parts(found)}
    page = section_of(plain, tmp_path)
    assert page.count("<svg") == 2  # no AUROC, and no model to climb to
    assert "nan" not in page


def test_every_picture_is_told_to_those_who_do_not_see_it(html):
    tags = read(html)
    told = re.findall(r'<svg role="img" aria-label="([^"]+)" aria-describedby="([^"]+)"', html)
    assert len(told) == html.count("<svg")
    assert {caption for _, caption in told} <= set(tags.ids)


def test_differences_say_above_below_or_not_distinguishable():
    assert differences(sample()) == [
        "In area under the cost-quality hull, Pinnace is above the best peer (kNN-40) by 1.50 points "
        "(0.50 to 2.25).",
        "In accuracy among the small models, Pinnace is not distinguishable from the best peer (kNN-40): "
        "the difference is −0.25 points (−1.00 to 0.75).",
        "In area under the cost-quality hull, Pinnace is above the content-blind mix by 1.50 points "
        "(0.50 to 2.25).",
        "In accuracy among the small models, Pinnace is below the content-blind mix by 2.50 points "
        "(1.25 to 3.50).",
    ]


def test_a_peer_of_its_own_may_be_best_in_small_accuracy():
    report = sample()
    report["delta_vs_best_peer"]["small_accuracy_peer"] = "theirs"
    assert "the best peer (theirs)" in differences(report)[1]


@pytest.mark.parametrize(
    ("values", "places"),
    [((61.5, None), 2), ((0.5,), 3), ((1.5, 0.01), 3), ((0.00125,), 5), ((0.0,), 2), ((), 2)],
)
def test_small_figures_get_more_places(values, places):
    assert decimals(*values) == places


def test_names_of_figures_are_those_that_people_know():
    assert title("average_without_humaneval") == "average, no HumanEval"
    assert (title("gsm8k_cpt50"), title("excess_aurc")) == ("GSM8K CPT(50)", "excess AURC")


def test_without_matplotlib_the_error_names_the_extra_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(PinnaceError, match=r"a report needs pinnace\[report\]"):
        write_report([sample()], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_matplotlib_is_imported_only_to_draw():
    code = "import sys, pinnace.eval.report; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_users_own_matplotlib_settings_neither_count_nor_change():
    import matplotlib

    report = plain(copy.deepcopy(bare()))
    before = draw_figures(report, REPLAY)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        assert draw_figures(report, REPLAY) == before
        assert matplotlib.rcParams["font.size"] == 30
