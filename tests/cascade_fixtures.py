"""What the tests of the cascade share: both modes, and answers that a judge is sure of or not."""

import pytest

SURE = {"probability": 0.9}
UNSURE = {"probability": 0.2}
MODES = pytest.mark.parametrize("hold_tokens", [None, 2], ids=["whole", "stream"])
