"""What a shop that has just opened says of itself."""

from unittest.mock import Mock

import pytest

from tigerfans.settings.settings import HttpSettings, Settings
from tigerfans.stack.opening import banner


@pytest.mark.parametrize("public_url", [None, "https://tickets.example.org"])
def test_the_banner_leads_to_where_everybody_finds_the_shop(public_url: str | None) -> None:
    plan = Mock(settings=Settings(http=HttpSettings(public_url=public_url)))
    url = public_url or "http://127.0.0.1:8000"
    assert f"shop      {url}\n  admin     {url}/admin  (" in banner(plan)
