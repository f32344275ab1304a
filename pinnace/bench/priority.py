"""Interactive requests under a flood of batch ones: their time to the first text, over that without it.

A scripted model with an engine's token time and a bounded number of places stands in for an engine; the
flood has several times as many askers as there are places, so that batch requests always wait.
"""

from collections.abc import Sequence

from pinnace.bench.asker import Flow, Told
from pinnace.bench.asking import ask, ask_one, firsts_ms, p50
from pinnace.bench.load import percentile
from pinnace.bench.processes import asking
from pinnace.bench.scripts import PACED, WORDS, document, scripted
from pinnace.bench.served import served
from pinnace.bench.trial import Bars, Figures, Trial, Watch, repeated

PLACES, ASKERS = 16, 64
INTERACTIVE = 3
"""Interactive askers at once, each pausing between requests: fewer than batch must leave free."""
PAUSE_S = 0.05
FIRST_S, TOKEN_S = 0.05, 0.03
BATCH = {"x-pinnace-priority": "batch"}
BARS: Bars = {"interactive_first_text_p95_ratio": ("at most", 3.0)}
SETTING = (
    f"Streams of {WORDS} tokens at {TOKEN_S * 1000:g} ms a token, {PLACES} places. {INTERACTIVE}\n"
    f"interactive askers, alone and under {ASKERS} askers of batch requests: time to the first text."
)


async def priority(repeats: int, seconds: float, watch: Watch) -> Trial:
    """Run the trial, each load for `seconds`."""
    async with asking() as (client, scratch):
        fleet = [scripted(PACED, WORDS, first_token_s=FIRST_S, token_s=TOKEN_S)]
        config = document(fleet, scratch, server={"max_running": PLACES, "max_queue": 2 * ASKERS})
        watch("priority: starting the server")
        async with served("pinnace", config, scratch) as server:
            port = server.port
            await ask_one(client, Flow("warm", port, PACED, stream=True, askers=PLACES, count=PLACES))

            async def once(repeat: int) -> Figures:
                people = Flow("people", port, PACED, True, INTERACTIVE, PAUSE_S, seconds=seconds, seed=repeat)
                flood = Flow("flood", port, PACED, True, ASKERS, seconds=seconds, headers=BATCH)
                alone = await ask_one(client, people)
                both = await ask(client, people, flood)
                return figures(alone, both["people"], both["flood"])

            return await repeated("priority", SETTING, BARS, repeats, once, watch)


def figures(alone: Sequence[Told], under: Sequence[Told], flood: Sequence[Told]) -> Figures:
    """What came of both."""
    before, after = p95(firsts_ms(alone)), p95(firsts_ms(under))
    return {
        "interactive_first_text_p95_ratio": after / before,
        "alone_p95_ms": before,
        "under_flood_p95_ms": after,
        "under_flood_p50_ms": p50(firsts_ms(under)),
        "batch_first_text_p50_ms": p50(firsts_ms(flood)),
        "interactive_requests": float(len(under)),
        "interactive_not_served": float(sum(not each.is_whole for each in under)),
        "batch_tokens_per_s": sum(each.tokens for each in flood if each.is_whole)
        / max(each.at + each.latency_s for each in flood),
    }


def p95(values: Sequence[float]) -> float:
    """What one in twenty exceeds."""
    return percentile(values, 95)
