"""What the shop's processes say on stderr: one line for each thing that happened.

In production every line is a JSON object with `time`, `level`, `process`, `logger` and `message`,
and with `error` where something was raised; in development it is text for a person. No line holds
a secret, an email address or a ticket code, nor a whole order id: whoever has that has the ticket.
What reads as one is cut to the beginning by which the box office finds the order, wherever in a
line it stands: in a payment session's id, in a store's error, in a traceback; and of a signed code,
which opens the door, only its first signs are left.

The lines of orders come from `steps`, in the same two forms.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final

from tigerfans.settings.settings import Environment

# 32 digits, or as PostgreSQL writes them; `OrderId.short` is what is left.
_ORDER_ID: Final = re.compile(
    r"(?<![0-9a-f])([0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4})-?[0-9a-f]{4}-?[0-9a-f]{12}(?![0-9a-f])",
    re.IGNORECASE,
)
# Its beginning says which key and whose shop it is.
_DOOR_CODE: Final = re.compile(r"(tiger[0-9][0-9a-z]{7})[0-9a-z]{24,}", re.IGNORECASE)

_TEXT_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"

# They have a line for each webhook that MockPay sends, and two for whatever Stripe is asked.
CHATTY: Final = ("httpx", "stripe")

logger = logging.getLogger(__name__)


def log_to_stderr(environment: Environment, process: str) -> None:
    """Sends all that `logging` hears of, from INFO on, to stderr; `process` names this one."""
    handler = logging.StreamHandler()
    is_production = environment == "production"
    handler.setFormatter(_JsonFormatter(process) if is_production else _TextFormatter(_TEXT_FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    # What ends the process is a line like all others.
    sys.excepthook = _log_uncaught


def moment(seconds: float) -> str:
    """Such as `2026-11-22T14:00:00.123Z`: the form of the time in every line."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return f"{text.removesuffix('+00:00')}Z"


def without_order_ids(text: str) -> str:
    """The text with every order's id, and every code that names one, cut short."""
    return _DOOR_CODE.sub(r"\1…", _ORDER_ID.sub(r"\1", text))


class _TextFormatter(logging.Formatter):
    """A record as a line for a person."""

    def format(self, record: logging.LogRecord) -> str:
        return without_order_ids(super().format(record))

    def formatTime(  # noqa: N802
        self, record: logging.LogRecord, datefmt: str | None = None
    ) -> str:
        return moment(record.created)


class _JsonFormatter(logging.Formatter):
    """A record as one line of JSON."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": moment(record.created),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": without_order_ids(record.getMessage()),
        }
        if record.exc_info:
            line["error"] = without_order_ids(self.formatException(record.exc_info))
        # Half a surrogate pair, which a stranger may have sent, stderr writes as JSON does.
        return json.dumps(line, ensure_ascii=False)


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
    else:
        logger.critical("the process ends: %r", error, exc_info=(kind, error, traceback))
