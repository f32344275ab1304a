"""Calibration rows: the table of rules for whatever fleet and prices there are."""

from dataclasses import replace

import numpy as np
import pytest
from router_fixtures import calibration_rows
from test_router import LARGE, SMALL

from pinnace.router.rate_table import calibrate


def test_the_table_is_that_of_the_rows_at_the_fleets_prices() -> None:
    rows = calibration_rows(200)
    found = rows.rate_table([LARGE, SMALL], [1, 0], 0)
    assert found is not None
    usd = np.tile([(8 + 20) * 100 / 1e6, (8 + 10) / 1e6], (200, 1))
    expected = calibrate(rows.quality[:, ::-1], usd, rows.scores[:, ::-1], usd, 0)
    np.testing.assert_allclose(found.figures, expected.figures)
    assert found.usd[0] == pytest.approx(0.0028)


def test_only_rows_that_all_of_the_fleet_ran_count() -> None:
    rows = calibration_rows(200)
    scores = rows.scores.copy()
    scores[:150, 0] = np.nan
    some = replace(rows, scores=scores)
    both, alone = some.rate_table([SMALL, LARGE], [0, 1], 1), some.rate_table([LARGE], [1], 0)
    assert both is not None
    assert alone is not None
    assert (both.rows, alone.rows) == (50, 200)
    scores[:, 0] = np.nan
    assert some.rate_table([SMALL, LARGE], [0, 1], 1) is None
