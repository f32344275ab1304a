"""What is seen of a text: surface marks, character n-grams, and the row of features that they make."""

import time

import numpy as np
import pytest
from estimator_worlds import DIM
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace.router.estimators.features import MARK_BOUND, MARK_WEIGHT, Features, look
from pinnace.router.estimators.marks import MARKS, MAX_CHARACTERS, surface_marks
from pinnace.router.estimators.ngrams import BUCKETS, HEAD, NgramProjection, ngram_counts
from pinnace.router.estimators.ngrams import MAX_CHARACTERS as NGRAM_CHARACTERS
from pinnace.router.types import FloatArray

ODD = [
    "",
    " ",
    "\n\n",
    "\ud800 alone",
    "两个数的和是多少？",
    "こんにちは",
    "안녕하세요",
    "\x00",
    "a",
    "🙂" * 3,
]
SHARES = ("digits", "upper", "beyond_ascii", "wide_script", "code", "negation", "blank", "variety")
any_text = st.text(st.characters(), max_size=60)


def mark(name: str, text: str) -> float:
    return float(surface_marks([text])[0, MARKS.index(name)])


def vectors_of(n: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(n, DIM))


@given(st.lists(any_text, max_size=5))
@settings(max_examples=60)
def test_any_text_has_marks_and_counts(texts: list[str]) -> None:
    marks, counts = surface_marks(texts), ngram_counts(texts) if texts else None
    assert marks.shape == (len(texts), len(MARKS))
    assert np.isfinite(marks).all()
    assert (marks >= 0).all()
    shares = marks[:, [MARKS.index(name) for name in SHARES]]
    assert (shares <= 1).all()
    assert (surface_marks(texts) == marks).all()
    assert counts is None or counts.shape == (len(texts), BUCKETS)


def test_marks_count_what_they_are_named_for() -> None:
    text = 'Which is NOT prime?\n(A) 4\nB. 17\n  C) x = 2\ndef f(): return "17"'
    assert mark("options", text) == pytest.approx(np.log1p(3))
    assert mark("numbers", text) == pytest.approx(np.log1p(4))
    assert mark("lines", text) == pytest.approx(np.log1p(4))
    assert mark("questions", text) == pytest.approx(np.log1p(1))
    assert mark("quotes", text) == pytest.approx(np.log1p(2))
    assert mark("code", text) == mark("negation", text) == 1
    assert mark("code", "What is love?") == mark("blank", text) == 0
    assert mark("wide_script", "两个") == mark("beyond_ascii", "两个") == 1
    assert mark("wide_script", "é") == 0


def test_options_after_empty_lines_are_each_counted_once() -> None:
    assert mark("options", "Which?\n\n \nA) one\n\n\t B) two\n\n") == pytest.approx(np.log1p(2))


@pytest.mark.parametrize("piece", ["\n", "\n ", "; ", " (", "A)\n", "1", "__", "class a", "word "])
def test_a_very_long_text_costs_no_more_than_its_beginning_and_its_end(piece: str) -> None:
    text = piece * 200_000
    started = time.process_time()
    found = surface_marks([text]), ngram_counts([text])
    assert time.process_time() - started < 1.0  # a quadratic pattern needs several seconds
    assert (found[0] == surface_marks([text[:MAX_CHARACTERS]])).all()
    seen = text[:HEAD] + text[HEAD - NGRAM_CHARACTERS :]
    assert (found[1] != ngram_counts([seen])).nnz == 0


def test_the_question_at_the_end_of_a_long_prompt_is_seen() -> None:
    examples = "Some example. " * 500
    one, other = ngram_counts([examples + "Which is hot?", examples + "Why Kyoto?"])
    assert (one != other).nnz > 0


def test_a_lone_surrogate_counts_as_a_question_mark() -> None:
    assert (ngram_counts(["a\ud800b"]) != ngram_counts(["a?b"])).nnz == 0


@pytest.mark.parametrize(
    "texts", [["one"], ["one", "two"], ["one", "two", "three"], [""], ["a", "a"], [""] * 4]
)
def test_fewer_texts_than_directions_will_do(texts: list[str]) -> None:
    counts = ngram_counts(texts)
    projection = NgramProjection(96).fit(counts)
    found = projection.transform(ngram_counts([*texts, "unseen, and quite another", ""]))
    assert found.shape == (len(texts) + 2, max(1, len(texts) - 1))
    assert np.isfinite(found).all()
    assert (found[-1] == 0).all()


def test_coordinates_are_no_longer_than_one_and_tell_templates_apart() -> None:
    sums = [f"What is {a} plus {a + 7}? Answer:" for a in range(40)]
    tales = [f"Tell me a tale of {a} ships on the wide sea" for a in range(40)]
    counts = ngram_counts(sums + tales)
    projection = NgramProjection(8).fit(counts)
    found = projection.transform(counts)
    assert np.linalg.norm(found, axis=1).max() <= 1 + 1e-6
    assert (projection.transform(counts) == found).all()
    assert (NgramProjection(8).fit(counts).transform(counts) == found).all()
    new = projection.transform(ngram_counts(["What is 512 plus 90? Answer:", "Tell me a tale of 99 ships"]))
    likeness = new @ found.T
    assert likeness[0, :40].min() > likeness[0, 40:].max()
    assert likeness[1, 40:].min() > likeness[1, :40].max()


def test_a_text_is_projected_alike_alone_and_among_others() -> None:
    texts = [f"text {i} of {'x' * i}" for i in range(30)]
    projection = NgramProjection(8).fit(ngram_counts(texts))
    alone = np.vstack([projection.transform(ngram_counts([text])) for text in texts])
    assert alone == pytest.approx(projection.transform(ngram_counts(texts)), abs=1e-6)


def test_features_are_the_embedding_then_ngrams_then_marks() -> None:
    texts = [*ODD, *(f"question {i}?" for i in range(20))]
    seen = look(texts, vectors_of(len(texts)))
    features = Features(5).fit(seen)
    rows = features.transform(seen)
    assert features.dim_ == DIM
    assert rows.shape == (len(texts), DIM + 5 + len(MARKS))
    assert (rows[:, :DIM] == seen.vectors).all()
    assert np.abs(rows[:, -len(MARKS) :]).max() <= MARK_WEIGHT * MARK_BOUND + 1e-12
    chosen = np.asarray([3, 0, 7])
    assert features.transform(seen.take(chosen)) == pytest.approx(rows[chosen])
    assert features.transform(seen.take(np.arange(len(texts)) == 2)) == pytest.approx(rows[2:3])


@pytest.mark.parametrize("text", [*ODD, "x" * 100_000])
def test_a_text_unlike_any_seen_has_finite_features(text: str) -> None:
    features = Features(5).fit(look(["one and two", "three and four", "five"], vectors_of(3)))
    row = features.transform(look([text], vectors_of(1, 1)))
    assert np.isfinite(row).all()
    assert np.abs(row[:, DIM:]).max() <= 1
