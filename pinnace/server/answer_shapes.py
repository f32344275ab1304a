"""What the endpoints answer, as shapes for the OpenAPI document. Nothing is rendered through them.

Open to further fields, as OpenAI's own answers are.
"""

from typing import Any, Literal

from pydantic import BaseModel, Field


class PromptTokens(BaseModel):
    """Of the prompt's tokens, those that were not read again, as an earlier prompt had begun with them."""

    cached_tokens: int


class TokenUsage(BaseModel):
    """Tokens of the answering model."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokens


class RouteAccount(BaseModel):
    """Who answered, by which route, how surely, for how much, and why; joules where they are known."""

    model: str
    route: str
    confidence: float
    cost_usd: float
    escalated: bool
    why: str
    joules: float | None = None
    joules_source: str | None = None
    diverse: dict[str, Any] | None = None


class AnswerMessage(BaseModel):
    """The model's turn."""

    role: Literal["assistant"]
    content: str | None
    refusal: str | None
    tool_calls: list[dict[str, Any]] | None = None


class ChatChoice(BaseModel):
    """One of the choices of a chat."""

    index: int
    message: AnswerMessage
    logprobs: dict[str, Any] | None
    finish_reason: str


class ChatCompletion(BaseModel):
    """A chat answer."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: TokenUsage
    pinnace: RouteAccount


class TextChoice(BaseModel):
    """One of the choices of a text completion."""

    index: int
    text: str
    logprobs: dict[str, Any] | None
    finish_reason: str


class TextCompletion(BaseModel):
    """A text completion; of several prompts, `pinnace` has an account of each."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: TokenUsage
    pinnace: RouteAccount | list[RouteAccount]


class ResponseItem(BaseModel):
    """A message of the model, or a function that it calls."""

    id: str
    type: Literal["message", "function_call"]
    status: Literal["in_progress", "completed", "incomplete"]


class Response(BaseModel):
    """A response."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["completed", "incomplete"]
    model: str
    output: list[ResponseItem]
    usage: dict[str, Any]
    store: Literal[False]
    pinnace: RouteAccount


class Embedding(BaseModel):
    """One vector: numbers, or 32-bit floats in base64."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class PromptUsage(BaseModel):
    """Tokens that were read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(BaseModel):
    """Vectors in the order of the texts."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: PromptUsage


class TokenFigures(BaseModel):
    """What a token read and a token written take."""

    input: float
    output: float


class MemberFigures(BaseModel):
    """USD per million tokens of a fleet member, joules per thousand where they are known, and its votes."""

    price: TokenFigures
    energy: TokenFigures | None = None
    votes: int | None = None


class Model(BaseModel):
    """What a request may name as its model; `pinnace` is there of fleet members."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    pinnace: MemberFigures | None = None


class Models(BaseModel):
    """All of them."""

    object: Literal["list"]
    data: list[Model]


class RatingKept(BaseModel):
    """A rating as it was written down."""

    object: Literal["feedback"]
    id: str
    score: float = Field(ge=0, le=1)


class ErrorFields(BaseModel):
    """What went wrong: whose fault it is, which field, and a code to act on."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(BaseModel):
    """The envelope of every error."""

    error: ErrorFields
