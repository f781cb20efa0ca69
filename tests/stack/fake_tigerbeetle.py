"""Writes a stand-in for the TigerBeetle server: a shell script that prints what the server prints.

A data file of it is a text file with its cluster id, in hex, and its release.
"""

from pathlib import Path

_SCRIPT = """#!/bin/sh
case "$1" in
version) echo "TigerBeetle version {version}+52ad553" ;;
format)
    cluster=${{2#--cluster=}}
    for file; do :; done
    {format_failure}
    printf '%s {release}\\n' "$(printf '%s' "$cluster" | cksum | cut -d' ' -f1)" > "$file" ;;
inspect)
    read -r cluster release < "$3"
    echo 'info(inspect): "||||" means that all four superblock copies are in agreement.' >&2
    echo "|||| release_format=0.17.9"
    echo "|||| cluster=0x$cluster"
    echo "|||| vsr_state.checkpoint.header=Prepare{{ .cluster=99, .release=0.0.0, }}"
    echo "|||| vsr_state.checkpoint.release=$release" ;;
esac
"""


def write(
    path: Path, version: str = "0.17.9", release: str = "0.17.9", *, disk_full: bool = False
) -> Path:
    failure = 'echo "error(io): no space left" >&2; exit 1' if disk_full else ":"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_SCRIPT.format(version=version, release=release, format_failure=failure))
    path.chmod(0o755)
    return path
