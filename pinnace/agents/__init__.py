"""Agent pipelines: steps that say what they need, and a fleet that decides who does it.

    from pinnace.agents import Fleet, Step

    async with Fleet.connect("http://127.0.0.1:8000") as fleet, fleet.session() as run:
        print(await run.ask(Step("Answer in one word."), "What is the capital of France?"))
        run.trace.show()

`docs/agents.md` teaches it.
"""

from pinnace.agents.answer import Answer, Escalated, Final, StepEvent, Text, ToolCalled
from pinnace.agents.best_of import best_of, by_logprob
from pinnace.agents.budget import Spent
from pinnace.agents.depth_rank import by_depth
from pinnace.agents.fleet import Blocking, Fleet
from pinnace.agents.limits import Limits
from pinnace.agents.mcp_server import mcp_tools
from pinnace.agents.planning import plan_and_solve
from pinnace.agents.reply import Account, Sample
from pinnace.agents.scripted_fleet import Say, ScriptedFleet
from pinnace.agents.session import Session
from pinnace.agents.step import Step
from pinnace.agents.strategy import Asking, Choice, Drawn, Strategy, single
from pinnace.agents.thinking import Rank, at_random, likeliest, think_at
from pinnace.agents.tools import Tool, tool
from pinnace.agents.trace import Span, Totals, Trace
from pinnace.agents.voting import group_confidence, vote

__all__ = [
    "Account",
    "Answer",
    "Asking",
    "Blocking",
    "Choice",
    "Drawn",
    "Escalated",
    "Final",
    "Fleet",
    "Limits",
    "Rank",
    "Sample",
    "Say",
    "ScriptedFleet",
    "Session",
    "Span",
    "Spent",
    "Step",
    "StepEvent",
    "Strategy",
    "Text",
    "Tool",
    "ToolCalled",
    "Totals",
    "Trace",
    "at_random",
    "best_of",
    "by_depth",
    "by_logprob",
    "group_confidence",
    "likeliest",
    "mcp_tools",
    "plan_and_solve",
    "single",
    "think_at",
    "tool",
    "vote",
]
