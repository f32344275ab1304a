"""How log lines look: one line each, on stderr, as text or as JSON, without prompts or keys."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from pinnace.config import LogFormat, LogLevel

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_CHATTY = ("httpx", "httpcore", "uvicorn", "asyncio", "opentelemetry")


class OneLine(logging.Formatter):
    """Writes line breaks inside a message as `\\n`, so that what others wrote cannot look like a log line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """The line without its traceback, which follows on lines of its own."""
        return super().formatMessage(record).replace("\r", "\\r").replace("\n", "\\n")


class JsonLine(logging.Formatter):
    """One JSON object a line, its traceback inside it. A record's `fields` are members of their own."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        fields = getattr(record, "fields", None)
        line |= {"message": record.getMessage()} if fields is None else fields
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def set_up_logging(level: LogLevel = "info", form: LogFormat = "text") -> None:
    """Send every log line and every Python warning to stderr; chatty libraries only from warnings on."""
    to_stderr = logging.StreamHandler(sys.stderr)
    to_stderr.setFormatter(JsonLine() if form == "json" else OneLine(FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[to_stderr], force=True)
    logging.captureWarnings(True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
