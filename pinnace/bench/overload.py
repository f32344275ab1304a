"""Goodput under three times the load that saturates, over the goodput at that load.

A scripted model with an engine's token time and a bounded number of places stands in for an engine. It is
saturated by as many askers as it has places; three times as many requests a second then come at random
moments, from people who do not wait for each other. What cannot be served must hear so at once, by a 429
with a `Retry-After`.
"""

from collections.abc import Sequence

from pinnace.bench.asker import Flow, Told
from pinnace.bench.asking import ask_one, firsts_ms, p50, p99
from pinnace.bench.processes import asking
from pinnace.bench.scripts import PACED, WORDS, document, scripted
from pinnace.bench.served import served
from pinnace.bench.trial import Bars, Figures, Trial, Watch, repeated

PLACES = 32
QUEUE = 32
FIRST_S, TOKEN_S = 0.05, 0.03
"""A first token and a token of SmolLM2-135M with 32 at once on two cores, by docs/log.md."""
TIMES = 3.0
BARS: Bars = {
    "goodput_ratio_overload": ("at least", 0.90),
    "refused_without_retry_after": ("at most", 0),
    "neither_served_nor_refused": ("at most", 0),
}
SETTING = (
    f"Streams of {WORDS} tokens at {TOKEN_S * 1000:g} ms a token, {PLACES} places and a queue of {QUEUE}.\n"
    f"Peak: {PLACES} askers in a closed loop. Overload: {TIMES:g} times its requests a second, at random."
)


async def overload(repeats: int, seconds: float, watch: Watch) -> Trial:
    """Run the trial, each load for `seconds`."""
    async with asking() as (client, scratch):
        fleet = [scripted(PACED, WORDS, first_token_s=FIRST_S, token_s=TOKEN_S)]
        config = document(fleet, scratch, server={"max_running": PLACES, "max_queue": QUEUE})
        watch("overload: starting the server")
        async with served("pinnace", config, scratch) as server:
            port = server.port
            await ask_one(client, Flow("warm", port, PACED, stream=True, askers=PLACES, count=PLACES))

            async def once(repeat: int) -> Figures:
                flow = Flow("peak", port, PACED, stream=True, askers=PLACES, seconds=seconds)
                peak = await ask_one(client, flow)
                per_s = TIMES * len(peak) / seconds
                flow = Flow("flood", port, PACED, stream=True, per_s=per_s, seconds=seconds, seed=repeat)
                return figures(peak, await ask_one(client, flow), seconds)

            return await repeated("overload", SETTING, BARS, repeats, once, watch)


def figures(peak: Sequence[Told], flood: Sequence[Told], seconds: float) -> Figures:
    """What came of both loads: tokens of whole answers a second, and how the rest were refused.

    Both are over the time that requests came: what was served after it is left out, since nothing more came.
    """
    refused = [each for each in flood if each.status == 429]
    whole = [each for each in flood if each.is_whole]
    best, under = goodput(peak, seconds), goodput(flood, seconds)
    found = {
        "goodput_ratio_overload": under / best,
        "peak_tokens_per_s": best,
        "overload_tokens_per_s": under,
        "asked_per_s": len(flood) / seconds,
        "refused_share": len(refused) / len(flood),
        "refused_without_retry_after": float(sum(not _says_when(each) for each in refused)),
        "neither_served_nor_refused": float(len(flood) - len(refused) - len(whole)),
        "first_text_peak_p50_ms": p50(firsts_ms(peak)),
        "first_text_overload_p50_ms": p50(firsts_ms(flood)),
    }
    if refused:
        late = [1000 * each.latency_s for each in refused]
        found |= {"refusal_p50_ms": p50(late), "refusal_p99_ms": p99(late)}
    return found


def goodput(told: Sequence[Told], seconds: float) -> float:
    """Tokens a second of answers that were whole within `seconds` of the first question."""
    return (
        sum(each.tokens for each in told if each.is_whole and each.at + each.latency_s <= seconds) / seconds
    )


def _says_when(told: Told) -> bool:
    return told.retry_after is not None and told.retry_after.isdigit() and int(told.retry_after) >= 1
