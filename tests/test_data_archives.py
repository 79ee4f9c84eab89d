"""Downloads from a real local server that breaks off, lies or is not there; safe reading."""

import hashlib
import io
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rdlite.data import archives
from rdlite.data.archives import Archive, fetch
from rdlite.data.named import ARCHIVES

CONTENT = bytes(range(256)) * 4000  # about 1 MB: several blocks
HALF = len(CONTENT) // 2


class Handler(BaseHTTPRequestHandler):
    """Answers the i-th request in the i-th manner of the server, and the later ones in the last."""

    def do_GET(self):
        host, asked = self.server, self.headers.get("Range")
        manner = host.manners[min(len(host.requests), len(host.manners) - 1)]
        host.requests.append(asked)
        content, start = host.content, int(asked[6:-1]) if asked else 0
        if isinstance(manner, int):
            return self.send_error(manner)
        if manner == "ignores ranges":
            start = 0
        if manner == "wrong bytes":
            content = content[::-1]
        if manner == "a web page":
            content, start = b"<html>Please log in</html>", 0
        if start >= len(content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            first = start + (manner == "starts elsewhere")
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        if manner != "no length":
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        rest = content[start:]
        self.wfile.write(rest[: len(rest) // 2] if manner == "breaks off" else rest)

    def log_message(self, *_):
        pass


@pytest.fixture
def host(monkeypatch):
    """A server of CONTENT with lists of ``manners`` and of the ranges that were asked for."""
    monkeypatch.setattr(archives, "WAIT", 0)
    monkeypatch.setattr(archives, "TIMEOUT", 5)
    monkeypatch.setenv("no_proxy", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.manners, server.requests, server.content = ["good"], [], CONTENT
        server.url = f"http://127.0.0.1:{server.server_port}/set.tar.gz"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def entry(url, content=CONTENT, file="Set/set.tar.gz", **counts):
    """The table's entry for ``content``."""
    counts = {"train": 1, "test": 1, "classes": 2, "side": 4} | counts
    return Archive(file, url, hashlib.md5(content).hexdigest(), len(content), **counts)


def assert_explains(error, archive, root):
    """The message names the file, the address and what to do by hand."""
    message = str(error.value)
    assert f"put it at {root / archive.file}" in message
    assert f"by hand: download {archive.url} ({archive.num_bytes:,} bytes, MD5" in message
    assert archive.md5 in message
    assert "\n" not in message


def names(root):
    return sorted(path.name for path in root.rglob("*") if path.is_file())


# ---------------------------------------------------------------- the table


@pytest.mark.parametrize(
    ("name", "file", "md5", "num_bytes"),
    [
        (
            "cifar10",
            "cifar-10-binary.tar.gz",
            "c32a1d4ab5d03f1284b67883e8d87530",
            170_052_171,
        ),
        (
            "cifar100",
            "cifar-100-binary.tar.gz",
            "03b5dce01913d631647c71ecec9e9cb8",
            168_513_733,
        ),
        (
            "tiny-imagenet",
            "tiny-imagenet-200.zip",
            "90528d7ca1a48142e341f4ef8d21d0de",
            248_100_043,
        ),
    ],
)
def test_table_holds_the_published_sums(name, file, md5, num_bytes):
    archive = ARCHIVES[name]
    assert (archive.md5, archive.num_bytes) == (md5, num_bytes)
    assert archive.file.endswith("/" + file) and archive.url.endswith("/" + file)


# ---------------------------------------------------------------- downloads that end well


@pytest.mark.parametrize("manner", ["good", "no length"])
def test_download_is_one_request_and_leaves_only_the_archive(host, tmp_path, manner):
    host.manners = [manner]
    path = fetch(entry(host.url), tmp_path)
    assert path == tmp_path / "Set" / "set.tar.gz"
    assert path.read_bytes() == CONTENT
    assert (names(tmp_path), host.requests) == (["set.tar.gz"], [None])


def test_archive_that_is_there_is_not_downloaded(host, tmp_path):
    archive = entry(host.url)
    (tmp_path / "Set").mkdir()
    (tmp_path / archive.file).write_bytes(CONTENT)
    assert fetch(archive, tmp_path).read_bytes() == CONTENT
    assert host.requests == []


def test_broken_download_goes_on_where_it_broke_off(host, tmp_path):
    host.manners = ["breaks off", "breaks off", 503, "good"]
    assert fetch(entry(host.url), tmp_path).read_bytes() == CONTENT
    third = f"bytes={HALF + HALF // 2}-"
    assert host.requests == [None, f"bytes={HALF}-", third, third]


def test_a_host_that_breaks_off_often_is_followed_as_long_as_there_is_progress(host, tmp_path):
    host.manners = ["breaks off"] * (2 * archives.ATTEMPTS) + ["good"]
    assert fetch(entry(host.url), tmp_path).read_bytes() == CONTENT


def test_next_call_goes_on_with_what_an_earlier_one_kept(host, tmp_path):
    host.manners = ["breaks off", 503]
    archive = entry(host.url)
    with pytest.raises(OSError, match=f"{HALF:,} of {len(CONTENT):,} bytes are kept") as error:
        fetch(archive, tmp_path)
    assert_explains(error, archive, tmp_path)
    assert names(tmp_path) == ["set.tar.gz.part"]
    assert len(host.requests) == 1 + archives.ATTEMPTS
    host.manners, host.requests = ["good"], []
    assert fetch(archive, tmp_path).read_bytes() == CONTENT
    assert (names(tmp_path), host.requests) == (["set.tar.gz"], [f"bytes={HALF}-"])


def test_host_without_ranges_starts_again(host, tmp_path):
    host.manners = ["breaks off", "ignores ranges"]
    assert fetch(entry(host.url), tmp_path).read_bytes() == CONTENT
    assert host.requests == [None, f"bytes={HALF}-"]


@pytest.mark.parametrize("kept", [CONTENT, CONTENT + b"more"], ids=["whole", "too long"])
def test_part_of_full_length_is_checked_or_dropped(host, tmp_path, kept):
    (tmp_path / "Set").mkdir()
    (tmp_path / "Set" / "set.tar.gz.part").write_bytes(kept)
    assert fetch(entry(host.url), tmp_path).read_bytes() == CONTENT
    assert host.requests == ([] if kept == CONTENT else [None])


def test_part_that_the_host_cannot_continue_is_dropped(host, tmp_path):
    (tmp_path / "Set").mkdir()
    (tmp_path / "Set" / "set.tar.gz.part").write_bytes(CONTENT[:10])
    host.manners = [416, "good"]
    assert fetch(entry(host.url), tmp_path).read_bytes() == CONTENT
    assert host.requests == ["bytes=10-", None]


# ---------------------------------------------------------------- downloads that fail


def test_wrong_bytes_are_deleted_and_explained(host, tmp_path):
    host.manners = ["wrong bytes"]
    archive = entry(host.url)
    wrong = hashlib.md5(CONTENT[::-1]).hexdigest()
    message = f"has MD5 {wrong}, expected {archive.md5}, and was deleted; 0 of 1,024,000 bytes"
    with pytest.raises(OSError, match=message) as error:
        fetch(archive, tmp_path)
    assert_explains(error, archive, tmp_path)
    assert (names(tmp_path), len(host.requests)) == ([], 1)


def test_part_of_another_file_is_found_out_by_the_sum(host, tmp_path):
    (tmp_path / "Set").mkdir()
    (tmp_path / "Set" / "set.tar.gz.part").write_bytes(b"?" * HALF)
    with pytest.raises(OSError, match="was deleted; 0 of 1,024,000 bytes are kept, run it again"):
        fetch(entry(host.url), tmp_path)
    assert fetch(entry(host.url), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("manners", "message", "requests", "kept"),
    [
        (["a web page"], "the host sends 26 bytes, not 1,024,000", 1, 0),
        ([404], "HTTP Error 404", 1, 0),
        (["breaks off", 403], "HTTP Error 403", 2, HALF),
        (["breaks off", "starts elsewhere"], "the host did not go on from byte 512,000", 2, HALF),
        ([500], "HTTP Error 500", archives.ATTEMPTS, 0),
    ],
)
def test_failed_download_is_explained(host, tmp_path, manners, message, requests, kept):
    host.manners, archive = manners, entry(host.url)
    with pytest.raises(OSError, match=message) as error:
        fetch(archive, tmp_path)
    assert_explains(error, archive, tmp_path)
    assert len(host.requests) == requests
    assert names(tmp_path) == (["set.tar.gz.part"] if kept else [])
    assert f"{kept:,} of 1,024,000 bytes are kept, run it again to go on" in str(error.value)


def test_host_that_is_not_there_is_explained(host, tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as other:
        archive = entry(f"http://127.0.0.1:{other.server_port}/set.tar.gz")
    with pytest.raises(OSError, match="is missing and could not be downloaded from http") as error:
        fetch(archive, tmp_path)
    assert_explains(error, archive, tmp_path)
    assert names(tmp_path) == []


def test_silent_host_times_out(host, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "TIMEOUT", 0.1)
    monkeypatch.setattr(archives, "ATTEMPTS", 1)
    awake = threading.Event()
    monkeypatch.setattr(Handler, "do_GET", lambda self: awake.wait(10))
    with pytest.raises(OSError, match="timed out"):
        fetch(entry(host.url), tmp_path)
    awake.set()


def test_damaged_archive_in_place_is_explained_and_kept(host, tmp_path):
    archive = entry(host.url)
    (tmp_path / "Set").mkdir()
    (tmp_path / archive.file).write_bytes(CONTENT[:-1])
    with pytest.raises(OSError, match=r"is damaged: .* delete it to download it again") as error:
        fetch(archive, tmp_path)
    assert_explains(error, archive, tmp_path)
    assert (names(tmp_path), host.requests) == (["set.tar.gz"], [])


# ---------------------------------------------------------------- reading without unpacking


def tar_of(path, members):
    """A .tar.gz file of (name or TarInfo, bytes)."""
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for member, content in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def zip_of(path, members):
    """A .zip file of (name, bytes)."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def read_either(path, wanted):
    """What either reader gives for one member."""
    if path.suffix == ".gz":
        return archives.read_tar(path, [wanted])[wanted]
    with archives.open_zip(path) as archive:
        return archive.read(wanted)


@pytest.fixture(params=["tar.gz", "zip"])
def pack(request, tmp_path):
    """members -> an archive of them, of either kind."""
    make = tar_of if request.param == "tar.gz" else zip_of
    return lambda members: make(tmp_path / f"set.{request.param}", members)


def test_member_is_read(pack):
    assert read_either(pack([("a/b", b"1"), ("a/c", b"2")]), "a/c") == b"2"


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../up", "a/../../up", "C:/windows", "a\\..\\up", ".."]
)
def test_member_that_leads_out_of_the_folder_is_refused(pack, name):
    with pytest.raises(OSError, match=r"is not safe: its member .* leads out"):
        read_either(pack([("a", b"1"), (name, b"2")]), "a")


def test_archive_that_unpacks_to_too_much_is_refused(pack, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST_UNPACKED", 1000)
    assert read_either(pack([("a", bytes(500)), ("b", bytes(500))]), "a") == bytes(500)
    with pytest.raises(OSError, match=r"is not safe: up to 'b' it unpacks to 1,001 bytes"):
        read_either(pack([("a", bytes(500)), ("b", bytes(501))]), "a")


def test_members_of_a_tar_come_in_the_order_in_which_they_are_asked_for(tmp_path):
    path = tar_of(tmp_path / "set.tar.gz", [("b", b"2"), ("readme", b"?"), ("a", b"1")])
    assert list(archives.read_tar(path, ["a", "b"]).items()) == [("a", b"1"), ("b", b"2")]


def test_missing_member_is_named(pack):
    with pytest.raises(OSError, match=r"set\..*a/c"):
        read_either(pack([("a/b", b"1")]), "a/c")


def test_link_is_not_followed(tmp_path):
    link = tarfile.TarInfo("a")
    link.type, link.linkname = tarfile.SYMTYPE, "b"
    with pytest.raises(OSError, match="has no file a"):
        archives.read_tar(tar_of(tmp_path / "set.tar.gz", [(link, b""), ("b", b"1")]), ["a"])


@pytest.mark.parametrize("damage", ["truncated", "no archive at all", "empty"])
def test_damaged_archive_is_named(pack, damage):
    path = pack([("a", b"1" * 5000), ("b", b"2" * 5000)])
    whole = path.read_bytes()
    half = whole[: len(whole) // 2]
    path.write_bytes({"truncated": half, "empty": b""}.get(damage, b"<html>" * 100))
    with pytest.raises(OSError, match=r"set\.(zip|tar\.gz) cannot be read"):
        read_either(path, "b")
