"""The hosts that an address of a store names; no I/O."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tigerfans.settings.settings import Settings, SettingsError
from tigerfans.settings.store_urls import (
    Host,
    SentinelUrl,
    UrlError,
    read_database_url,
    read_sentinel_url,
)


@pytest.mark.parametrize(
    ("url", "hosts", "rest"),
    [
        ("postgresql://u:p@one:1/d", [("one", 1)], "postgresql://u:p@/d"),
        ("postgres://one,two:2/d?a=b", [("one", 5432), ("two", 2)], "postgres:///d?a=b"),
        ("postgresql://u@[::1]:1,[fd00::2]/d", [("::1", 1), ("fd00::2", 5432)], None),
        # Which newer versions of Python do not read.
        ("postgresql://u@10.0.0.1:1,[::1]:2/d", [("10.0.0.1", 1), ("::1", 2)], None),
        ("postgresql://u:%40%3A%2F@h/d", [("h", 5432)], "postgresql://u:%40%3A%2F@/d"),
        ("postgresql://u@/d?host=/run/postgresql", [("/run/postgresql", 5432)], None),
        ("postgresql:///d?host=/a,/b,c:7", [("/a", 5432), ("/b", 5432), ("c", 7)], None),
        ("postgresql:///d?host=/a,b&port=1,2", [("/a", 1), ("b", 2)], None),
        ("postgresql:///d?host=a,b&port=9", [("a", 9), ("b", 9)], None),
        ("postgresql://%2Frun%2Fpostgresql/d", [("/run/postgresql", 5432)], None),
        ("postgresql://a:1,b:2,a:1/d", [("a", 1), ("b", 2)], None),
        ("postgresql:///d", [], "postgresql:///d"),
        ("postgresql://", [], "postgresql://"),
    ],
)
def test_the_hosts_of_a_database_are_read(
    url: str, hosts: list[tuple[str, int]], rest: str | None
) -> None:
    database = read_database_url(url)
    assert database.hosts == tuple(Host(*host) for host in hosts)
    assert rest is None or database.rest == rest


def test_a_host_is_called_as_it_is_written() -> None:
    hosts = read_database_url("postgresql://one,[::1]:2/d").hosts
    assert list(map(str, hosts)) == ["one:5432", "[::1]:2"]
    assert str(Host("/run/postgresql", 5432)) == "/run/postgresql"


def test_sentinels_and_their_primarys_name_are_read() -> None:
    url = "redis+sentinel://me:p%40ss@10.0.0.1:1,[::1]/shop/3?sentinel_password=w%2Frd"
    assert read_sentinel_url(url) == SentinelUrl(
        sentinels=(Host("10.0.0.1", 1), Host("::1", 26379)),
        name="shop",
        database=3,
        username="me",
        password="p@ss",
        sentinel_username=None,
        sentinel_password="w/rd",
    )
    plain = read_sentinel_url("redis+sentinel://one/shop")
    assert (plain.database, plain.username, plain.password) == (0, None, None)


HIDDEN = "h1dd3n"


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("DATABASE_URL", f"mysql://u:{HIDDEN}@h/d", "must be a URL such as"),
        ("DATABASE_URL", f"postgresql://u:{HIDDEN}@h:port/d", "must name its hosts"),
        ("DATABASE_URL", f"postgresql://u:{HIDDEN}@h:70000/d", "must name its hosts"),
        ("DATABASE_URL", f"postgresql://u:{HIDDEN}@one,,two/d", "must name its hosts"),
        ("DATABASE_URL", f"postgresql://u:{HIDDEN}@[::1/d", "must name its hosts"),
        ("DATABASE_URL", f"postgresql://u:{HIDDEN}@::1/d", "must name its hosts"),
        # Written as it is, the password's end reads as a host.
        ("DATABASE_URL", f"postgresql://u:a@{HIDDEN}@h/d", "password percent-encoded"),
        ("DATABASE_URL", f"postgresql://u:{HIDDEN}/b@h/d", "password percent-encoded"),
        ("DATABASE_URL", "postgresql://u:1234/b@h/d", "password percent-encoded"),
        ("DATABASE_URL", "postgresql:///d?host=a,b&port=1,2,3", "as many ports as hosts"),
        ("DATABASE_URL", f"postgresql:///d?password={HIDDEN}&host", "name=value"),
        (
            "DATABASE_URL",
            f"postgresql://u:{HIDDEN}@a,b/d?target_session_attrs=standby",
            "give it target_session_attrs=read-write",
        ),
        ("REDIS_URL", f"redis+sentinel://:{HIDDEN}@a,b", "must name Sentinels"),
        ("REDIS_URL", f"redis+sentinel://:{HIDDEN}@a,b/", "must name Sentinels"),
        ("REDIS_URL", f"redis+sentinel://:{HIDDEN}@a,b/shop/zero", "must name Sentinels"),
        ("REDIS_URL", f"redis+sentinel://:{HIDDEN}@/shop/0", "must name Sentinels"),
        ("REDIS_URL", f"redis+sentinel://:{HIDDEN}@a:x/shop/0", "must name its hosts"),
        ("REDIS_URL", f"redis+sentinel://:a@{HIDDEN}@a/shop/0", "percent-encoded"),
        ("REDIS_URL", f"redis+sentinel://:{HIDDEN}@a/shop/0?db=1", "knows no options"),
        ("REDIS_URL", f"sentinel://:{HIDDEN}@a/shop/0", "must be a URL such as"),
        ("REDIS_URL", f"redis://:{HIDDEN}#b@h:6379/0", "password percent-encoded"),
        ("REDIS_URL", f"redis://:{HIDDEN}/b@h:6379/0", "password percent-encoded"),
        ("REDIS_URL", f"redis://:{HIDDEN}?b@h:6379/0", "password percent-encoded"),
        ("REDIS_URL", f"redis://:{HIDDEN}@[::1", "must name host:port"),
        ("REDIS_URL", "redis://127.0.0.1:port", "must name host:port"),
    ],
)
def test_an_address_of_no_store_is_refused_in_a_sentence_that_repeats_nothing(
    variable: str, value: str, sentence: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment({variable: value})
    message = str(raised.value)
    assert message.startswith(f"{variable} ")
    assert sentence in message
    assert HIDDEN not in message
    assert "\n" not in message


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_whatever_is_given_is_read_or_refused(text: str) -> None:
    for read, scheme in ((read_database_url, "postgresql"), (read_sentinel_url, "redis+sentinel")):
        for url in (text, f"{scheme}://{text}"):
            with suppress(UrlError):
                assert repr(read(url))
