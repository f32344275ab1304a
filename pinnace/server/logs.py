"""How log lines look: one format, one line each, on stderr, without prompts or keys."""

import logging
import sys

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_CHATTY = ("httpx", "httpcore", "uvicorn", "asyncio")


class OneLine(logging.Formatter):
    """Writes line breaks inside a message as `\\n`, so that what others wrote cannot look like a log line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """The line without its traceback, which follows on lines of its own."""
        return super().formatMessage(record).replace("\r", "\\r").replace("\n", "\\n")


def set_up_logging(level: int = logging.INFO) -> None:
    """Send every log line and every Python warning to stderr; chatty libraries only from warnings on."""
    to_stderr = logging.StreamHandler(sys.stderr)
    to_stderr.setFormatter(OneLine(FORMAT))
    logging.basicConfig(level=level, handlers=[to_stderr], force=True)
    logging.captureWarnings(True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
