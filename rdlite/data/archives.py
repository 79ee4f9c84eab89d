"""Archives on public hosts: downloaded once, resumed where a download broke off, checked, decoded.

Nothing is unpacked to disk and no pickle is read. An archive that would be unsafe to unpack is
refused all the same. What was decoded is kept as .npy files beside it.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import tarfile
import time
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from filelock import FileLock

from rdlite.data.splits import Split
from rdlite.guards import checks, files

ATTEMPTS = 4  # requests in a row without a byte of progress before a download gives up
WAIT = 1.0  # seconds before another request; twice as long after each one without progress
TIMEOUT = 30.0  # seconds without a byte after which a request counts as broken
BLOCK = 1 << 18  # bytes read at a time
LARGEST_UNPACKED = 1 << 30  # bytes of all members together; the largest archive here has 0.25e9
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, KeyError)
DAMAGE += (ValueError, TypeError)


@dataclass(frozen=True)
class Archive:
    """An official archive and what is in it; every image has 3 channels."""

    file: str  # where it lies below the data folder
    url: str
    md5: str  # CIFAR's page publishes its own, Tiny ImageNet's is the one in wide use
    num_bytes: int
    train: int  # labelled images for the pool
    test: int
    classes: int
    side: int  # pixels


def read(archive: Archive, decode: Callable, root: Path) -> list[Split]:
    """Pool and test set of an archive, which is fetched and decoded where needed.

    The images of the pool stay on the disk until they are drawn.

    Args:
        decode: of path, entry and (n, 3, s, s) arrays of pool and test, which it fills; gives their
            labels, (n,) int64, and the m class names.

    Raises:
        OSError: the archive cannot be had, is damaged, or does not hold what it should.
    """
    folder = (root / archive.file).parent / f"decoded-{archive.md5[:8]}"
    with contextlib.suppress(OSError):
        return _kept(folder, archive)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        with contextlib.suppress(OSError):
            return _kept(folder, archive)  # another process has done it by now
        _decode_into(folder, archive, fetch(archive, root), decode)
        return _kept(folder, archive)


def fetch(archive: Archive, root: Path) -> Path:
    """The archive below ``root``, downloaded if it is not there, with the right checksum.

    An unfinished download stays beside it as ``*.part``, and the next call goes on from there.

    Raises:
        OSError: it cannot be had; the message names file and address, and what to do by hand.
    """
    path = root / archive.file
    part = path.with_name(path.name + ".part")
    by_hand = (
        f"or by hand: download {archive.url} ({archive.num_bytes:,} bytes, MD5 {archive.md5}), in "
        f"a browser or on another machine, and put it at {path}"
    )
    if path.exists():
        check_sum(path, archive.md5, f"delete it to download it again, {by_hand}")
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _download(archive, part)
    except (OSError, HTTPException, ValueError) as error:
        kept = f"{_size(part):,} of {archive.num_bytes:,} bytes are kept"
        raise OSError(
            f"{path} is missing and could not be downloaded from {archive.url}: {error}; "
            f"{kept}, run it again to go on, {by_hand}"
        ) from error
    return part.replace(path)


def check_sum(path: Path, md5: str, cure: str) -> None:
    """OSError, whose message ends with ``cure``, unless the file has the right sum."""
    if (found := _md5(path)) != md5:
        got = f"got {found} ({_size(path):,} bytes)"
        raise OSError(f"{path} is damaged: expected MD5 {md5}, {got}; {cure}")


def _download(archive: Archive, part: Path) -> None:
    """Bring ``part`` to the full length, in as many requests as it takes."""
    if _size(part) > archive.num_bytes:
        part.unlink()
    fruitless = 0
    while (have := _size(part)) < archive.num_bytes:
        try:
            _request_rest(archive, part, have)
        except (OSError, HTTPException) as error:
            code = getattr(error, "code", 0)  # of the answer, where there was one
            if code == 416:  # what is kept is no beginning of what the host has
                part.unlink(missing_ok=True)
            refused = 400 <= code < 500 and code not in (408, 416, 429)
            fruitless = 0 if _size(part) > have else fruitless + 1
            if refused or fruitless == ATTEMPTS:
                raise
            time.sleep(WAIT * 2**fruitless)
    if (found := _md5(part)) != archive.md5:
        part.unlink()
        raise ValueError(f"what came has MD5 {found}, expected {archive.md5}, and was deleted")


def _request_rest(archive: Archive, part: Path, have: int) -> None:
    """One request for the bytes after the first ``have``; ValueError if the host has others."""
    from tqdm.auto import tqdm

    headers = {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(archive.url, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        if answer.status != 206:
            have = 0  # the host sends the whole file, whatever was asked for
        rest = archive.num_bytes - have
        length = rest if answer.length is None else answer.length
        checks.require(length == rest, f"the host sends {length:,} bytes, not {rest:,}")
        goes_on = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        checks.require(goes_on or not have, f"the host did not go on from byte {have:,}")
        progress = {"initial": have, "total": archive.num_bytes, "unit": "B", "unit_scale": True}
        with part.open("ab" if have else "wb") as file, tqdm(desc=part.stem, **progress) as bar:
            while block := answer.read(min(BLOCK, rest)):
                file.write(block)
                bar.update(len(block))
                rest -= len(block)
    if rest:
        raise ConnectionError("the connection broke off")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def read_tar(path: Path, wanted: list[str]) -> dict[str, bytes]:
    """The ``wanted`` members of a .tar.gz file, in this order; OSError where one cannot be had."""
    found, total = dict.fromkeys(wanted), 0
    with _explained(path), tarfile.open(path, "r:gz") as archive:
        for member in archive:
            total += member.size
            _check_member(member.name, total)
            if member.name in found and member.isreg():
                found[member.name] = archive.extractfile(member).read()
        for name, content in found.items():
            checks.require(content is not None, f"it has no file {name}")
    return found


@contextlib.contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """A .zip file whose members may be read; OSError where it, or one of them, may not."""
    total = 0
    with _explained(path), zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            total += member.file_size
            _check_member(member.filename, total)
        yield archive


def _check_member(name: str, total: int) -> None:
    """A member that is safe to unpack; ``total`` bytes are in it and all before it."""
    parts = PurePosixPath(name)
    inside = not (parts.is_absolute() or ".." in parts.parts or "\\" in name or ":" in name)
    checks.require(inside, f"it is not safe: its member {name!r} leads out of the archive's folder")
    much = f"up to {name!r} it unpacks to {total:,} bytes, more than {LARGEST_UNPACKED:,}"
    checks.require(total <= LARGEST_UNPACKED, f"it is not safe: {much}")


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """What a damaged archive raises, or one that holds something else, as an OSError naming it."""
    try:
        yield
    except DAMAGE as error:
        raise OSError(f"{path} cannot be read: {error}") from error


def _decode_into(folder: Path, archive: Archive, path: Path, decode: Callable) -> None:
    shape = (3, archive.side, archive.side)
    with (
        _explained(path),
        files.whole(folder / "train_images.npy") as pool_file,
        files.whole(folder / "test_images.npy") as test_file,
    ):
        pool = np.lib.format.open_memmap(pool_file, "w+", np.uint8, (archive.train, *shape))
        test = np.lib.format.open_memmap(test_file, "w+", np.uint8, (archive.test, *shape))
        files.reserve(pool_file)
        files.reserve(test_file)
        labels, test_labels, names = decode(path, archive, pool, test)
        for part, seen in (("train", np.unique(labels)), ("test", np.unique(test_labels))):
            right = np.array_equal(seen, np.arange(archive.classes))
            wanted = f"expected labels 0..{archive.classes - 1}"
            checks.require(right, f"its {part} part shows {len(seen)} classes, {wanted}")
        del pool, test  # closed before they get their names
    small = {"train_labels": labels, "test_labels": test_labels, "class_names": names}
    for key, array in small.items():
        with files.whole(folder / f"{key}.npy") as unfinished, unfinished.open("wb") as file:
            np.save(file, np.asarray(array), allow_pickle=False)


def _kept(folder: Path, archive: Archive) -> list[Split]:
    """What an earlier call has kept; OSError where a file is missing or not as it should be."""
    with _explained(folder):
        parts, names = [], tuple(map(str, np.load(folder / "class_names.npy", allow_pickle=False)))
        for part, n in (("train", archive.train), ("test", archive.test)):
            # "c": read on demand, and never written back
            images = np.load(folder / f"{part}_images.npy", mmap_mode="c", allow_pickle=False)
            labels = np.load(folder / f"{part}_labels.npy", allow_pickle=False)
            right = images.shape == (n, 3, archive.side, archive.side)
            checks.require(right and len(names) == archive.classes, "another shape")
            images = torch.from_numpy(images if part == "train" else np.array(images))
            parts.append(Split(images, torch.from_numpy(labels), names))
    return parts
