"""The words of the report: differences, decimals and names."""

import pytest
from report_samples import sample

from pinnace.eval.report_words import decimals, differences, title


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
