"""Every path of OpenAI's surface, and which endpoint serves it."""

from starlette.routing import Route

from pinnace.router.dispatch import Dispatcher
from pinnace.server.asking import Asker
from pinnace.server.chat import ChatCompletions
from pinnace.server.embeddings import Embeddings
from pinnace.server.feedback import Feedback
from pinnace.server.model_list import ModelList
from pinnace.server.openapi import Document
from pinnace.server.responses import Responses
from pinnace.server.text_completions import TextCompletions

CHAT_PATH = "/v1/chat/completions"
TEXT_PATH = "/v1/completions"
RESPONSES_PATH = "/v1/responses"
EMBEDDINGS_PATH = "/v1/embeddings"
OPENAPI_PATH = "/openapi.json"


def openai_routes(asker: Asker, dispatcher: Dispatcher) -> list[Route]:
    """The routes of all of them."""
    models = ModelList(dispatcher)
    return [
        Route(CHAT_PATH, ChatCompletions(asker, dispatcher), methods=["POST"], name="chat"),
        Route(TEXT_PATH, TextCompletions(asker), methods=["POST"], name="completions"),
        Route(RESPONSES_PATH, Responses(asker), methods=["POST"], name="responses"),
        Route(EMBEDDINGS_PATH, Embeddings(asker, dispatcher.embedders), methods=["POST"], name="embeddings"),
        Route("/v1/feedback", Feedback(dispatcher, asker.limits), methods=["POST"], name="feedback"),
        Route("/v1/models", models.all),
        Route("/v1/models/{model:path}", models.one),
        Route(OPENAPI_PATH, Document()),
    ]
