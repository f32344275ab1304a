"""Stands in for the large model: a process of its own that speaks the OpenAI wire and answers from a list.

There is no larger model to be had where the tests run (FACTS: no hub). It knows the gold answers of
`questions.py`, counts a word as a token, and says "I do not know." to anything else.
Run: python tests/stand_in_large.py PORT [SECONDS_PER_WORD]
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator

import uvicorn
from questions import QUESTIONS
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

WORD_S = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
GOLD = {question.text: question.gold for question in QUESTIONS}


async def complete(request: Request) -> Response:
    if request.headers.get("authorization") != "Bearer stand-in-key":
        return JSONResponse({"error": {"message": "wrong key"}}, status_code=401)
    body = await request.json()
    asked = body["messages"][-1]["content"]
    words = f"The answer is {GOLD[asked]}.".split() if asked in GOLD else ["I", "do", "not", "know."]
    usage = {
        "prompt_tokens": sum(len(message["content"].split()) for message in body["messages"]),
        "completion_tokens": len(words),
    }
    return StreamingResponse(_events(words, usage), media_type="text/event-stream")


async def _events(words: list[str], usage: dict[str, int]) -> AsyncIterator[str]:
    for position, word in enumerate(words):
        await asyncio.sleep(WORD_S)
        yield _event([{"index": 0, "delta": {"content": word if position == 0 else f" {word}"}}])
    yield _event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    yield _event([], usage)
    yield "data: [DONE]\n\n"


def _event(choices: list[dict[str, object]], usage: dict[str, int] | None = None) -> str:
    return f"data: {json.dumps({'object': 'chat.completion.chunk', 'choices': choices, 'usage': usage})}\n\n"


app = Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error")
