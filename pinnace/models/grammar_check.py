"""Grammars are compiled here before the engine sees them, with its own compiler, in a thread.

A grammar that llguidance does not take would leave an engine that writes nothing; so it is tried beforehand,
and a schema at fault is refused by name. Narrowed schemas are preferred (`schema_bounds.py`), and taken as
they came where narrowing is what does not compile. What could keep the compiler busy for minutes is tried in
a process of its own first (`grammar_guard.py`), and a refusal is remembered as well, so that it costs its
time once. Knows nothing of vLLM's engine but its tokenizer.
"""

import asyncio
import importlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from typing import Any

from pinnace.errors import RequestError
from pinnace.models.completion import Request
from pinnace.models.grammar import Part, grammar_of, parts_of_request, single_grammar
from pinnace.models.grammar_guard import GrammarTooLargeError, is_risky, try_elsewhere
from pinnace.models.schema_bounds import bare, bounded

REMEMBERED = 256
"""Grammars that are kept, the last used ones."""
COMPILE_S = 5.0
"""How long a request waits for its grammar."""
TRY_S = 3.0
"""How long one may take that is tried elsewhere first."""
THREADS = 2
"""Grammars that are compiled at once, on threads that nothing else waits for."""
_JSON_FAULT = "failed to compile JSON schema: "


class GrammarCheck:
    """Makes the grammars of requests for one model.

    :param tokenizer: the model's own, of transformers.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._compiler: Any = None
        self._known: OrderedDict[bytes, str | RequestError] = OrderedDict()
        self._threads = ThreadPoolExecutor(THREADS, "grammar")

    async def grammar(self, request: Request, max_tokens: int) -> str | None:
        """The grammar that answers to `request` are held to; None where any text will do.

        :raises RequestError: when a schema cannot be compiled; names the field it came in.
        """
        if not request.tools and request.response_format is None:
            return None
        parts = parts_of_request(request)
        if not parts:
            return None
        key = _key(request, parts, max_tokens)
        made = self._known.get(key)
        if made is None:
            made = self._known[key] = await self._made(request, parts, max_tokens)
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        if isinstance(made, RequestError):
            raise RequestError(str(made), param=made.param, code=made.code)
        return made

    async def _made(self, request: Request, parts: Sequence[Part], max_tokens: int) -> str | RequestError:
        """The grammar, or why it is refused."""
        compiling = asyncio.get_running_loop().run_in_executor(
            self._threads, self.compile, request, parts, max_tokens
        )
        try:
            return await asyncio.wait_for(compiling, COMPILE_S)
        except RequestError as error:
            return error
        except TimeoutError:  # perhaps behind others: the next time it may be compiled
            raise _refused(parts[-1].param, f"takes more than {COMPILE_S:g} s to compile") from None
        except GrammarTooLargeError as error:
            return _refused(parts[-1].param, str(error))

    def compile(self, request: Request, parts: Sequence[Part], max_tokens: int) -> str:
        """The same, on the calling thread.

        :raises GrammarTooLargeError: when it takes too much; no one schema is known to be at fault.
        """
        narrow = [replace(part, schema=bounded(part.schema, max_tokens)) for part in parts]
        grammar = grammar_of(request, narrow, max_tokens)
        if self._fault(grammar) is None:
            return grammar
        grammar = grammar_of(
            request, [self._fitting(*pair) for pair in zip(parts, narrow, strict=True)], max_tokens
        )
        if fault := self._fault(grammar):
            raise _refused(parts[-1].param, f"is too much together: {fault}")
        return grammar

    def _fitting(self, part: Part, narrow: Part) -> Part:
        """The narrowed schema of `part` where it compiles, else the schema as it came."""
        if self._fault(single_grammar(narrow)) is None:
            return narrow
        plain = replace(part, schema=bare(part.schema))
        if fault := self._fault(single_grammar(plain)):
            raise _refused(part.param, f"is a schema that this model cannot be held to: {fault}")
        return plain

    def _fault(self, grammar: str) -> str | None:
        """What the engine's compiler has against `grammar`; None where it takes it."""
        if is_risky(grammar):
            try_elsewhere(grammar, TRY_S)
        llguidance: Any = importlib.import_module("llguidance")
        if self._compiler is None:
            adapter: Any = importlib.import_module("llguidance.hf")
            self._compiler = adapter.from_tokenizer(self._tokenizer, len(self._tokenizer))
        try:
            made = llguidance.grammar_from("grammar", grammar)
            fault: str = llguidance.LLMatcher(self._compiler, made, log_level=0).get_error()
        except ValueError as error:
            fault = str(error)
        return _plain(fault) if fault else None


def _key(request: Request, parts: Sequence[Part], max_tokens: int) -> bytes:
    asked = [request.tool_choice, request.parallel_tool_calls, max_tokens]
    told = [[part.name, part.schema, part.is_bare] for part in parts]
    return sha256(json.dumps([asked, *told]).encode()).digest()


def _plain(fault: str) -> str:
    """The compiler's own words, without its positions and its state."""
    return " ".join(fault.rpartition(_JSON_FAULT)[2].partition("\n   1 |")[0].split())[:300]


def _refused(param: str, message: str) -> RequestError:
    return RequestError(f"{param}: {message}", param=param, code="invalid_value")
