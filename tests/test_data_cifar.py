"""CIFAR-10 and CIFAR-100 from small archives in the layout of the official binary ones."""

import os
import shutil
import threading

import numpy as np
import pytest
import torch
from test_data_archives import entry, host, tar_of  # noqa: F401

from rdlite import data
from rdlite.data import protocol
from rdlite.data.named import ARCHIVES

CIFAR10_NAMES = [
    "airplane", "automobile", "bird", "cat", "deer",
    "dog", "frog", "horse", "ship", "truck",
]  # fmt: skip
CLASSES = {"cifar10": 10, "cifar100": 100}
HEAD = {"cifar10": 25, "cifar100": 10}  # pool images a class of the small archives


def records(labels, label_bytes, pixels):
    """The bytes of a .bin file: a coarse label where there are two, the label, red, green, blue."""
    rows = np.empty((len(labels), label_bytes + 3072), np.uint8)
    rows[:, 0], rows[:, label_bytes - 1] = labels // 5, labels
    rows[:, label_bytes:] = pixels.reshape(len(labels), -1)
    return rows.tobytes()


def members(name, pool, test):
    """(name, bytes) of every file of the archive, for (pixels, labels) of pool and test."""
    if name == "cifar10":
        top, parts = "cifar-10-batches-bin", np.array_split(np.arange(len(pool[1])), 5)
        texts = {"batches.meta.txt": "\n".join(CIFAR10_NAMES) + "\n\n", "readme.html": "<html>"}
        files = {f"data_batch_{i + 1}.bin": part for i, part in enumerate(parts)}
        label_bytes, test_file = 1, "test_batch.bin"
    else:
        top, files = "cifar-100-binary", {"train.bin": np.arange(len(pool[1]))}
        texts = {
            "fine_label_names.txt": "".join(f"fine_{k}\n" for k in range(100)),
            "coarse_label_names.txt": "".join(f"coarse_{k}\n" for k in range(20)),
        }
        label_bytes, test_file = 2, "test.bin"
    made = {file: records(pool[1][i], label_bytes, pool[0][i]) for file, i in files.items()}
    made[test_file] = records(test[1], label_bytes, test[0])
    made |= {file: text.encode() for file, text in texts.items()}
    return [(f"{top}/{file}", content) for file, content in made.items()]


def images(labels, seed):
    return np.random.RandomState(seed).randint(0, 256, (len(labels), 3, 32, 32), dtype=np.uint8)


def shuffled_labels(classes, each, seed):
    return np.random.RandomState(seed).permutation(np.arange(classes * each) % classes)


def install(root, name, content, monkeypatch, pool, test, url="http://127.0.0.1:9/none"):
    """Put an archive in the place of the official one, and its sum into the table."""
    counts = {"train": pool, "test": test, "classes": CLASSES[name], "side": 32}
    archive = entry(url, content, ARCHIVES[name].file, **counts)
    monkeypatch.setitem(ARCHIVES, name, archive)
    path = root / archive.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture(params=["cifar10", "cifar100"])
def small(request, tmp_path, monkeypatch):
    """(name, root, pool, test): an archive with the true layout, and what is in it."""
    name = request.param
    pool, test = (
        (images(labels, seed), labels)
        for seed, each in ((0, HEAD[name]), (1, 2))
        for labels in [shuffled_labels(CLASSES[name], each, seed)]
    )
    packed = tar_of(tmp_path / "made.tar.gz", members(name, pool, test)).read_bytes()
    install(tmp_path, name, packed, monkeypatch, len(pool[1]), len(test[1]))
    return name, tmp_path, pool, test


def test_every_image_and_label_is_read(small):
    name, root, (pixels, labels), (test_pixels, test_labels) = small
    splits = data.load(name, root=root, imbalance=1, head=None, heldout=0, seed=3)
    assert (splits.num_classes, splits.in_channels) == (CLASSES[name], 3)
    assert np.array_equal(splits.test.images, test_pixels)
    assert np.array_equal(splits.test.labels, test_labels)
    counts = [HEAD[name]] * CLASSES[name]
    assert splits.train.class_counts.tolist() == counts
    [drawn] = protocol.cut(torch.tensor(labels), [counts], 3)
    assert np.array_equal(splits.train.images, pixels[drawn])
    assert np.array_equal(splits.train.labels, labels[drawn])


def test_order_of_the_files_in_an_archive_does_not_matter(small, monkeypatch):
    """Batches, test set and names are told by their names."""
    name, root, pool, test = small
    wanted = data.load(name, root=root, head=5, heldout=2)
    backwards = tar_of(root / "made.tar.gz", members(name, pool, test)[::-1]).read_bytes()
    install(root, name, backwards, monkeypatch, len(pool[1]), len(test[1]))
    got = data.load(name, root=root, head=5, heldout=2)
    assert (got.fingerprint, got.class_names) == (wanted.fingerprint, wanted.class_names)
    assert torch.equal(got.train.images, wanted.train.images)
    assert torch.equal(got.test.images, wanted.test.images)


def test_class_names_are_those_of_the_archive(small):
    name, root, *_ = small
    names = data.load(name, root=root, head=1, heldout=0).class_names
    assert names == tuple(CIFAR10_NAMES if name == "cifar10" else (f"fine_{k}" for k in range(100)))


def test_protocol_is_the_same_as_everywhere(small):
    name, root, *_ = small
    options = {"root": root, "imbalance": 4, "head": 6, "heldout": 3}
    splits = data.load(name, **options)
    m = CLASSES[name]
    assert splits.train.class_counts.tolist() == data.long_tail_counts(6, m, 4)
    assert splits.heldout.class_counts.tolist() == data.long_tail_counts(3, m, 4, at_least=2)
    shrunk = data.load(name, **options, size=8)
    assert shrunk.fingerprint == splits.fingerprint
    blocks = splits.train.images.numpy().reshape(-1, 3, 8, 4, 8, 4).mean((3, 5))
    assert np.abs(shrunk.train.images.numpy() - blocks).max() <= 0.5
    assert data.load(name, **options, seed=1).fingerprint != splits.fingerprint
    with pytest.raises(ValueError, match=r"size must be .* at most 32, got 33"):
        data.load(name, **options, size=33)


def test_arrays_are_kept_and_read_without_the_archive(small):
    name, root, *_ = small
    first = data.load(name, root=root, head=5, heldout=2)
    (root / ARCHIVES[name].file).unlink()
    kept = (root / ARCHIVES[name].file).parent / f"decoded-{ARCHIVES[name].md5[:8]}"
    assert sorted(path.name for path in kept.iterdir() if path.name[0] != ".") == [
        "class_names.npy",
        "test_images.npy",
        "test_labels.npy",
        "train_images.npy",
        "train_labels.npy",
    ]
    again = data.load(name, root=root, head=5, heldout=2)
    assert again.fingerprint == first.fingerprint
    assert torch.equal(again.train.images, first.train.images)
    assert torch.equal(again.test.images, first.test.images)


class Trap:
    """Leaves a mark where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("damage", ["gone", "cut", "another shape", "no array", "a pickle"])
@pytest.mark.parametrize("file", ["train_images", "test_labels", "class_names"])
def test_kept_array_that_is_not_as_it_should_be_is_made_again(small, file, damage):
    name, root, *_ = small
    first = data.load(name, root=root, head=5, heldout=2)
    [path] = root.rglob(f"{file}.npy")
    whole = path.read_bytes()
    path.unlink()
    if damage == "another shape":
        np.save(path, np.load(root / path.with_name("train_labels.npy"))[:7])
    elif damage == "a pickle":
        np.save(path, np.array([Trap(root / "unpickled")] * 3, dtype=object), allow_pickle=True)
    elif damage != "gone":
        path.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"<html>")
    again = data.load(name, root=root, head=5, heldout=2)
    assert again.fingerprint == first.fingerprint
    assert torch.equal(again.test.labels, first.test.labels)
    assert path.read_bytes() == whole
    assert not (root / "unpickled").exists()


def test_drawn_images_can_be_changed_without_changing_the_kept_ones(small):
    name, root, *_ = small
    first = data.load(name, root=root, head=5, heldout=2)
    wanted = first.train.images.clone(), first.test.images.clone()
    first.train.images.zero_()
    first.test.images.zero_()
    again = data.load(name, root=root, head=5, heldout=2)
    assert torch.equal(again.train.images, wanted[0])
    assert torch.equal(again.test.images, wanted[1])


# ---------------------------------------------------------------- archives that are not right


def changed(name, file, content):
    """Members of a right archive with one file replaced; None leaves it out."""
    labels = np.arange(CLASSES[name] * 5) % CLASSES[name]
    made = dict(members(name, *2 * [(images(labels, 0), labels)]))
    [key] = [key for key in made if key.endswith("/" + file)]
    made[key] = content(made[key]) if callable(content) else content
    return [(key, value) for key, value in made.items() if value is not None], len(labels)


@pytest.mark.parametrize(
    ("name", "file", "content", "message"),
    [
        (
            "cifar10",
            "data_batch_3.bin",
            lambda raw: raw[:-1],
            r"data_batch_3\.bin must be whole records of 3073 bytes, got 30729 bytes",
        ),
        ("cifar10", "data_batch_5.bin", None, r"has no file cifar-10-batches-bin/data_batch_5"),
        (
            "cifar10",
            "data_batch_1.bin",
            lambda raw: raw[:-3073],
            r"data_batch_1\.bin and its like have 49 images, expected 50",
        ),
        (
            "cifar10",
            "batches.meta.txt",
            b"airplane\nbird\n",
            r"batches\.meta\.txt names 2 classes, expected 10",
        ),
        (
            "cifar10",
            "test_batch.bin",
            lambda raw: bytes(len(raw)),
            r"its test part shows 1 classes, expected labels 0\.\.9",
        ),
        (
            "cifar10",
            "test_batch.bin",
            lambda raw: b"\x0a" + raw[1:],
            r"its test part shows 11 classes, expected labels 0\.\.9",
        ),
        (
            "cifar100",
            "train.bin",
            lambda raw: raw + b"0",
            r"train\.bin must be whole records of 3074 bytes",
        ),
        ("cifar100", "test.bin", None, r"has no file cifar-100-binary/test\.bin"),
    ],
)
def test_archive_with_another_content_is_named(tmp_path, monkeypatch, name, file, content, message):
    parts, n = changed(name, file, content)
    packed = tar_of(tmp_path / "made.tar.gz", parts).read_bytes()
    path = install(tmp_path, name, packed, monkeypatch, n, n)
    with pytest.raises(OSError, match=message) as error:
        data.load(name, root=tmp_path)
    assert str(path) in str(error.value)
    assert list(path.parent.rglob("*.npy")) == list(path.parent.rglob("*.part")) == []


# ---------------------------------------------------------------- the whole way, and whole sizes


def test_archive_is_downloaded_decoded_and_drawn(small, host):  # noqa: F811
    name, root, *_ = small
    wanted = data.load(name, root=root, head=5, heldout=2)
    old = ARCHIVES[name]
    host.content = (root / old.file).read_bytes()
    host.manners = ["breaks off", "good"]
    counts = {key: getattr(old, key) for key in ("train", "test", "classes", "side")}
    ARCHIVES[name] = entry(host.url, host.content, old.file, **counts)  # undone by `small`
    got = [None, None]

    def load(i):
        got[i] = data.load(name, root=root / "another", head=5, heldout=2)

    threads = [threading.Thread(target=load, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(host.requests) == 2  # the second waits for the first
    assert {splits.fingerprint for splits in got} == {wanted.fingerprint}
    assert torch.equal(got[1].train.images, wanted.train.images)


def test_missing_archive_says_what_to_do_by_hand(small, monkeypatch):
    name, root, *_ = small
    monkeypatch.setattr(data.archives, "WAIT", 0)
    monkeypatch.setenv("no_proxy", "*")
    (root / ARCHIVES[name].file).unlink()
    with pytest.raises(OSError, match="by hand: download http") as error:
        data.load(name, root=root)
    assert f"put it at {root / ARCHIVES[name].file}" in str(error.value)


@pytest.mark.parametrize(("name", "total"), [("cifar10", 12406), ("cifar100", 10847)])
def test_whole_pool_at_imbalance_100_has_the_published_total(tmp_path, monkeypatch, name, total):
    labels = np.arange(50_000) % CLASSES[name]
    black = np.broadcast_to(np.uint8(0), (50_000, 3072))
    parts = members(name, (black, labels), (black[:1000], labels[:1000]))
    packed = tar_of(tmp_path / "made.tar.gz", parts).read_bytes()
    install(tmp_path, name, packed, monkeypatch, 50_000, 1000)
    splits = data.load(name, root=tmp_path, imbalance=100, head=None, heldout=0)
    assert len(splits.train) == total
    counts = splits.train.class_counts.tolist()
    assert counts[0] == 100 * counts[-1] == 50_000 // CLASSES[name]
    with pytest.raises(ValueError, match="lower head or heldout"):
        data.load(name, root=tmp_path, head=counts[0], heldout=1)
    shutil.rmtree(tmp_path / ARCHIVES[name].file.split("/")[0])  # 180 MB
