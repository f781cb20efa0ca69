"""What ends a benchmark before it has measured."""


class BenchError(Exception):
    """A measurement is not possible; the message is one sentence that says why."""
