"""What we change in a vLLM engine on CPU: small steps and the likeliest tokens are quicker, products steady.

Every judged answer needs log-probabilities, and stock vLLM slows a loaded CPU engine by a twentieth for
them (docs/log.md); and small steps are mostly dispatch. Both ends are helped here: the engine's process,
through vLLM's worker extension, and ours, where each token's text is asked for again and again. Neither
changes an answer; steady products (`steady_products`) make it the same alone and in a batch.
"""

import importlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

from pinnace.models.adapters.plugin import give_products
from pinnace.models.engine_process import ProcessExtension
from pinnace.models.engine_seeds import Rewindable
from pinnace.models.flat_decoder import FlatDecoder
from pinnace.models.flat_layers import UnlikeError
from pinnace.models.steady_products import steady_layers

log = logging.getLogger(__name__)

EXTENSION = "pinnace.models.engine_tuning.WorkerExtension"
BLOCK = 128
"""Columns of the vocabulary that are searched together."""
ROWS = 8
"""Rows whose log-probabilities are computed together: as float32 their 1.5 MB stay in the processor's cache,
where those of a whole batch are new pages from the system in every step."""


class WorkerExtension(ProcessExtension):
    """Mixed into vLLM's worker, in the engine's process; called over `collective_rpc`."""

    model_runner: Any

    def gather_logprobs_in_parts(self) -> None:
        """Have the sampler find log-probabilities our way.

        It then hands the logits on as they are, so that asking for the whole vocabulary's
        log-probabilities (`logprobs=-1`, which we never do) would return logits.
        """
        sampler = self.model_runner.sampler
        sampler.compute_logprobs = kept
        sampler.gather_logprobs = gather_logprobs

    def steady_products(self) -> None:
        """Have a row's products be the same whatever is beside it; before what takes them over."""
        steady_layers(self.model_runner.model)

    def multiply_adapters(self, is_dense: bool = True) -> None:
        """Have what adapters add computed by our products, or by vLLM's own."""
        give_products(self.model_runner, is_dense=is_dense)

    def flatten_decoder(self) -> str | None:
        """Have small steps take the flat decoder; else why not, in a few words."""
        try:
            decoder = FlatDecoder(self.model_runner)
        except UnlikeError as error:
            return str(error)
        self.model_runner.model.model.forward = decoder
        return None

    def rewind_seeds(self) -> None:
        """Let seeded requests wind back (`pinnace.models.engine_seeds`)."""
        batch = self.model_runner.input_batch
        batch.generators = Rewindable(batch.generators)


def kept(logits: Any) -> Any:
    """`logits` as they are now: the sampler goes on to change a float32 tensor in place, others it copies."""
    return logits.clone() if logits.element_size() == 4 else logits


def gather_logprobs(logits: Any, num_logprobs: int, token_ids: Any) -> Any:
    """The log-probability and rank of each row's token, and the row's `num_logprobs` likeliest tokens.

    The same as `compute_logprobs` and `gather_logprobs` of `vllm.v1.sample.sampler.Sampler`, which sort whole
    rows for the likeliest, and count whole rows for a rank that is nearly always 1. Two differences: sums are
    taken in another order (a few millionths of a nat), and a token that no other exceeds has rank 1, where
    they count those that tie with it.

    :param logits: (rows, vocabulary).
    :param token_ids: (rows,), int64.
    :returns: vLLM's `LogprobsTensors`: tokens and log-probabilities (rows, 1 + num_logprobs), ranks (rows,).
    """
    torch: Any = importlib.import_module("torch")
    tensors: Any = importlib.import_module("vllm.v1.outputs").LogprobsTensors
    tokens = token_ids.unsqueeze(-1)
    norms, maxima = norms_and_maxima(logits)
    best, best_tokens = top_tokens(logits, maxima, max(num_logprobs, 1))
    asked = torch.cat((tokens, best_tokens[:, :num_logprobs]), dim=1)
    chosen = logits.gather(-1, tokens)
    ranks = torch.ones_like(token_ids)
    lesser = (chosen < best[:, :1]).squeeze(-1)
    if lesser.any():
        ranks[lesser] = (logits[lesser] >= chosen[lesser]).sum(-1)
    return tensors(asked.to(torch.int32), logits.gather(-1, asked).float() - norms, ranks)


def norms_and_maxima(logits: Any) -> tuple[Any, Any]:
    """What logits (rows, vocabulary) are above log-probabilities, (rows, 1), and the largest of each block.

    In one pass: a few rows as float32 stay in the processor's cache for the maxima (rows, blocks), the
    exponentials and their sum. There is one block where the vocabulary is no multiple of `BLOCK`.
    """
    torch: Any = importlib.import_module("torch")
    size = BLOCK if logits.shape[-1] % BLOCK == 0 else logits.shape[-1]
    norms: list[Any] = []
    maxima: list[Any] = []
    for part in logits.split(ROWS):
        wide = part.to(torch.float32, copy=True)
        largest = wide.view(len(wide), -1, size).amax(-1)
        top = largest.amax(-1, keepdim=True)
        norms.append(wide.sub_(top).exp_().sum(-1, keepdim=True).log_().add_(top))
        maxima.append(largest)
    return torch.cat(norms), torch.cat(maxima)


def top_tokens(logits: Any, maxima: Any, count: int) -> tuple[Any, Any]:
    """The `count` largest entries of each row and their columns, both (rows, count), largest first.

    They lie within the `count` blocks whose `maxima` are largest, so only those are sorted.
    """
    rows, blocks = maxima.shape
    if blocks < count:
        return logits.topk(count, dim=-1)
    size = logits.shape[-1] // blocks
    where = maxima.topk(count, dim=-1).indices
    blocked = logits.reshape(rows, blocks, size)
    candidates = blocked.gather(1, where.unsqueeze(-1).expand(-1, -1, size)).view(rows, count * size)
    best, at = candidates.topk(count, dim=-1)
    return best, where.gather(-1, at // size) * size + at % size


async def quicken(engine: Any, *, is_flat: bool = True) -> None:
    """Tune a started engine that was made with `worker_extension_cls=EXTENSION`.

    :param is_flat: whether small steps take the flat decoder, where the model is one that it knows.
    """
    if engine.vllm_config.model_config.enforce_eager:  # a compiled model has its products in its graph
        await engine.collective_rpc("steady_products")
    if engine.vllm_config.lora_config is not None:
        await engine.collective_rpc("multiply_adapters")
    if is_flat:
        (why_not,) = await engine.collective_rpc("flatten_decoder")
        log.info("the flat decoder is %s", "in use" if why_not is None else f"not for this model: {why_not}")
    await engine.collective_rpc("gather_logprobs_in_parts")
    await engine.collective_rpc("rewind_seeds")
    tokenizer = engine.output_processor.tokenizer
    tokenizer.decode = remembering(tokenizer.decode)


def remembering(decode: Callable[..., str]) -> Callable[..., str]:
    """`decode`, which remembers the text of every single token that it was asked for."""
    texts: dict[int, str] = {}

    def remembered(token_ids: Sequence[int], *args: Any, **options: Any) -> str:
        if args or options or len(token_ids) != 1:
            return decode(token_ids, *args, **options)
        token = int(token_ids[0])
        if token not in texts:
            texts[token] = decode(token_ids)
        return texts[token]

    return remembered
