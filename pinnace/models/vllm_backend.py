"""A local model in an in-process vLLM engine (`AsyncLLM`), every request in one batch.

Adapters answer in the same batch. Knows nothing of routing; evidence is only what it streams.
"""

import asyncio
import importlib
import itertools
import logging
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from pinnace.config import VllmMember
from pinnace.errors import BackendError, BackendUnavailableError, ContextTooLongError, RequestError
from pinnace.models.adapters.engine import EngineAdapters
from pinnace.models.card import card_of
from pinnace.models.completion import Delta, Request, Usage
from pinnace.models.deadline import unstalled
from pinnace.models.engine_making import make_engine
from pinnace.models.engine_process import how_it_ended, shut_down, stand_apart
from pinnace.models.engine_tuning import EXTENSION, quicken
from pinnace.models.grammar_check import GrammarCheck
from pinnace.models.places import due_ms
from pinnace.models.selftest import check_text
from pinnace.models.tokens import ChatTokenizer
from pinnace.models.tool_stream import ToolStreams
from pinnace.models.tool_turns import offered_tools, spoken_messages
from pinnace.models.vllm_delta import delta_of
from pinnace.models.weights import default_cache, resolve_weights

log = logging.getLogger(__name__)

_numbers = itertools.count()
_ending: set["asyncio.Task[None]"] = set()
WHOLE_PIECE = 16
"""Tokens per delta where nobody reads before the end. An abort leaves fewer than this many uncharged."""
LEAST_TEMPERATURE = 0.01
"""At 0 vLLM has one answer and no second: several at 0 are drawn at the least that it samples at."""
LOADED_PIECE = 4
"""Tokens per delta of a stream beside 12 and more others; alone it is 1. Each piece costs time that they
share with the engine (docs/log.md)."""


class VllmBackend:
    """One fleet member and its engine. Nothing is loaded before `start`.

    :param slots: how many adapters the engine is to hold; who they are, `adapters` is told while it runs.
    """

    def __init__(self, member: VllmMember, slots: int = 0) -> None:
        self.adapters = EngineAdapters(slots)
        self.folder: Path | None = None
        self.card = card_of(member, backend="vllm")
        self._member = member
        self._engine: Any = None
        self._tokenizer: ChatTokenizer | None = None
        self._grammars: GrammarCheck | None = None
        self._running = 0

    async def start(self) -> None:
        """Fetch the weights, start the engine, and check its text.

        :raises WeightsError: when no source of the weights can be had.
        :raises SelfTestError: when the engine's greedy text is not the reference text.
        :raises BackendUnavailableError: when the engine does not start.
        """
        weights = await asyncio.to_thread(resolve_weights, self._member.weights, cache=default_cache())
        self._tokenizer = await asyncio.to_thread(ChatTokenizer, weights.folder)
        self._grammars = GrammarCheck(self._tokenizer.plain)
        self.folder = weights.folder
        await self._start_engine(weights.folder)
        try:
            await check_text(self, weights)
        except BackendError:
            await self.drain()
            raise

    async def _start_engine(self, folder: Path) -> None:
        starting = asyncio.create_task(
            asyncio.to_thread(make_engine, self._member, folder, self.adapters.slots)
        )
        try:
            self._engine = await asyncio.shield(starting)
            await stand_apart(self._engine)
            if self._engine.vllm_config.parallel_config.worker_extension_cls == EXTENSION:
                await quicken(self._engine, is_flat=self._member.engine.flat)
        except asyncio.CancelledError:
            starting.add_done_callback(_shut_down_late)
            raise
        except Exception as error:  # vLLM raises whatever its start-up met; all of it means: not serving
            await self.drain()
            raise BackendUnavailableError(f"{self.card.name}: the engine did not start: {error}") from error
        window: int = self._engine.model_config.max_model_len
        self.card = card_of(self._member, backend="vllm", context_window=window)

    async def drain(self) -> None:
        """Stop the engine and its processes."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await shut_down(engine)

    async def load_adapter(self, digest: str, folder: Path) -> int:
        """The number to ask for an adapter by; whoever asks says `unload_adapter` in the end.

        :raises BackendError: when vLLM does not take it.
        """
        number = self.adapters.hold(digest, folder)
        try:
            if self._engine is not None and not self.is_dead():
                await self.adapters.load(self._engine, number)
        except BaseException:
            self.adapters.release(number)
            raise
        return number

    async def unload_adapter(self, number: int) -> None:
        """Nobody asks for the adapter by this number any more, as far as the caller knows."""
        if self.adapters.release(number) and self._engine is not None and not self.is_dead():
            await self.adapters.unload(self._engine, number)

    def is_dead(self) -> bool:
        """Whether the engine has died by itself."""
        return self._engine is not None and bool(self._engine.errored)

    async def wait_death(self) -> str:
        """Wait until a started engine dies; returns how, in a few words."""
        engine = self._engine
        assert engine is not None, "start the engine before waiting for its end"
        await asyncio.wait({engine.output_handler})
        return how_it_ended(engine)

    def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """See `_stream`.

        :raises BackendTimeoutError: when it takes longer than `engine` in `router.yaml` allows.
        """
        first_token_s, stall_s = self._member.engine.first_token_s, self._member.engine.stall_s
        if first_token_s is None and stall_s is None:
            return self._stream(request)
        return unstalled(self._stream(request), self.card.name, first_token_s, stall_s)

    async def _stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """Yield deltas as the engine makes them; closing the iterator aborts in the engine.

        A delta has one token, and more the more requests run beside it. The answer is cut to what the
        context window leaves after the prompt.

        :raises ContextTooLongError: when the prompt alone fills the context window.
        :raises RequestError: when the engine cannot hold the answer to a schema, or knows no such token.
        :raises BackendUnavailableError: when the engine is not running, or dies.
        """
        if self._engine is None or self._tokenizer is None:
            raise BackendUnavailableError(f"{self.card.name}: the engine is not running")
        if request.is_raw:
            prompt = await self._tokenizer.encode(request.messages[0].content)
        else:
            system = self._member.system
            prompt = await self._tokenizer.render(spoken_messages(request, system), system)
        room = self._room(len(prompt))
        grammar = await self._grammar(request, room)
        unpack = ToolStreams().unpacked if offered_tools(request) else None
        adapter = self.adapters.request(request.adapter)
        request_id = f"{request.id or 'request'}-{next(_numbers)}"
        tokens_input: Any = importlib.import_module("vllm.inputs").tokens_input
        spoken, cached = 0, len(prompt)
        self._running += 1
        try:
            due = due_ms(request.priority)
            params = self._params(request, room, grammar)
            async for output in self._engine.generate(
                tokens_input(prompt), params, request_id, lora_request=adapter, priority=due
            ):
                cached = min(cached, output.num_cached_tokens or 0)  # samples after the first find its prompt
                for piece in output.outputs:
                    spoken += len(piece.token_ids)
                    delta = delta_of(piece, Usage(len(prompt), spoken, cached_tokens=cached))
                    yield unpack(delta) if unpack else delta
        except self._engine_errors() as error:
            raise BackendUnavailableError(f"{self.card.name}: the engine failed: {error}") from error
        except self._refusals() as error:
            param: str | None = getattr(error, "parameter", None)
            raise RequestError(f"{self.card.name}: {error}", param=param, code="invalid_value") from error
        finally:
            self._running -= 1

    async def _grammar(self, request: Request, room: int) -> str | None:
        assert self._grammars is not None, "made with the tokenizer"
        return await self._grammars.grammar(request, min(request.max_tokens, room))

    def _room(self, prompt_tokens: int) -> int:
        window = self.card.context_window
        assert window is not None, "the engine knows its context window"
        if prompt_tokens >= window:
            raise ContextTooLongError(
                f"{self.card.name} has a context window of {window} tokens; the prompt has {prompt_tokens}",
                param="messages",
                code="context_length_exceeded",
            )
        return window - prompt_tokens

    def _params(self, request: Request, room: int, grammar: str | None) -> Any:
        sampling = self._member.sampling
        temperature = sampling.temperature if request.temperature is None else request.temperature
        piece = max(1, WHOLE_PIECE // request.n) if request.is_read_whole else self._piece()
        vllm: Any = importlib.import_module("vllm.sampling_params")
        return vllm.SamplingParams(
            n=request.n,
            max_tokens=min(request.max_tokens, room),
            temperature=temperature if request.n == 1 else max(temperature, LEAST_TEMPERATURE),
            top_p=sampling.top_p if request.top_p is None else request.top_p,
            presence_penalty=request.presence_penalty,
            frequency_penalty=request.frequency_penalty,
            stop=list(request.stop) or None,
            seed=request.seed,
            logit_bias=dict(request.logit_bias) or None,
            structured_outputs=vllm.StructuredOutputsParams(grammar=grammar) if grammar else None,
            logprobs=request.top_logprobs,
            flat_logprobs=True,
            stream_interval=piece,
            output_kind=vllm.RequestOutputKind.DELTA,
        )

    def _piece(self) -> int:
        return min(LOADED_PIECE, 1 + self._running // 4)

    def _engine_errors(self) -> tuple[type[Exception], ...]:
        exceptions: Any = importlib.import_module("vllm.v1.engine.exceptions")
        return (exceptions.EngineDeadError, exceptions.EngineGenerateError)

    def _refusals(self) -> tuple[type[Exception], ...]:
        return (importlib.import_module("vllm.exceptions").VLLMValidationError,)


def _shut_down_late(starting: "asyncio.Task[Any]") -> None:
    """Give back an engine that started after nobody waited for it any more."""
    if not starting.cancelled() and starting.exception() is None:
        task = asyncio.create_task(shut_down(starting.result()))
        _ending.add(task)
        task.add_done_callback(_ending.discard)
