"""Files that are either whole or not there, whatever is killed in between."""

from __future__ import annotations

import contextlib
import glob
import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path

BLOCK = 4096  # bytes that a small file takes


def folder(path: str | Path, name: str = "folder") -> Path:
    """``path``, made where it is not there, as a folder that can be written; else OSError."""
    path = Path(path).expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(bytes(BLOCK))
    except OSError as error:
        wanted = f"{name} must be a folder that can be written"
        raise _explained(error, f"{wanted}, got {str(path)!r}") from None
    return path


@contextlib.contextmanager
def whole(path: str | Path, *, previous: Path | None = None) -> Iterator[Path]:
    """A name to write to beside ``path``; it becomes ``path`` when the block ends without error.

    The old file stays until then and is replaced in one step, or goes to ``previous``. What a
    killed process of this machine left of the same file is removed.

    Raises:
        OSError: the folder cannot be written, or the disk is full; ``path`` is as it was.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole(f"{folder}/table.csv") as file:
    ...         _ = file.write_text("a,b")
    ...     os.listdir(folder)
    ['table.csv']
    """
    path = Path(path)
    start = f".{path.name}.{platform.node()}."
    temporary = path.with_name(f"{start}{os.getpid()}.part")
    try:
        for left in path.parent.glob(glob.escape(start) + "*.part"):
            if not _runs(left.name.removeprefix(start).removesuffix(".part")):
                left.unlink(missing_ok=True)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # on the disk before the name is
        if previous is not None and path.exists():
            path.replace(previous)
        temporary.replace(path)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(temporary), str(path)):
            raise  # of something else in the block
        raise _explained(error, f"cannot write {path.name} in {path.parent.absolute()}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _runs(process: str) -> bool:
    """Whether a process of this machine has that number; True where that cannot be asked."""
    if os.name == "posix" and process.isdecimal():
        try:
            os.kill(int(process), 0)  # sends nothing
        except (OSError, OverflowError) as error:
            return not isinstance(error, ProcessLookupError)
    return True


def reserve(file: Path) -> None:
    """Room for all of ``file``, or OSError: memory that maps it cannot say the disk is full."""
    if hasattr(os, "posix_fallocate"):
        with file.open("rb+") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)


def _explained(error: OSError, what: str) -> OSError:
    reason = error.strerror or error
    cure = "what is there is as it was; make room or choose another folder"
    return OSError(error.errno, f"{what}: {reason}; {cure}")
