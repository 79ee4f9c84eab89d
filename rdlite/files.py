"""Files that are either whole or not there, whatever is killed in between."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def folder(path: str | Path, name: str = "folder") -> Path:
    """``path`` as a folder in which files can be made; it is made where it is not there.

    Args:
        path: where.
        name: of the argument, for the message.

    Raises:
        OSError: it is a file, or cannot be written.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise OSError(
            f"{name} must be a folder that can be written, got {str(path)!r} ({error.strerror}); "
            "choose another place"
        ) from None
    return path


@contextlib.contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A name to write to beside ``path``; it becomes ``path`` when the block ends without error.

    The old file, if there is one, stays until then and is replaced in one step.

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
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # on the disk before the name is
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
