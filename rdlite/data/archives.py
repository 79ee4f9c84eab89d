"""Archives on public hosts: downloaded once, resumed where a download broke off, and checked."""

from __future__ import annotations

import hashlib
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

ATTEMPTS = 4  # requests in a row without a byte of progress before a download gives up
WAIT = 1.0  # seconds before another request; twice as long after each one without progress
TIMEOUT = 30.0  # seconds without a byte after which a request counts as broken
BLOCK = 1 << 18  # bytes read at a time


@dataclass(frozen=True)
class Archive:
    """An official archive and what is in it.

    Args:
        file: where it lies below the data folder.
        url: where it comes from.
        md5: of the archive; CIFAR's page publishes its own, Tiny ImageNet's is the one in wide use.
        num_bytes: of the archive.
        train: labelled images for the pool.
        test: labelled images of the test set.
        classes: m.
        side: pixels a side; every image has 3 channels.
    """

    file: str
    url: str
    md5: str
    num_bytes: int
    train: int
    test: int
    classes: int
    side: int


ARCHIVES = {
    "cifar10": Archive(
        "CIFAR10/cifar-10-binary.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "c32a1d4ab5d03f1284b67883e8d87530",
        170_052_171,
        train=50_000,
        test=10_000,
        classes=10,
        side=32,
    ),
    "cifar100": Archive(
        "CIFAR100/cifar-100-binary.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        "03b5dce01913d631647c71ecec9e9cb8",
        168_513_733,
        train=50_000,
        test=10_000,
        classes=100,
        side=32,
    ),
    "tiny-imagenet": Archive(
        "TinyImageNet/tiny-imagenet-200.zip",
        "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        "90528d7ca1a48142e341f4ef8d21d0de",
        248_100_043,
        train=100_000,
        test=10_000,
        classes=200,
        side=64,
    ),
}


class _WrongFileError(OSError):
    """The host has another file there, so that trying again is of no use."""


def fetch(archive: Archive, root: Path) -> Path:
    """The archive below ``root``, downloaded if it is not there, with the right checksum.

    An unfinished download stays beside it as ``*.part``, and the next call goes on from there.

    Raises:
        OSError: the host cannot be reached, or the file is not the official one. The message
            names the file, the address and what to do by hand.
    """
    path = root / archive.file
    by_hand = (
        f"by hand: download {archive.url} ({archive.num_bytes:,} bytes, MD5 {archive.md5}), in a "
        f"browser or on another machine, and put it at {path}"
    )
    if path.exists():
        found = _md5(path)
        if found != archive.md5:
            raise OSError(
                f"{path} is damaged: expected MD5 {archive.md5}, got {found} "
                f"({_size(path):,} bytes); delete it to download it again, or {by_hand}"
            )
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        _download(archive, part)
    except (OSError, HTTPException) as error:
        raise OSError(
            f"{path} is missing and could not be downloaded from {archive.url}: {error}; "
            f"{_size(part):,} of {archive.num_bytes:,} bytes are kept, run it again to go on, "
            f"or {by_hand}"
        ) from error
    found = _md5(part)
    if found != archive.md5:
        part.unlink()
        raise OSError(
            f"the download of {path} from {archive.url} has MD5 {found}, expected {archive.md5}; "
            f"it was deleted, run it again to download it from the start, or {by_hand}"
        )
    part.replace(path)
    return path


def _download(archive: Archive, part: Path) -> None:
    """Bring ``part`` to the full length, in as many requests as it takes."""
    fruitless = 0
    while True:
        before = _size(part)
        try:
            _request_rest(archive, part)
            if _size(part) < archive.num_bytes:
                raise ConnectionError("the connection broke off")
            return
        except _WrongFileError:
            raise
        except (OSError, HTTPException) as error:
            code = getattr(error, "code", None)  # of the answer, where there was one
            if code == 416:  # what is kept is no beginning of what the host has
                part.unlink(missing_ok=True)
            refused = code is not None and 400 <= code < 500 and code not in (408, 416, 429)
            fruitless = 0 if _size(part) > before else fruitless + 1
            if refused or fruitless == ATTEMPTS:
                raise
            time.sleep(WAIT * 2**fruitless)


def _request_rest(archive: Archive, part: Path) -> None:
    """One request for the bytes that ``part`` still lacks, written as they come."""
    from tqdm.auto import tqdm

    if _size(part) > archive.num_bytes:
        part.unlink()
    have = _size(part)
    if have == archive.num_bytes:
        return
    headers = {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(archive.url, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        if answer.status != 206:
            have = 0  # the host sends the whole file, whatever was asked for
        _check_length(answer.headers, have, archive.num_bytes)
        with (
            part.open("ab" if have else "wb") as file,
            tqdm(
                desc=part.stem,
                total=archive.num_bytes,
                initial=have,
                unit="B",
                unit_scale=True,
            ) as bar,
        ):
            while have < archive.num_bytes:
                block = answer.read(min(BLOCK, archive.num_bytes - have))
                if not block:
                    return
                file.write(block)
                have += len(block)
                bar.update(len(block))


def _check_length(headers: dict[str, str], have: int, num_bytes: int) -> None:
    """The answer is the part of the file from byte ``have`` on, as far as its headers tell."""
    length = headers.get("Content-Length")
    if length is not None and int(length) != num_bytes - have:
        raise _WrongFileError(f"the host sends {int(length):,} bytes, not {num_bytes - have:,}")
    if have and not headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        raise _WrongFileError(f"the host did not go on from byte {have:,}")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
