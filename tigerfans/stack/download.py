"""Downloads the released TigerBeetle server for this machine into ./bin (`make tigerbeetle`).

Nothing is unpacked before its sha256 is the one of the release, which stands here, and nothing is
put in place before it is whole. Uses the standard library only; proxies are taken from the
environment, as urllib does.
"""

import hashlib
import http.client
import platform
import shutil
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tigerfans.settings.settings import SettingsError
from tigerfans.stack import tigerbeetle

RELEASES_URL: Final = "https://github.com/tigerbeetle/tigerbeetle/releases/download"
BINARY_NAME: Final = "tigerbeetle"

ARCHIVE_BYTES_MAX: Final = 256 * 2**20
BINARY_BYTES_MAX: Final = 1024 * 2**20
CHUNK_BYTES: Final = 256 * 2**10
# Without a byte, and in all.
SILENCE_SECONDS_MAX: Final = 30.0
DOWNLOAD_SECONDS_MAX: Final = 30 * 60.0

EXIT_OK: Final = 0
EXIT_FAILED: Final = 2


class DownloadError(Exception):
    """The server was not downloaded, and what was there is as before; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A released archive, which holds one file, the server."""

    url: str
    sha256: str


# What is called after each chunk: the bytes there are, and those there will be, where known.
Progress = Callable[[int, int | None], None]

_SHA256_BY_TARGET: Final = {
    "x86_64-linux": "af71f2c0057e3b409bf79940fa94894b738187b0d4f1e711097bca15df5d8cd4",
    "aarch64-linux": "413994920fe48b04f5aa86895b7a1d9d98d14803b29d4e91d2a6d0098fff4ef2",
    "universal-macos": "4e085eaffc66c2ed82e7f94a8137c468256d2fb0b35152ccf903cc6676c22940",
}
_TARGET_BY_MACHINE: Final = {
    ("Linux", "x86_64"): "x86_64-linux",
    ("Linux", "aarch64"): "aarch64-linux",
    ("Darwin", "x86_64"): "universal-macos",
    ("Darwin", "arm64"): "universal-macos",
}


def find_archive(system: str, machine: str) -> Archive:
    """The archive for a machine, named as `platform` does; raises `DownloadError` for others."""
    target = _TARGET_BY_MACHINE.get((system, machine))
    if target is None:
        raise DownloadError(
            f"TigerBeetle {tigerbeetle.VERSION} is not released for {system} on {machine}:"
            " the shop runs on the embedded ledger here."
        )
    name = f"tigerbeetle-{target}.zip"
    return Archive(f"{RELEASES_URL}/{tigerbeetle.VERSION}/{name}", _SHA256_BY_TARGET[target])


def download_tigerbeetle(
    target_dir: Path, archive: Archive | None = None, progress: Progress = lambda *_: None
) -> Path:
    """Puts the server into `target_dir`, by default this machine's, and returns its path.

    Replaces one that is there, at once and as a whole. Raises `DownloadError`.
    """
    archive = archive or find_archive(platform.system(), platform.machine())
    target = target_dir / BINARY_NAME
    try:
        target_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=target_dir) as folder:
            packed, binary = Path(folder, "archive.zip"), Path(folder, BINARY_NAME)
            _fetch(archive, packed, progress)
            _unpack(packed, binary)
            binary.chmod(0o755)
            binary.replace(target)
    except OSError as error:
        reason = error.strerror or error
        raise DownloadError(f"TigerBeetle cannot be put into {target_dir}: {reason}.") from error
    return target


def main(target_dir: Path = Path("bin")) -> int:
    """Downloads into ./bin, unless it is there; returns the exit code."""
    try:
        if _is_there(target_dir / BINARY_NAME):
            print(f"TigerBeetle {tigerbeetle.VERSION} is in {target_dir} already.")
        else:
            print(f"Downloading TigerBeetle {tigerbeetle.VERSION} …")
            path = download_tigerbeetle(target_dir, progress=_print_progress)
            print(f"TigerBeetle {tigerbeetle.VERSION} is in {path} now.")
    except DownloadError as error:
        print(error, file=sys.stderr)
        return EXIT_FAILED
    return EXIT_OK


def _fetch(archive: Archive, path: Path, progress: Progress) -> None:
    """Writes the archive to `path`; raises `DownloadError` unless it is the one released."""
    try:
        # The URL is ours, and the sha256 says whether what it leads to is what we want.
        response = urllib.request.urlopen(archive.url, timeout=SILENCE_SECONDS_MAX)  # noqa: S310
    except (OSError, http.client.HTTPException) as error:
        raise _explain(archive, error) from error
    digest = hashlib.sha256()
    with response, path.open("wb") as file:
        for chunk in _chunks(archive, response, progress):
            digest.update(chunk)
            file.write(chunk)
    if digest.hexdigest() != archive.sha256:
        raise DownloadError(
            f"What came from {archive.url} is not what was released, and is thrown away:"
            f" its sha256 is {digest.hexdigest()}, not {archive.sha256}."
        )


def _chunks(
    archive: Archive, response: http.client.HTTPResponse, progress: Progress
) -> Iterator[bytes]:
    ends_at = time.monotonic() + DOWNLOAD_SECONDS_MAX
    expected = response.length
    size = 0
    try:
        while chunk := response.read1(CHUNK_BYTES):
            size += len(chunk)
            if size > ARCHIVE_BYTES_MAX:
                raise DownloadError(
                    f"What came from {archive.url} is larger than {ARCHIVE_BYTES_MAX:,} bytes."
                )
            if time.monotonic() > ends_at:
                raise TimeoutError(f"it took more than {DOWNLOAD_SECONDS_MAX:g} s")
            progress(size, expected)
            yield chunk
        if expected is not None and size < expected:
            raise ConnectionError(f"the connection ended after {size:,} of {expected:,} bytes")
    except (OSError, http.client.HTTPException) as error:
        raise _explain(archive, error) from error


def _explain(archive: Archive, error: Exception) -> DownloadError:
    cause = getattr(error, "reason", error)
    reason = getattr(cause, "strerror", None) or cause
    return DownloadError(
        f"TigerBeetle could not be downloaded from {archive.url}: {reason}."
        f" Without a network, put the server of version {tigerbeetle.VERSION} into ./bin by hand,"
        " or name it in TIGERBEETLE_BIN."
    )


def _unpack(packed: Path, binary: Path) -> None:
    try:
        with zipfile.ZipFile(packed) as archive:
            size = archive.getinfo(BINARY_NAME).file_size
            if size > BINARY_BYTES_MAX:
                raise DownloadError(f"The archive holds a server of {size:,} bytes, too many.")
            with archive.open(BINARY_NAME) as packed_binary, binary.open("wb") as file:
                shutil.copyfileobj(packed_binary, file)
    except (zipfile.BadZipFile, KeyError) as error:
        raise DownloadError(f"The archive holds no server: {error.args[0]}.") from error


def _is_there(binary: Path) -> bool:
    try:
        tigerbeetle.check_version(binary)
    except (SettingsError, OSError):
        return False
    return True


def _print_progress(size: int, expected: int | None) -> None:
    if sys.stdout.isatty():
        of_all = f" of {expected / 2**20:.1f}" if expected else ""
        end = "\n" if size == expected else ""
        print(f"\r  {size / 2**20:.1f}{of_all} MiB", end=end, flush=True)


if __name__ == "__main__":
    sys.exit(main())
