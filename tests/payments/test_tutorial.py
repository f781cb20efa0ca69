"""The tutorial for another provider, followed: what it writes is run as it stands there."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

from tests.shops import OpenShop
from tigerfans.payments.base import PaymentProvider
from tigerfans.payments.providers import MAKERS, Parts
from tigerfans.settings.settings import PROVIDERS, PaymentSettings, ProviderRow, Settings

PAGE: Final = Path(__file__).parents[2] / "docs" / "tutorial-payment-provider.md"
MODULE: Final = "tigerfans.payments.tigertill"
# In the order of the page: the module, the row of the settings, how it is made, the row of that,
# and its tests.
CODE: Final = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)[:5]


@pytest.fixture
def tigertill(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType(MODULE)
    monkeypatch.setitem(sys.modules, MODULE, module)
    run(CODE[0], module.__dict__)
    return module


def run(code: str, names: dict[str, Any]) -> dict[str, Any]:
    exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102 - it is our own page
    return names


async def test_the_provider_is_made_by_the_rows_that_the_page_adds(tigertill: ModuleType) -> None:
    names = {"Parts": Parts, "PaymentProvider": PaymentProvider, "TigerTill": tigertill.TigerTill}
    made = run(CODE[2], names)
    rows = eval(f"{{{CODE[1]}}}", {"ProviderRow": ProviderRow})  # noqa: S307
    makers = eval(f"{{{CODE[3]}}}", made)  # noqa: S307
    assert rows.keys() == makers.keys() == {"tigertill"}
    assert rows["tigertill"].secrets_setting == "TIGERTILL_SECRET"
    parts: Any = Parts(None, Settings(payments=PaymentSettings()), None, None, None)  # type: ignore[arg-type]
    assert (await makers["tigertill"](parts)).name == "TigerTill"


async def test_its_tests_pass(tigertill: ModuleType, open_shop: OpenShop) -> None:
    tests = run(CODE[4], {"__name__": "test_tigertill"})
    synchronous: dict[str, Callable[..., None]] = {
        name: test
        for name, test in tests.items()
        if name.startswith("test_") and name != "test_a_slip_sells_the_ticket_once"
    }
    assert len(synchronous) == 3
    for test in synchronous.values():
        cases = [mark.args[1] for mark in getattr(test, "pytestmark", [])]
        for case in cases[0] if cases else [None]:
            test(case) if cases else test()
    await tests["test_a_slip_sells_the_ticket_once"](open_shop)


def test_every_provider_that_a_setting_names_is_made_somehow() -> None:
    assert MAKERS.keys() == PROVIDERS.keys()
