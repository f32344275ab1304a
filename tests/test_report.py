"""The report: one page with everything in it, foreign text escaped, the same bytes each time."""

import copy
import json
import re
import subprocess
import sys

import pytest
from report_samples import NASTY, bare, method, plain, read, sample

from pinnace.errors import PinnaceError
from pinnace.eval.figures.drawing import draw_figures
from pinnace.eval.figures.sketches import REPLAY
from pinnace.eval.report import write_report
from pinnace.eval.report_words import interval, number


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_report([sample()], folder, command="pinnace eval replay made_up.parquet --report here")
    return folder


@pytest.fixture(scope="module")
def html(written):
    return (written / "report.html").read_text(encoding="utf-8")


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


def test_every_picture_is_told_to_those_who_do_not_see_it(html):
    tags = read(html)
    told = re.findall(r'<svg role="img" aria-label="([^"]+)" aria-describedby="([^"]+)"', html)
    assert len(told) == html.count("<svg")
    assert {caption for _, caption in told} <= set(tags.ids)


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
