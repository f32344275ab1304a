"""A section of `router.yaml`: frozen, closed to unknown keys; and what a secret is. Knows no key."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr


def _check_secret(secret: SecretStr) -> SecretStr:
    """A key travels in a header, so it is printable ASCII without blanks."""
    if not re.fullmatch("[!-~]+", secret.get_secret_value()):
        raise ValueError("expected printable ASCII without blanks, and not nothing")
    return secret


Secret = Annotated[SecretStr, AfterValidator(_check_secret)]


class Section(BaseModel):
    """A part of `router.yaml`: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)
