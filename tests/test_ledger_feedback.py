"""Ratings in the ledger: they come back, and comments are kept only where text is."""

import time
from pathlib import Path

import pytest
from router_fixtures import ROW

from pinnace.router.ledger import Ledger, read_ledger
from pinnace.router.ledger_feedback import read_feedback


def test_a_rating_comes_back_and_the_last_one_last(ledger: Ledger, ledger_path: Path) -> None:
    ledger.add(ROW)
    for rating in (1.0, 0.25):
        ledger.rate(ROW.request_id, rating)
    ledger.stop()
    ratings = read_feedback(ledger_path)[ROW.request_id]
    assert [each.rating for each in ratings] == [1.0, 0.25]
    assert ratings[0].created == pytest.approx(time.time(), abs=60)
    assert read_ledger(ledger_path) == [ROW]


@pytest.mark.parametrize(("store_text", "kept"), [(False, None), (True, "no, Plughtown is")])
def test_a_comment_is_kept_only_where_text_is_stored(
    ledger_path: Path, store_text: bool, kept: str | None
) -> None:
    ledger = Ledger(ledger_path, store_text=store_text)
    ledger.start()
    ledger.rate("a", 0, "no, Plughtown is")
    ledger.stop()
    assert [each.comment for each in read_feedback(ledger_path)["a"]] == [kept]
    assert any(b"Plughtown" in file.read_bytes() for file in ledger_path.parent.iterdir()) == store_text


@pytest.mark.parametrize("rating", [-0.1, 1.1, float("nan")])
def test_what_is_no_rating_is_refused(ledger: Ledger, ledger_path: Path, rating: float) -> None:
    with pytest.raises(ValueError, match="expected a number from 0 to 1, got"):
        ledger.rate("a", rating)
    ledger.stop()
    assert read_feedback(ledger_path) == {}
