"""What a client takes, and what it says that it does not."""

import pytest

from tigerfans.http.negotiation import takes_gzip, takes_page


@pytest.mark.parametrize(
    "header",
    [
        "gzip",
        "gzip, deflate, br",
        "GZIP",
        "x-gzip",
        "*",
        "br;q=1, gzip;q=0.2",
        "gzip;q=x",
        "gzip; q=1",
    ],
)
def test_who_names_gzip_gets_it(header: str) -> None:
    assert takes_gzip(header)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "identity",
        "br",
        "gzip;q=0",
        "gzip; q=0.000",
        "*;q=0",
        "*, gzip;q=0",
        "deflate, gzip;Q=0",
        "identity, gzip;q=0.5",
        "not-gzip",
    ],
)
def test_who_does_not_take_gzip_or_would_rather_not_gets_none(header: str) -> None:
    assert not takes_gzip(header)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("text/html;q=0", False),
        ("application/json, text/html;q=0.1", False),
        ("text/html;level=1;q=0.4, application/json;q=0.3", True),
        ("*/*", False),
        ("", False),
    ],
)
def test_who_goes_somewhere_with_a_browser_gets_a_page(accept: str, expected: bool) -> None:
    assert takes_page(accept) is expected
