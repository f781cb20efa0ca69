import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.harness.ports import free_port
from tests.stack import fake_tigerbeetle
from tigerfans.stack import download
from tigerfans.stack.download import Archive, DownloadError, download_tigerbeetle, find_archive

SERVER = b"a server" * 10_000
SHA256_DIGITS = 64

Respond = Callable[[BaseHTTPRequestHandler], None]
Serve = Callable[[Respond], str]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Answers each request as the given function does, and gives the address."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    servers = []

    def start(respond: Respond) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                respond(self)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/tigerbeetle.zip"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def packed(content: bytes = SERVER, name: str = "tigerbeetle") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def sending(body: bytes, *, length: int | None = None) -> Respond:
    """Sends the body, after a Content-Length that may be wrong; 0 for none."""

    def respond(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        if length != 0:
            request.send_header("Content-Length", str(length or len(body)))
        request.end_headers()
        request.wfile.write(body)

    return respond


def archive_of(url: str, body: bytes) -> Archive:
    return Archive(url, hashlib.sha256(body).hexdigest())


def test_the_server_is_put_into_the_folder_ready_to_run(tmp_path: Path, serve: Serve) -> None:
    body = packed()
    url = serve(sending(body))
    path = download_tigerbeetle(tmp_path / "bin", archive_of(url, body))
    assert path == tmp_path / "bin" / "tigerbeetle"
    assert path.read_bytes() == SERVER
    assert path.stat().st_mode & 0o777 == 0o755
    assert list(path.parent.iterdir()) == [path]


def test_a_redirect_is_followed_and_progress_is_told(tmp_path: Path, serve: Serve) -> None:
    body = packed()
    elsewhere = serve(sending(body))

    def redirect(request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", elsewhere)
        request.end_headers()

    told: list[tuple[int, int | None]] = []
    archive = archive_of(serve(redirect), body)
    download_tigerbeetle(tmp_path, archive, lambda size, expected: told.append((size, expected)))
    assert told[-1] == (len(body), len(body))


def test_what_was_not_released_is_thrown_away_and_the_old_server_stays(
    tmp_path: Path, serve: Serve
) -> None:
    old = tmp_path / "tigerbeetle"
    old.write_bytes(b"old")
    archive = archive_of(serve(sending(packed(b"evil"))), packed())
    with pytest.raises(DownloadError, match="is not what was released"):
        download_tigerbeetle(tmp_path, archive)
    assert old.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [old]


def test_an_old_server_is_replaced(tmp_path: Path, serve: Serve) -> None:
    (tmp_path / "tigerbeetle").write_bytes(b"old")
    body = packed()
    path = download_tigerbeetle(tmp_path, archive_of(serve(sending(body)), body))
    assert path.read_bytes() == SERVER


@pytest.mark.parametrize("length", [None, 0])
def test_more_than_any_release_is_cut_off(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch, length: int | None
) -> None:
    monkeypatch.setattr(download, "ARCHIVE_BYTES_MAX", 1_000)
    body = bytes(100_000)
    with pytest.raises(DownloadError, match="is larger than 1,000 bytes"):
        download_tigerbeetle(tmp_path, archive_of(serve(sending(body, length=length)), body))
    assert list(tmp_path.iterdir()) == []


def test_a_server_of_an_unlikely_size_is_not_unpacked(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "BINARY_BYTES_MAX", 1_000)
    body = packed()
    with pytest.raises(DownloadError, match="80,000 bytes, too many"):
        download_tigerbeetle(tmp_path, archive_of(serve(sending(body)), body))


@pytest.mark.parametrize("body", [packed(name="readme"), b"no archive"])
def test_an_archive_without_a_server_is_refused(tmp_path: Path, serve: Serve, body: bytes) -> None:
    with pytest.raises(DownloadError, match="holds no server"):
        download_tigerbeetle(tmp_path, archive_of(serve(sending(body)), body))


def test_a_download_that_is_cut_off_says_so(tmp_path: Path, serve: Serve) -> None:
    body = packed()
    url = serve(sending(body, length=len(body) + 1))
    with pytest.raises(DownloadError, match="the connection ended after"):
        download_tigerbeetle(tmp_path, archive_of(url, body))


def test_an_error_of_the_host_is_told(tmp_path: Path, serve: Serve) -> None:
    url = serve(lambda request: request.send_error(404))
    with pytest.raises(DownloadError, match="Not Found"):
        download_tigerbeetle(tmp_path, archive_of(url, b""))


def test_a_host_that_says_nothing_is_given_up(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def say_nothing(request: BaseHTTPRequestHandler) -> None:
        request.rfile.read()

    monkeypatch.setattr(download, "SILENCE_SECONDS_MAX", 0.05)
    with pytest.raises(DownloadError, match="timed out"):
        download_tigerbeetle(tmp_path, archive_of(serve(say_nothing), b""))


def test_a_download_that_takes_for_ever_is_given_up(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "DOWNLOAD_SECONDS_MAX", 0)
    body = packed()
    with pytest.raises(DownloadError, match="it took more than 0 s"):
        download_tigerbeetle(tmp_path, archive_of(serve(sending(body)), body))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "bin").write_text("a file")
    with pytest.raises(DownloadError, match=r"cannot be put into .*/bin: File exists\.$"):
        download_tigerbeetle(tmp_path / "bin", Archive("http://127.0.0.1/", ""))


def test_without_a_network_the_command_says_so_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setattr(download, "find_archive", lambda *_: Archive(url, ""))
    assert download.main(tmp_path) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "Connection refused" in error
    assert "TIGERBEETLE_BIN" in error


def test_a_server_that_is_there_is_not_downloaded_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_tigerbeetle.write(tmp_path / "tigerbeetle")
    assert download.main(tmp_path) == 0
    assert "already" in capsys.readouterr().out


def test_a_server_of_another_version_is_downloaded_over(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_tigerbeetle.write(tmp_path / "tigerbeetle", version="0.16.60")
    body = packed()
    archive = archive_of(serve(sending(body)), body)
    monkeypatch.setattr(download, "find_archive", lambda *_: archive)
    assert download.main(tmp_path) == 0
    assert (tmp_path / "tigerbeetle").read_bytes() == SERVER


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("Linux", "x86_64", "tigerbeetle-x86_64-linux.zip"),
        ("Linux", "aarch64", "tigerbeetle-aarch64-linux.zip"),
        ("Darwin", "arm64", "tigerbeetle-universal-macos.zip"),
        ("Darwin", "x86_64", "tigerbeetle-universal-macos.zip"),
    ],
)
def test_each_machine_gets_the_release_for_it(system: str, machine: str, name: str) -> None:
    archive = find_archive(system, machine)
    assert archive.url.endswith(f"/releases/download/0.17.9/{name}")
    assert len(archive.sha256) == SHA256_DIGITS


def test_a_machine_without_a_release_is_told_what_runs_there() -> None:
    with pytest.raises(DownloadError, match="not released for Windows on ARM64: the shop runs on"):
        find_archive("Windows", "ARM64")
