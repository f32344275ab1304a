"""How log lines look: one format, on stderr, without prompts or keys."""

import logging
import sys

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_CHATTY = ("httpx", "httpcore", "uvicorn", "asyncio")


def set_up_logging(level: int = logging.INFO) -> None:
    """Send every log line and every Python warning to stderr; chatty libraries only from warnings on."""
    logging.basicConfig(level=level, format=FORMAT, stream=sys.stderr, force=True)
    logging.captureWarnings(True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
