"""docs/reliability.md names every fault that can strike several hosts."""

from pathlib import Path

from tests.hosts.faults import FAULTS

PAGE = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()


def test_the_page_says_of_every_fault_what_it_does_and_who_acts() -> None:
    for fault in FAULTS.values():
        assert f"| `{fault.name}` | {fault.does} | {fault.acts} |" in PAGE
