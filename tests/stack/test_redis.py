from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.servers import run, running
from tigerfans.settings import located
from tigerfans.settings.settings import SettingsError
from tigerfans.stack import redis

EXPECTED = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
    "port": "0",
}


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "find_spec", lambda _: None)


@pytest.mark.usefixtures("no_wheel")
def test_without_any_redis_a_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SettingsError, match=r"^REDIS_URL is not set.*tigerfans\[embedded\]"):
        redis.binary()


@pytest.mark.usefixtures("no_wheel")
@pytest.mark.parametrize("name", ["valkey-server", "redis-server"])
def test_without_a_wheel_the_systems_redis_or_valkey_is_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    installed = tmp_path / name
    installed.touch(mode=0o755)
    assert redis.binary() == installed


async def exchange(url: str, value: str) -> str | None:
    """Checks the server's settings, stores `value` and returns what was there before."""
    async with Redis.from_url(url, decode_responses=True) as client:
        for name, expected in EXPECTED.items():
            assert await client.config_get(name) == {name: expected}
        before = await client.set("value", value, get=True)
        return None if before is None else str(before)


def test_the_server_keeps_its_data_and_never_makes_room(tmp_path: Path) -> None:
    folder, socket = tmp_path / "a b'\"%40?#", tmp_path / "redis.sock"
    folder.mkdir()
    program = redis.program(folder, socket)
    with running(program, folder / "log"):
        assert run(exchange(located.redis_url(socket), "first")) is None
    with running(program, folder / "log"):
        assert run(exchange(located.redis_url(socket), "second")) == "first"


def test_nothing_answers_where_no_server_is(tmp_path: Path) -> None:
    assert not run(redis.answers(tmp_path / "redis.sock"))
