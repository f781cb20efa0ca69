import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest

from tigerfans.booking.door_codes import DoorKeys
from tigerfans.booking.ids import OrderId
from tigerfans.settings.settings import Environment
from tigerfans.telemetry.logs import CHATTY, log_to_stderr, moment

logger = logging.getLogger("tigerfans.somewhere")


Start = Callable[[Environment], io.BytesIO]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts to log as `worker-1`, to a stderr like a process's own, which is given."""
    root, level = logging.getLogger(), logging.getLogger().level
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def start(environment: Environment) -> io.BytesIO:
        written = io.BytesIO()
        text = io.TextIOWrapper(written, "utf-8", errors="backslashreplace", line_buffering=True)
        monkeypatch.setattr(sys, "stderr", text)
        monkeypatch.setattr(root, "handlers", [])
        log_to_stderr(environment, "worker-1")
        return written

    yield start
    root.setLevel(level)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_in_production_a_line_is_a_json_object(start: Start) -> None:
    stderr = start("production")
    logger.warning("no sequencer at %s", "/run/x.sock")
    line = json.loads(stderr.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "process": "worker-1",
        "logger": "tigerfans.somewhere",
        "message": "no sequencer at /run/x.sock",
    }


def test_in_production_a_traceback_stays_on_its_line(start: Start) -> None:
    stderr = start("production")
    try:
        raise ValueError("no\nwords")
    except ValueError:
        logger.exception("it failed")
    (line,) = stderr.getvalue().splitlines()
    assert "ValueError: no\nwords" in json.loads(line)["error"]


def test_what_a_stranger_sent_cannot_break_a_line(start: Start) -> None:
    stderr = start("production")
    logger.error("a request failed: %s", '\ud800"\n{"level":"forged"}')
    (line,) = stderr.getvalue().splitlines()
    assert json.loads(line)["message"] == 'a request failed: \ud800"\n{"level":"forged"}'


@pytest.mark.parametrize("environment", ["production", "development"])
@pytest.mark.parametrize(
    "form", ["{}", "mock_{}", "/api/orders/{}/qr.png", "({})", "TIGERFANS:{}:"]
)
def test_no_line_has_a_whole_order_id_wherever_it_comes_from(
    start: Start, environment: Environment, form: str
) -> None:
    stderr = start(environment)
    order_id = OrderId.new()
    shown = UUID(order_id.hex_digits)
    for text in (order_id.hex_digits, order_id.hex_digits.upper(), str(shown)):
        logger.warning("what became of %s", form.format(text))
        try:
            raise ValueError(form.format(text))
        except ValueError as error:
            logger.error("it failed: %r", error, exc_info=error)
    written = stderr.getvalue().decode().lower().replace("-", "")
    assert order_id.hex_digits not in written
    assert order_id.hex_digits[:17] not in written
    assert written.count(order_id.short) == 3 * 3


@pytest.mark.parametrize("environment", ["production", "development"])
def test_no_line_has_a_code_that_opens_the_door(start: Start, environment: Environment) -> None:
    stderr = start(environment)
    code = DoorKeys("secret", "0badcafe").sign(OrderId.new(), 0, 1)
    for text in (code, code.lower(), f"]Q1{code}", code[:100]):
        logger.warning("it was %r", {"text": text})
    written = stderr.getvalue().decode().upper()
    assert code[:20] not in written
    assert written.count(f"{code[:13]}…") == 4


def test_what_is_longer_than_an_order_id_is_left_as_it_is(start: Start) -> None:
    digest = "0123456789abcdef" * 4
    stderr = start("development")
    logger.info("downloaded %s", digest)
    assert digest in stderr.getvalue().decode()


def test_in_development_a_line_is_for_a_person(start: Start) -> None:
    stderr = start("development")
    logger.info("connected")
    logger.debug("not worth a line")
    assert stderr.getvalue().decode().endswith("Z INFO tigerfans.somewhere: connected\n")
    assert stderr.getvalue().count(b"\n") == 1


def test_what_ends_the_process_is_a_line_too(start: Start) -> None:
    stderr = start("production")
    error = RuntimeError("out of luck")
    sys.excepthook(RuntimeError, error, None)
    line = json.loads(stderr.getvalue())
    assert (line["level"], line["process"]) == ("critical", "worker-1")
    assert "out of luck" in line["error"]


@pytest.mark.parametrize("name", ["httpx", "stripe"])
def test_every_request_that_is_sent_is_not_worth_a_line(start: Start, name: str) -> None:
    stderr = start("production")
    logging.getLogger(name).info("HTTP Request: POST …")
    assert stderr.getvalue() == b""
    logging.getLogger(name).warning("It is slow.")
    assert b"It is slow." in stderr.getvalue()


def test_a_moment_has_milliseconds_and_is_in_utc() -> None:
    assert moment(1795348800.0) == "2026-11-22T12:00:00.000Z"
    assert moment(1795348800.1239) == "2026-11-22T12:00:00.123Z"
