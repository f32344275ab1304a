"""A gate in the report: a page of its own, with what can be drawn of it."""

from dataclasses import replace

import numpy as np
from report_samples import NASTY, page_of
from test_gate_report import judged

from pinnace.eval.gate_parts import gate_parts
from pinnace.eval.gate_report import report_gate
from pinnace.router.drift import drift, reference_of


def gate():
    """A gate's report, as the command line puts it together."""
    found = report_gate(judged(), draws=100, drift=drift(judged().evidence, reference_of(judged().evidence)))
    return {"table": NASTY, "judged_by": "cross-validation", **found.as_json(), **gate_parts(found)}


def test_a_gate_has_a_page_of_its_own(tmp_path):
    page = page_of(gate(), tmp_path)
    assert page.count("<svg") == 4
    for said in ("The gate, measured", "above that of the mean log-probability by", "Risk over coverage"):
        assert said in page
    for said in ("The gate, task by task", "The cascade", "Drift from what was fitted", "excess AURC"):
        assert said in page


def test_a_gate_whose_answers_are_all_right_is_reported_too(tmp_path):
    rows = replace(judged(large=False), right=np.ones(400))
    found = report_gate(rows, draws=100)
    plain = {"table": "t", "judged_by": "state", **found.as_json(), **gate_parts(found)}
    page = page_of(plain, tmp_path)
    assert page.count("<svg") == 2  # no AUROC, and no model to climb to
    assert "nan" not in page
