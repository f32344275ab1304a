"""Whether a grammar compiles in time, tried in a process of its own, which is killed where it does not.

Some schemas (intersected patterns, a great many items at least) keep llguidance busy for minutes, past its
own limits, and a thread cannot be ended. So what could be such a one is compiled elsewhere first. Knows
nothing of requests or of tokenizers.
"""

import json
import re
import subprocess
import sys

from pinnace.models.schema_bounds import FREE_NAME

MEMORY_BYTES = 4 << 30
_RISKY = re.compile(
    r'"(?:allOf|oneOf|pattern|format|minItems|minLength|minProperties)": '
    r'|"patternProperties": \{(?!' + re.escape(json.dumps(FREE_NAME)) + ")"
)
_TRY = f"""
import os, resource, sys
os.nice(10)
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY_BYTES}, {MEMORY_BYTES}))
import llguidance
try:
    llguidance.LLMatcher.validate_grammar(llguidance.grammar_from("grammar", sys.stdin.read()))
except ValueError:
    pass
"""


class GrammarTooLargeError(Exception):
    """It takes too long to compile, or too much memory."""


def is_risky(grammar: str) -> bool:
    """Whether `grammar` has what the compiler can lose itself in."""
    return _RISKY.search(grammar) is not None


def try_elsewhere(grammar: str, seconds: float) -> None:
    """Compile `grammar` in another process; whether it is taken is not told.

    :raises GrammarTooLargeError: when that does not end in time, or by itself.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and text; the grammar is its input
            [sys.executable, "-I", "-c", _TRY],
            input=grammar.encode(),
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise GrammarTooLargeError(f"takes more than {seconds:g} s to compile") from None
    if done.returncode < 0:
        raise GrammarTooLargeError("takes more memory to compile than it may")
