"""The whole of `router.yaml` as one value. Knows neither YAML nor the environment."""

from collections.abc import Mapping

from pydantic import Field, model_validator

from pinnace.config.adapter import FleetMember, check_bases
from pinnace.config.embedding import EmbeddingModel
from pinnace.config.ledger import Ledger
from pinnace.config.router import Router
from pinnace.config.section import Section
from pinnace.config.server import Server


class Config(Section):
    """The whole of `router.yaml`. `absent` names optional members left out, each with the reason."""

    fleet: tuple[FleetMember, ...] = Field(min_length=1)
    router: Router = Router()
    server: Server = Server()
    ledger: Ledger = Ledger()
    embeddings: tuple[EmbeddingModel, ...] = ()
    absent: Mapping[str, str] = Field(default_factory=dict[str, str], exclude=True)

    @model_validator(mode="after")
    def _names_differ(self) -> "Config":
        names = [*(member.name for member in self.fleet), *self.absent]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"fleet: every name must differ, got {doubled!r} more than once")
        if "auto" in names:
            raise ValueError("fleet: 'auto' is the routed model and cannot name a fleet member")
        return self

    @model_validator(mode="after")
    def _adapters_have_bases(self) -> "Config":
        check_bases(self.fleet)
        return self

    @model_validator(mode="after")
    def _embeddings_differ(self) -> "Config":
        names = [each.name for each in self.embeddings]
        taken = {"auto", *(member.name for member in self.fleet), *self.absent}
        if doubled := sorted({name for name in names if names.count(name) > 1 or name in taken}):
            raise ValueError(f"embeddings: every name must be its own, got {doubled!r} more than once")
        return self

    @model_validator(mode="after")
    def _keys_name_members(self) -> "Config":
        own = self.router.embedder.partition("#")[0]
        names = {*(each.name for each in (*self.fleet, *self.embeddings)), *self.absent, own}
        for key in self.server.keys:
            if unknown := sorted({*(key.models or ())} - names):
                raise ValueError(f"server.keys: {key.name!r} may use {unknown!r}, not in fleet or embeddings")
        return self
