"""An embedding model of `/v1/embeddings` beside the router's own."""

from pydantic import Field

from pinnace.config.section import Section


class EmbeddingModel(Section):
    """A sentence-transformers model: what clients call it, and where its weights come from.

    `max_tokens` is the longest text that it takes, never more than the model itself can read.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$")
    source: str = Field(min_length=1)
    max_tokens: int = Field(default=512, ge=1, le=1_000_000)
