"""The start-up self-test: a local model's greedy text against its reference text.

An engine can run fast and say nonsense (docs/log.md has one), and nothing but its text shows it. The
reference comes from another implementation, transformers in float32, and ends before the first token
whose lead over the runner-up is small, so that rounding alone cannot fail the test.
"""

import hashlib
import importlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from pinnace.errors import BackendError, SelfTestError
from pinnace.models.backend import Backend
from pinnace.models.completion import Message, Request
from pinnace.models.tokens import ChatTokenizer
from pinnace.models.weights import Weights, default_cache

log = logging.getLogger(__name__)

SYSTEM = "You are a helpful assistant."
PROMPTS = (
    "What is the capital of Japan?",
    "What is the chemical symbol for gold?",
    "What is the capital of Italy?",
    "How many days are in a week?",
)
TOKENS = 16
LEAD = 1.0
"""Nats by which a reference token must lead the runner-up in float32."""
SHIPPED = "references.json"


@dataclass(frozen=True, slots=True)
class Reference:
    """A prompt, and how the model's greedy answer to it must begin."""

    prompt: str
    text: str


_References = TypeAdapter(dict[str, tuple[Reference, ...]])


async def check_text(backend: Backend, weights: Weights) -> None:
    """Ask `backend` the reference prompts.

    :raises SelfTestError: when an answer does not begin as its reference does; has both.
    """
    name = backend.card.name
    references = references_for(weights)
    if not references:
        raise SelfTestError(f"{name}: no prompt has a clear greedy answer, so its text cannot be checked")
    for reference in references:
        got = await _greedy(backend, reference.prompt)
        if not got.startswith(reference.text):
            raise SelfTestError(
                f"{name}: self-test failed, it must not serve: "
                f"to {reference.prompt!r} expected {reference.text!r}, got {got!r}"
            )
    log.info("%s: self-test passed on %d prompts", name, len(references))


async def _greedy(backend: Backend, prompt: str) -> str:
    request = Request(_chat(prompt), id="selftest", max_tokens=TOKENS, temperature=0.0, top_p=1.0)
    try:
        return "".join([delta.text async for delta in backend.stream(request)])
    except BackendError as error:
        raise SelfTestError(f"{backend.card.name}: self-test failed: {error}") from error


def _chat(prompt: str) -> tuple[Message, ...]:
    return (Message("system", SYSTEM), Message("user", prompt))


def references_for(weights: Weights) -> tuple[Reference, ...]:
    """The shipped references of these weights, else those recorded here before, else recorded now."""
    shipped = _References.validate_json(files("pinnace.models").joinpath(SHIPPED).read_bytes())
    name = weights.source.partition("#")[0]
    if name in shipped:
        return shipped[name]
    recorded = default_cache() / "references" / f"{fingerprint(weights.folder)}.json"
    if not recorded.exists():
        log.info("recording the self-test reference of %s with transformers in float32", weights.source)
        write_references(recorded, {weights.source: record_references(weights.folder)})
    return next(iter(_References.validate_json(recorded.read_bytes()).values()))


def write_references(path: Path, references: Mapping[str, Sequence[Reference]]) -> None:
    """Write references beside `path`, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(f".{os.getpid()}.tmp")
    found = {source: [asdict(reference) for reference in each] for source, each in references.items()}
    written.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    written.replace(path)


def fingerprint(folder: Path) -> str:
    """A short name for the weights in `folder`: changes with any file's name, size or last change."""
    entries = [
        (f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in sorted(folder.iterdir()) if f.is_file()
    ]
    digest = hashlib.sha256(repr((str(folder.resolve()), entries)).encode()).hexdigest()
    return digest[:24]


def record_references(folder: Path) -> tuple[Reference, ...]:
    """What transformers answers greedily in float32, as far as each token leads clearly."""
    torch: Any = importlib.import_module("torch")
    transformers: Any = importlib.import_module("transformers")
    model = transformers.AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32).eval()
    tokenizer = ChatTokenizer(folder)
    texts = [_clear_text(torch, model, tokenizer, prompt) for prompt in PROMPTS]
    return tuple(Reference(prompt, text) for prompt, text in zip(PROMPTS, texts, strict=True) if text)


def _clear_text(torch: Any, model: Any, tokenizer: ChatTokenizer, prompt: str) -> str:
    ids = tokenizer.render_now(_chat(prompt))
    answer: list[int] = []
    with torch.inference_mode():
        while len(answer) < TOKENS:
            best = model(torch.tensor([ids + answer])).logits[0, -1].log_softmax(-1).topk(2)
            token = int(best.indices[0])
            if float(best.values[0] - best.values[1]) < LEAD or tokenizer.is_end(token):
                break
            answer.append(token)
    return tokenizer.text(answer)
