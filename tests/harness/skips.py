"""Says in the end what this machine lacked: a line for each reason, with the number of tests."""

from collections import Counter

import pytest

TITLE = "not run on this machine"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        # The file, the line and the reason.
        reasons[report.longrepr[2].removeprefix("Skipped: ")] += 1
    if reasons:
        terminalreporter.section(TITLE)
        for reason, count in reasons.most_common():
            terminalreporter.line(f"{count:4} {'test ' if count == 1 else 'tests'}  {reason}")
