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
    """``path`` as a folder in which files can be made; it is made where it is not there.

    Args:
        path: where.
        name: of the argument, for the message.

    Raises:
        OSError: it is a file, or cannot be written.
    """
    path = Path(path).expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(bytes(BLOCK))
    except OSError as error:
        raise _explained(
            error, f"{name} must be a folder that can be written, got {str(path)!r}"
        ) from None
    return path


@contextlib.contextmanager
def whole(path: str | Path, *, previous: Path | None = None) -> Iterator[Path]:
    """A name to write to beside ``path``; it becomes ``path`` when the block ends without error.

    The old file, if there is one, stays until then and is replaced in one step. What a killed
    process of this machine left of the same file is removed.

    Args:
        path: the file.
        previous: where the old file goes, instead of being replaced.

    Raises:
        OSError: the folder cannot be written, or the disk is full; ``path`` is as it was.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole(Path(folder) / "table.csv") as file:
    ...         _ = file.write_text("a,b")
    ...     [found.name for found in Path(folder).iterdir()]
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
    if os.name != "posix" or not process.isdecimal():
        return True
    try:
        os.kill(int(process), 0)  # sends nothing
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def reserve(file: Path) -> None:
    """Have the disk keep room for all of ``file``: memory that maps it cannot say it is full.

    Raises:
        OSError: there is no room.
    """
    if hasattr(os, "posix_fallocate"):
        with file.open("rb+") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)


def _explained(error: OSError, what: str) -> OSError:
    return OSError(
        error.errno,
        f"{what}: {error.strerror or error}; "
        "what is there is as it was; make room or choose another folder",
    )
