import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.harness.ports import free_port
from tigerfans.settings.settings import HttpSettings, SequencerSettings, Settings, SettingsError
from tigerfans.stack import ports


@pytest.fixture
def settings() -> Settings:
    return Settings(
        http=HttpSettings(port=free_port()),
        sequencer=SequencerSettings(metrics_port=free_port()),
    )


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which another program listens, willing to share it."""
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as listener:
        yield listener.getsockname()[1]


def test_free_ports_are_fine_and_stay_free(settings: Settings) -> None:
    ports.check(settings)
    ports.check(settings)


def test_a_taken_port_is_named_with_its_variable(settings: Settings, taken: int) -> None:
    settings = replace(settings, http=HttpSettings(port=taken))
    with pytest.raises(SettingsError, match=f"^TIGERFANS_PORT: port {taken} is taken"):
        ports.check(settings)


def test_a_taken_metrics_port_is_named_with_its_variable(settings: Settings, taken: int) -> None:
    settings = replace(settings, sequencer=SequencerSettings(metrics_port=taken))
    with pytest.raises(SettingsError, match=f"^TIGERFANS_METRICS_ADDRESS: port {taken} is taken"):
        ports.check(settings)


def test_one_port_for_both_is_refused(settings: Settings) -> None:
    port = settings.http.port
    settings = replace(settings, sequencer=SequencerSettings(metrics_port=port))
    with pytest.raises(SettingsError, match=f"^TIGERFANS_METRICS_ADDRESS: port {port} is taken"):
        ports.check(settings)


def test_an_address_of_another_machine_is_refused(settings: Settings) -> None:
    settings = replace(settings, http=replace(settings.http, host="192.0.2.1"))
    with pytest.raises(SettingsError, match=r"^TIGERFANS_HOST: cannot listen on 192\.0\.2\.1"):
        ports.check(settings)


def test_a_host_that_is_no_address_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(SettingsError, match=r"^TIGERFANS_HOST names no address: 127\.0\.0\.1"):
        ports.check(settings)
