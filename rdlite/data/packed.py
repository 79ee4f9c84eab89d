"""Members of an archive, read where they are: nothing is unpacked to disk, and no pickle is read.

Names and declared sizes are checked first all the same, so that an archive which would be unsafe
to unpack is refused.
"""

from __future__ import annotations

import contextlib
import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

LARGEST_UNPACKED = 1 << 30  # bytes of all members together; the largest archive here has 0.25e9
DAMAGE = (zlib.error, EOFError, KeyError)  # in what was packed, and for a member that is not there


def read_tar(path: Path, wanted: list[str]) -> dict[str, bytes]:
    """The content of the ``wanted`` members of a .tar.gz file.

    Raises:
        OSError: the archive is unsafe or damaged, or a member is missing.
    """
    found = {}
    with _explained(path), tarfile.open(path, "r:gz") as archive:
        total = 0
        for member in archive:
            total += member.size
            _check_member(path, member.name, total)
            if member.name in wanted and member.isreg():
                found[member.name] = archive.extractfile(member).read()
    missing = [name for name in wanted if name not in found]
    if missing:
        raise OSError(f"{path} has no file {missing[0]}")
    return found


@contextlib.contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """A .zip file whose members' names and sizes are in order.

    Raises:
        OSError: the archive is unsafe or damaged, or a member that is read is missing.
    """
    with _explained(path), zipfile.ZipFile(path) as archive:
        total = 0
        for member in archive.infolist():
            total += member.file_size
            _check_member(path, member.filename, total)
        yield archive


def _check_member(path: Path, name: str, total: int) -> None:
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts or "\\" in name or ":" in name:
        raise OSError(f"{path} is not safe: its member {name!r} leads out of the archive's folder")
    if total > LARGEST_UNPACKED:
        raise OSError(
            f"{path} is not safe: up to {name!r} it unpacks to {total:,} bytes, more than "
            f"{LARGEST_UNPACKED:,}"
        )


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """What a damaged archive raises, as an OSError that names it."""
    try:
        yield
    except (tarfile.TarError, gzip.BadGzipFile, zipfile.BadZipFile, *DAMAGE) as error:
        raise OSError(f"{path} cannot be read: {error}") from error
