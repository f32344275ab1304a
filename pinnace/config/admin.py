"""The operator's own door: where it is. It has no key, so only this machine may knock."""

import ipaddress

from pydantic import Field, field_validator

from pinnace.config.section import Section


class Admin(Section):
    """Where `POST /admin/reload` is taken."""

    host: str = "127.0.0.1"
    port: int = Field(ge=0, le=65535)

    @field_validator("host")
    @classmethod
    def _is_loopback(cls, host: str) -> str:
        if not is_loopback(host):
            raise ValueError("expected a loopback address such as '127.0.0.1'")
        return host


def is_loopback(host: str) -> bool:
    """Whether `host` names this machine and nothing else."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
