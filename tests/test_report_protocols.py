"""Protocols in the report: beside what was published, with their pairs' curves or their replay."""

from report_samples import NAN, NASTY, page_of, sample

from pinnace.eval.report import write_report


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


def test_a_protocol_of_pairs_has_its_curves_and_its_figures_drawn(tmp_path):
    page = page_of(protocol_of_pairs(), tmp_path)
    assert page.count("<svg") == 2
    for said in ("Accuracy over calls to the large model", "MMLU APGR", "label of pinnace", "0.603"):
        assert said in page


def test_a_protocol_read_off_a_replay_has_the_pictures_of_the_replay(tmp_path):
    protocol = {**protocol_of_pairs(), "protocol": "routerbench", "pairs": [], "replay": sample()}
    page = page_of(protocol, tmp_path)
    assert page.count("<svg") == 7
    for said in ("Pinnace is above the best peer (kNN-40)", "Single models", "tide, sail"):
        assert said in page
