"""The measured matrix: figures against hand counts, its report, and the command."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from cli_fixtures import configure, runner
from report_samples import page_of
from test_fit import table_of

from pinnace.errors import TableError
from pinnace.eval.gate_rows import EmbeddedTexts, judge_by
from pinnace.eval.matrix import confidences, matrix_of
from pinnace.eval.matrix_gate import judged_table
from pinnace.eval.matrix_parts import matrix_parts
from pinnace.eval.members import only_members
from pinnace.eval.table import OutcomeTable
from pinnace.eval.table_file import read_table, write_table
from pinnace.router.embedder import load_embedder
from pinnace.router.state import load_state

ROWS = 60


def evidence(sure, **more):
    return {"whole": {"mean": math.log(sure)}, "prompt_tokens": 10, "completion_tokens": 2, **more}


def table():
    """Two suites of 60 prompts; `base` is right on half of each, `better` on four fifths and surer there,
    `auto` as `better`; ten prompts of the first are out of scope."""
    n = 2 * ROWS + 10
    tasks = ("intents",) * ROWS + ("sums",) * ROWS + ("intents/out_of_scope",) * 10
    base = np.array([float(i % 2) for i in range(n)])
    better = np.array([float(i % 5 > 0) for i in range(n)])
    better[-10:] = 1.0
    sure = np.where(better == 1.0, 0.9, 0.3)
    good = [evidence(each, rejected=i >= 2 * ROWS) for i, each in enumerate(sure)]
    routed = [
        evidence(0.5, confidence=each, answered_by="better" if i % 4 else "base", escalated=i % 4 == 0)
        for i, each in enumerate(sure)
    ]
    return OutcomeTable(
        ids=tuple(f"r{i}" for i in range(n)),
        tasks=tasks,
        prompts=tuple(f"p{i}" for i in range(n)),
        models=("base", "better", "auto"),
        scores=np.stack([base, better, better], axis=1),
        costs=np.tile([0.001, 0.002, 0.003], (n, 1)),
        evidence={"better": tuple(good), "auto": tuple(routed)},
    )


@pytest.fixture(scope="module")
def found():
    return matrix_of(table(), draws=200)


def test_accuracies_gains_and_costs_are_those_of_the_rows(found):
    suite = found["suites"]["intents"]
    base, better = suite["models"]["base"], suite["models"]["better"]
    assert (suite["rows"], suite["out_of_scope"], better["rows"]) == (ROWS, 10, ROWS)
    assert (base["accuracy"], better["accuracy"]) == (0.5, 0.8)
    assert better["gain"] == pytest.approx(0.3)
    assert 0 < better["gain_low"] < 0.3 < better["gain_high"]
    assert better["accuracy_low"] < 0.8 < better["accuracy_high"]
    assert math.isnan(base["gain"])
    assert base["usd_per_1k"] == pytest.approx(1)
    assert (better["prompt_tokens"], better["completion_tokens"]) == (10, 2)
    assert math.isnan(base["prompt_tokens"])


def test_the_stream_stands_beside_an_oracle_that_knows_the_task():
    rows = table()
    scores = rows.scores.copy()
    scores[ROWS : 2 * ROWS, 1] = 1 - scores[ROWS : 2 * ROWS, 1]  # `base` leads here, 0.5 to 0.2
    found = matrix_of(replace(rows, scores=scores), draws=200)["stream"]
    assert found["rows"] == 2 * ROWS + 10
    assert found["best"] == {"intents": "better", "sums": "base", "intents/out_of_scope": "better"}
    assert found["clear"] == ["intents", "sums", "intents/out_of_scope"]
    assert found["accuracy"] == pytest.approx((2 * 48 + 10) / 130)
    assert found["oracle"] == pytest.approx((48 + 30 + 10) / 130)
    assert found["gap"] == pytest.approx(18 / 130)
    assert found["gap_low"] < 18 / 130 < found["gap_high"]
    asked = [(i, task) for i, task in enumerate(rows.tasks)]
    right = [(i % 4 == 0) == (task == "sums") for i, task in asked]
    assert found["to_best"] == pytest.approx(sum(right) / len(right))
    assert found["shares"] == pytest.approx({"better": 97 / 130, "base": 33 / 130})
    assert matrix_of(rows.take(range(130)), draws=100)["stream"]["rows"] == 130
    alone = replace(rows, models=("base", "better", "other"), evidence={})
    assert matrix_of(alone, draws=100)["stream"] == {}


def test_the_confidence_orders_answers_and_tells_what_is_out_of_scope(found):
    better = found["suites"]["intents"]["models"]["better"]
    assert better["auroc"] == 1.0
    assert better["coverage_97"] == pytest.approx(0.8)
    assert better["scope_auroc"] == 1.0
    assert math.isnan(found["suites"]["intents"]["models"]["base"]["auroc"])
    assert "scope_auroc" not in found["suites"]["sums"]["models"]["better"]


def test_the_confidence_of_a_route_goes_before_its_log_probabilities():
    assert confidences(table(), "auto", [1, 0]).tolist() == [0.9, 0.3]
    assert confidences(table(), "better", [1, 2 * ROWS]) == pytest.approx([0.9, 0.1])
    assert np.isnan(confidences(table(), "base", [0])).all()


def test_every_suite_counts_once_in_the_mean(found):
    assert found["overall"]["better"]["accuracy"] == pytest.approx(0.8)
    assert found["overall"]["better"]["gain"] == pytest.approx(0.3)


def test_routes_tell_shares_by_model(found):
    route = found["routes"]["intents"]
    assert route == {"rows": ROWS, "shares": {"better": 0.75, "base": 0.25}, "escalated": 0.25}


def test_a_model_without_a_suite_has_no_figure_there():
    rows = table()
    scores = rows.scores.copy()
    scores[:ROWS, 0] = np.nan
    holed = OutcomeTable(rows.ids, rows.tasks, rows.prompts, rows.models, scores, rows.costs)
    found = matrix_of(holed, draws=100)
    assert list(found["suites"]["intents"]["models"]) == ["better", "auto"]
    assert math.isnan(found["suites"]["intents"]["models"]["better"]["gain"])
    assert "base" not in found["overall"]
    assert math.isnan(found["overall"]["better"]["gain"])


def test_the_same_seed_gives_the_same_intervals():
    assert repr(matrix_of(table(), draws=100, seed=3)) == repr(matrix_of(table(), draws=100, seed=3))
    assert repr(matrix_of(table(), draws=100, seed=3)) != repr(matrix_of(table(), draws=100, seed=4))


def test_a_reference_that_is_not_there_and_a_table_without_scores_are_refused():
    with pytest.raises(TableError, match="reference: expected one of base, better, auto, got 'gpt'"):
        matrix_of(table(), reference="gpt")
    rows = table()
    nothing = OutcomeTable(
        rows.ids, rows.tasks, rows.prompts, rows.models, np.full_like(rows.scores, np.nan), rows.costs
    )
    with pytest.raises(TableError, match="expected a table with scores, got none"):
        matrix_of(nothing)


def test_the_report_shows_accuracies_routes_and_risks(found, tmp_path):
    page = page_of({"table": "live.parquet", **matrix_parts(found, table())}, tmp_path)
    for said in (
        "Models and routes, measured live",
        "Accuracy, suite by suite",
        "Who answered what was asked of auto",
        "Risk over coverage",
        "better is above base by 30.0 points",
        "AUROC of scope",
        "better 75.0%, base 25.0%",
        "mean of suites",
    ):
        assert said in page
    assert page.count("<svg") == 4


def test_a_table_of_one_model_and_few_rows_has_a_report_too(tmp_path):
    rows = table().take(range(5))
    one = OutcomeTable(rows.ids, rows.tasks, rows.prompts, ("base",), rows.scores[:, :1], rows.costs[:, :1])
    page = page_of({"table": "t", **matrix_parts(matrix_of(one, draws=100), one)}, tmp_path)
    assert "<svg" not in page
    assert "nan" not in page


@pytest.fixture
def pinnace(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    configure(tmp_path)
    return runner(monkeypatch, capsys, "eval")


def test_the_command_joins_tables_and_writes_a_report(pinnace, tmp_path):
    write_table(table(), tmp_path / "live.parquet")
    told = pinnace("matrix", "live.parquet", "--draws", "100", "--reference", "better", "--json").json()
    assert told["suites"]["sums"]["models"]["base"]["gain"] == pytest.approx(-0.3)
    done = pinnace("matrix", "live.parquet", "--draws", "100", "--report", "page")
    assert done.code == 0
    for said in ("mean of suites", "kept at 97 %", "asked of auto", "75.0%"):
        assert said in done.out
    figures = json.loads((tmp_path / "page" / "figures.json").read_text())
    assert figures["tables"][0]["suites"]["sums"]["models"]["better"]["accuracy"] == 0.8
    done = pinnace("matrix", "live.parquet", "-o", "joined.parquet", "--json")
    assert read_table(tmp_path / "joined.parquet").ids == read_table(tmp_path / "live.parquet").ids
    wrong = pinnace("matrix", "live.parquet", "--reference", "gpt")
    assert wrong.code == 2
    assert "reference: expected one of base, better, auto" in wrong.err


def test_gates_of_a_state_say_how_sure_members_are(pinnace, tmp_path, fitted_state):
    configure(tmp_path, router={"embedder": "hashing", "state": str(fitted_state)})
    rows = table_of(80, seed=1)
    write_table(rows, tmp_path / "t.jsonl")
    plain = pinnace("matrix", "t.jsonl", "--draws", "100", "--json").json()
    gated = pinnace("matrix", "t.jsonl", "--draws", "100", "--state", str(fitted_state), "--json").json()
    before, after = (each["suites"]["sums"]["models"]["small"] for each in (plain, gated))
    assert before["accuracy"] == after["accuracy"]
    state, embedder = load_state(fitted_state), load_embedder("hashing")
    embedded = EmbeddedTexts(embedder.name, rows.prompts, embedder.embed(rows.prompts))
    judged = judged_table(rows, state, embedded)
    sure = [entry["confidence"] for entry in judged.evidence["small"]]
    assert sure == judge_by(state, rows, embedded, "small").confidence.tolist()
    assert confidences(judged, "small", range(80)).tolist() == sure
    with pytest.raises(TableError, match="expected a state with a gate for one of base, better, auto, got"):
        judged_table(table(), state, embedded)


def test_live_asks_several_models_over_suite_files_and_reports(pinnace, tmp_path):
    rows = [{"prompt": f"How many figs, {n}?", "answer": "There are 3 figs."} for n in range(4)]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = ["live", "mine.jsonl", "--split", "held", "--models", "small,large", "-o", "o.parquet"]
    done = pinnace(*asked, "--report", "page")
    assert done.code == 0, done.err
    assert "small: 4 asked, 4 scored, mean score 1.000, 0 failed" in done.err
    assert "large: 4 asked, 4 scored, mean score 0.000" in done.err
    assert "prompts/s" in done.err
    assert "Accuracy" in (tmp_path / "page" / "report.html").read_text()
    told = pinnace(*asked, "--json").json()
    assert [(each["model"], each["mean_score"]) for each in told["models"]] == [("small", 1), ("large", 0)]


def test_live_asks_only_the_prompts_in_a_file(pinnace, tmp_path):
    rows = [{"prompt": f"How many figs, {n}?", "answer": "There are 3 figs."} for n in range(4)]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "kept.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in (*rows[1:3], {"prompt": "Hm"}))
    )
    asked = ["live", "mine.jsonl", "--split", "held", "--models", "small", "--only", "kept.jsonl"]
    told = pinnace(*asked, "-o", "o.parquet", "--json").json()
    assert told["models"][0]["asked"] == 2
    assert set(read_table(tmp_path / "o.parquet").prompts) == {row["prompt"] for row in rows[1:3]}
    (tmp_path / "kept.jsonl").write_text('{"prompt": "Hm"}\n')
    none = pinnace(*asked, "-o", "p.parquet")
    assert none.code == 2
    assert "--only: expected prompts of mine.jsonl, split held; got none of them" in none.err
    (tmp_path / "kept.jsonl").write_text('{"question": "How many figs, 1?"}\n')
    wrong = pinnace(*asked, "-o", "p.parquet")
    assert wrong.code == 2
    assert "prompt" in wrong.err


def test_live_tells_what_the_box_for_code_holds(pinnace, tmp_path):
    rows = "rows: [{name: r, split: held, file: c.jsonl}]"
    suite = f"rule: code\nmax_tokens: 8\ncode: {{tests: 'assert True'}}\n{rows}"
    (tmp_path / "c.yaml").write_text(suite)
    (tmp_path / "c.jsonl").write_text('{"prompt": "How many figs?"}\n')
    done = pinnace("live", "c.yaml", "--split", "held", "--models", "small", "-o", "o.jsonl")
    assert done.code == 0, done.err
    assert "code that models write runs in a subprocess with limits" in done.err
    assert "mean score 0.000" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--models", "small@9"], "small@9: expected 9 solved examples to put before a prompt, mine has 0"),
        (["--models", "small,small"], "--models: expected every name once"),
        (["--models", "small", "--split", "all"], "'all' is not one of"),
        (["--models", "gpt"], "--models: expected some of small, large, auto, got 'gpt'"),
    ],
)
def test_what_cannot_be_asked_is_bad_usage(pinnace, tmp_path, arguments, said):
    (tmp_path / "mine.jsonl").write_text('{"prompt": "Hi", "answer": "Ho"}\n')
    done = pinnace("live", "mine.jsonl", "--split", "held", "-o", "o.jsonl", *arguments)
    assert done.code == 2
    assert said in done.err


def test_a_router_is_fitted_on_members_alone():
    rows = table()
    named = replace(rows, models=("base", "base@5", "auto"), evidence={"auto": rows.evidence["auto"]})
    kept = only_members(named)
    assert (kept.models, kept.evidence, kept.scores.shape) == (("base",), {}, (len(rows), 1))
    with pytest.raises(TableError, match="expected a model that can be routed to, got only auto"):
        only_members(replace(kept, models=("auto",)))
