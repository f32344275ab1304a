"""One grammar for tools and schema: whatever is written by it is valid, and what is not cannot be written.

Answers are random walks through the grammar, on llguidance's own tokenizer of bytes: no model is needed.
"""

import random
import time
from dataclasses import replace
from typing import Any

import pytest

from pinnace.errors import RequestError
from pinnace.models import grammar_check
from pinnace.models.completion import Delta, Message, Request
from pinnace.models.grammar import grammar_of, parts_of_request
from pinnace.models.grammar_check import REMEMBERED, GrammarCheck
from pinnace.models.tool_calls import gather_calls
from pinnace.models.tool_stream import ToolStreams
from pinnace.models.tool_turns import AFTER_NAME, CLOSING, OPENING
from pinnace.router.validity import is_valid

llguidance = pytest.importorskip("llguidance")

ADD = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "note": {"type": "string"}, "unit": {"enum": ["m", 's"\n']}},
    "required": ["a", "unit"],
}
TOOLS = (
    {"type": "function", "function": {"name": "add", "parameters": ADD}},
    {"type": "function", "function": {"name": "now"}},
)
REPLY = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "list": {"type": "array", "items": {"type": "number"}}},
    "required": ["answer", "list"],
}
PLAIN = Request((Message("user", "hi"),), tools=TOOLS)
NOW = {"type": "function", "function": {"name": "now"}}


def schema_format(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


BOTH = replace(PLAIN, response_format=schema_format(REPLY))


@pytest.fixture(scope="module")
def check() -> GrammarCheck:
    made = GrammarCheck(None)
    made._compiler = llguidance.LLTokenizer("byte")
    return made


def walk(check: GrammarCheck, grammar: str, chance: random.Random, most: int) -> tuple[str, str]:
    """One answer of at most `most` bytes, and its finish reason. Ends as soon as it may, one time in two."""
    tokenizer = check._compiler
    matcher = llguidance.LLMatcher(tokenizer, grammar, log_level=0)
    written: list[int] = []
    while len(written) < most:
        mask = matcher.compute_bitmask()
        allowed = [t for t in range(tokenizer.vocab_size) if mask[t // 8] >> t % 8 & 1]
        assert not matcher.get_error()
        if tokenizer.eos_token in allowed and (len(allowed) == 1 or chance.random() < 0.5):
            return bytes(written).decode(errors="replace"), "stop"
        ends = [t for t in allowed if t < 256 and chr(t) in '",]}']
        token = chance.choice(ends if ends and chance.random() < 0.3 else allowed)
        if token == tokenizer.eos_token:
            continue
        assert matcher.consume_token(token)
        written.append(token)
    return bytes(written).decode(errors="replace"), "length"


def read(text: str, finish: str) -> tuple[str, Any, str | None]:
    streams = ToolStreams()
    deltas = [streams.unpacked(Delta(sign)) for sign in text]
    deltas.append(streams.unpacked(Delta(finish_reason=finish)))  # type: ignore[arg-type]
    calls = gather_calls(piece for delta in deltas for piece in delta.tool_calls)
    return "".join(delta.text for delta in deltas), calls, deltas[-1].finish_reason


REQUESTS = {
    "tools and schema": BOTH,
    "tools and any object": replace(PLAIN, response_format={"type": "json_object"}),
    "tools and text": PLAIN,
    "a call, and only one": replace(BOTH, tool_choice="required", parallel_tool_calls=False),
    "the named function": replace(BOTH, tool_choice=NOW),
    "no tools after all": replace(BOTH, tool_choice="none"),
    "a list": replace(PLAIN, tools=(), response_format=schema_format({"items": {"type": "string"}})),
    "anything": replace(PLAIN, tools=(), response_format=schema_format({})),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_whatever_is_written_is_valid(check: GrammarCheck, name: str) -> None:
    request = REQUESTS[name]
    grammar = await check.grammar(request, 200)
    assert grammar is not None
    chance = random.Random(name)
    finished = 0
    for _ in range(25):
        written, finish = walk(check, grammar, chance, 2_000)
        text, calls, reason = (
            read(written, finish) if request.tool_choice != "none" else (written, (), finish)
        )
        if finish == "stop":
            assert is_valid(text, calls, request), written
            assert reason == ("tool_calls" if calls else "stop")
            finished += 1
    assert finished > 15


def can_begin(check: GrammarCheck, grammar: str, text: str) -> bool:
    matcher = llguidance.LLMatcher(check._compiler, grammar, log_level=0)
    return matcher.validate_tokens(list(text.encode())) == len(text.encode())


async def test_tools_and_schema_are_alternatives_of_one_grammar(check: GrammarCheck) -> None:
    grammar = await check.grammar(BOTH, 200) or ""
    assert can_begin(check, grammar, '{"answer": "It is')
    assert can_begin(
        check, grammar, f'{OPENING}add{AFTER_NAME}{{"a": 3, "unit": "m"}}{CLOSING}\n{OPENING}now'
    )
    assert not can_begin(check, grammar, "It is")
    assert not can_begin(check, grammar, f"{OPENING}subtract")
    assert not can_begin(check, grammar, f'{OPENING}add{AFTER_NAME}{{"a": "3"')
    assert not can_begin(check, grammar, '{"tool')


async def test_a_choice_is_one_of_its_texts_and_nothing_else(check: GrammarCheck) -> None:
    choices = ["check balance", "check", 'a "quoted" \\ one']
    asked = replace(PLAIN, tools=(), response_format={"type": "choice", "choices": choices})
    grammar = await check.grammar(asked, 200) or ""
    written = {walk(check, grammar, random.Random(seed), 99) for seed in range(40)}
    assert written == {(choice, "stop") for choice in choices}
    as_json = await check.grammar(replace(asked, response_format=schema_format({"enum": choices})), 200)
    assert as_json != grammar


async def test_a_thousand_long_choices_are_not_too_much(check: GrammarCheck) -> None:
    choices = [f"{'x' * 200} {n}" for n in range(1024)]
    asked = replace(PLAIN, response_format={"type": "choice", "choices": choices})
    grammar = await check.grammar(asked, 200) or ""
    assert can_begin(check, grammar, choices[-1])
    assert not can_begin(check, grammar, f"{choices[-1]}5")


async def test_a_choice_may_stand_beside_tools(check: GrammarCheck) -> None:
    asked = replace(PLAIN, response_format={"type": "choice", "choices": ["yes", "no"]})
    grammar = await check.grammar(asked, 200) or ""
    assert can_begin(check, grammar, "no")
    assert can_begin(check, grammar, f"{OPENING}now{AFTER_NAME}{{}}{CLOSING}")
    assert not can_begin(check, grammar, "perhaps")
    must = await check.grammar(replace(asked, tool_choice="required"), 200) or ""
    assert not can_begin(check, must, "no")


async def test_free_text_is_free_but_never_half_a_call(check: GrammarCheck) -> None:
    grammar = await check.grammar(PLAIN, 200) or ""
    assert can_begin(check, grammar, 'Hello <b>{"a": 1}\n\n<tool')
    assert can_begin(check, grammar, f"{OPENING}now{AFTER_NAME}{{}}{CLOSING}")
    assert not can_begin(check, grammar, "I call <tool_call>")


async def test_only_one_call_where_calls_are_not_parallel(check: GrammarCheck) -> None:
    two = f"{OPENING}now{AFTER_NAME}{{}}{CLOSING}\n{OPENING}now"
    assert can_begin(check, await check.grammar(PLAIN, 200) or "", two)
    one = await check.grammar(replace(PLAIN, parallel_tool_calls=False), 200) or ""
    assert not can_begin(check, one, two)


async def test_where_nothing_is_asked_there_is_no_grammar(check: GrammarCheck) -> None:
    assert await check.grammar(replace(PLAIN, tools=()), 9) is None
    assert await check.grammar(replace(PLAIN, tool_choice="none"), 9) is None


FAULTS: list[tuple[Any, str]] = [
    ({"type": "string", "pattern": "(?=a)b"}, "look-around"),
    ({"type": "string", "pattern": r"(a)\1"}, "backreferences are not supported"),
    ({"type": "array", "uniqueItems": True}, 'Unimplemented keys: ["uniqueItems"]'),
    ({"not": {"type": "string"}}, 'Unimplemented keys: ["not"]'),
    ({"type": "string", "format": "of-ours"}, "Unknown format: of-ours"),
    ({"type": "integer", "minimum": 5, "maximum": 1}, "Unsatisfiable schema"),
    (
        {"oneOf": [{"type": "object", "properties": {"a": {}}}, {"type": "object", "properties": {"b": {}}}]},
        "oneOf constraints are not supported",
    ),
]


@pytest.mark.parametrize(("schema", "fault"), FAULTS)
async def test_what_the_compiler_does_not_take_is_refused_by_name(
    check: GrammarCheck, schema: Any, fault: str
) -> None:
    within = {"type": "object", "properties": {"x": schema}, "required": ["x"]}
    tool = {"type": "function", "function": {"name": "bad", "parameters": within}}
    for request, param in (
        (replace(BOTH, response_format=schema_format(schema)), "response_format"),
        (replace(BOTH, tools=(*TOOLS, tool)), "tools[2].function.parameters"),
    ):
        with pytest.raises(RequestError) as refused:
            await check.grammar(request, 200)
        assert fault in str(refused.value)
        assert str(refused.value).startswith(f"{param}: is a schema that this model cannot be held to: ")
        assert (refused.value.param, refused.value.code) == (param, "invalid_value")
        assert "\n" not in str(refused.value)


async def test_a_schema_that_keeps_the_compiler_busy_is_ended_refused_and_remembered(
    check: GrammarCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grammar_check, "TRY_S", 0.5)
    patterns = [{"type": "string", "pattern": f"[ab]*a[ab]{{{i}}}"} for i in range(10, 30)]
    request = replace(PLAIN, tools=(), response_format=schema_format({"allOf": patterns}))
    for least, most in ((0.5, 3.0), (0.0, 0.2)):
        began = time.perf_counter()
        with pytest.raises(RequestError) as refused:
            await check.grammar(request, 200)
        assert least <= time.perf_counter() - began < most
        assert str(refused.value) == "response_format: takes more than 0.5 s to compile"
        assert (refused.value.param, refused.value.code) == ("response_format", "invalid_value")
    assert await check.grammar(replace(request, response_format=schema_format({"pattern": "^a+$"})), 200)


async def test_where_narrowing_leaves_nothing_the_schema_is_taken_as_it_came(check: GrammarCheck) -> None:
    fine = {"type": "number", "exclusiveMinimum": 0, "maximum": 1e-8}
    grammar = await check.grammar(replace(PLAIN, tools=(), response_format=schema_format(fine)), 50)
    assert grammar is not None
    assert "multipleOf" not in grammar
    assert can_begin(check, grammar, "0.000000001")


async def test_grammars_are_remembered_up_to_a_number(check: GrammarCheck) -> None:
    first = await check.grammar(BOTH, 10)
    assert await check.grammar(BOTH, 10) is first
    for max_tokens in range(11, 11 + REMEMBERED):
        await check.grammar(replace(PLAIN, tools=TOOLS[1:]), max_tokens)
    assert len(check._known) == REMEMBERED
    assert await check.grammar(BOTH, 10) is not first


def test_names_and_schemas_stay_within_their_rules() -> None:
    hostile = {"type": "object", "properties": {'"\nstart: /.*/\n': {"const": "\nx: /.*/"}}}
    tool = {"type": "function", "function": {"name": "a", "parameters": hostile}}
    request = replace(PLAIN, tools=(tool,), tool_choice="required")
    lines = grammar_of(request, parts_of_request(request), 64).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["start", "calls", "call", "call_0", "arguments_0"]
