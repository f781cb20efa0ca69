"""What a check says of one thing: whether it is as it should be, and what to change if not."""

from dataclasses import dataclass
from enum import StrEnum

from tigerfans.settings.settings import Environment


class Verdict(StrEnum):
    GOOD = "good"
    # The shop works, but not as well or as safely as it could.
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """`area` and `subject` name what was looked at; `advice` is empty where all is well."""

    area: str
    subject: str
    verdict: Verdict
    found: str
    advice: str = ""


def reason(error: BaseException) -> str:
    """What an error says, after its kind: some say nothing, and some hide it from `repr`."""
    return f"{type(error).__name__}: {error}".removesuffix(": ")


class Findings(list[Finding]):
    """Collects what is found in one area."""

    def __init__(self, area: str, environment: Environment) -> None:
        super().__init__()
        self._area = area
        self._required = Verdict.BAD if environment == "production" else Verdict.WARNING

    def good(self, subject: str, found: str) -> None:
        self.append(Finding(self._area, subject, Verdict.GOOD, found))

    def warn(self, subject: str, found: str, advice: str) -> None:
        self.append(Finding(self._area, subject, Verdict.WARNING, found, advice))

    def bad(self, subject: str, found: str, advice: str) -> None:
        self.append(Finding(self._area, subject, Verdict.BAD, found, advice))

    def required(self, subject: str, is_good: bool, found: str, advice: str) -> None:
        """Something that a deployment has to have, and a developer may do without."""
        verdict = Verdict.GOOD if is_good else self._required
        self.append(Finding(self._area, subject, verdict, found, "" if is_good else advice))
