"""Splits of the real Fashion-MNIST files: counts, the draw and its hash, and damaged files."""

import gzip
import hashlib
import shutil

import numpy as np
import pytest
import torch

from rdlite import data
from rdlite.data import FASHION_MNIST_ARCHIVES, Split, long_tail_counts, protocol

ROOT = data.default_root()
DEFAULT_FINGERPRINT = "3a876ec45590cb38"


@pytest.fixture(scope="module")
def default():
    return data.load()


@pytest.fixture(scope="module")
def pool():
    """Images (60000, 28, 28) and labels (60000,) of the training pool, read by NumPy."""
    raw = ROOT / "FashionMNIST" / "raw"
    images = gzip.decompress((raw / "train-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((raw / "train-labels-idx1-ubyte.gz").read_bytes())
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
    return pixels, np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)


# ---------------------------------------------------------------- counts


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ((1000, 3, 100), [1000, 100, 10]),
        ((1000, 10, 100), [1000, 599, 359, 215, 129, 77, 46, 27, 16, 10]),
        ((7, 4, 1), [7, 7, 7, 7]),
        ((8, 2, 4), [8, 2]),
        ((0, 2, 4), [0, 0]),
        ((98, 2, 98), [98, 1]),  # 98 * 98**-1 is 0.999... in floating point
    ],
)
def test_long_tail_counts_by_hand(arguments, wanted):
    assert long_tail_counts(*arguments) == wanted


@pytest.mark.parametrize(("head", "m", "total"), [(5000, 10, 12406), (500, 100, 10847)])
def test_long_tail_counts_are_those_of_the_cifar_benchmarks(head, m, total):
    counts = long_tail_counts(head, m, 100)
    assert (counts[0], counts[-1], sum(counts)) == (head, head // 100, total)
    assert counts == sorted(counts, reverse=True)


def test_long_tail_counts_keep_the_least_that_is_asked_for():
    assert long_tail_counts(10, 3, 100, at_least=2) == [10, 2, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 10, 100), r"head must be a whole number of at least 0, got -1"),
        ((10, 1, 100), r"num_classes must be a whole number of at least 2, got 1"),
        ((10, 10, 0.5), r"imbalance must be a number in \[1, inf\], got 0\.5"),
        ((10, 10, float("nan")), r"imbalance .* got nan"),
        ((10, 10, float("inf")), r"imbalance .* got inf"),
    ],
)
def test_long_tail_counts_name_the_bad_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        long_tail_counts(*arguments)


# ---------------------------------------------------------------- splits


@pytest.mark.parametrize(
    ("imbalance", "train", "heldout"),
    [
        (1, [100] * 10, [20] * 10),
        (10, [100, 77, 59, 46, 35, 27, 21, 16, 12, 10], [20, 15, 11, 9, 7, 5, 4, 3, 2, 2]),
        (100, [100, 59, 35, 21, 12, 7, 4, 2, 1, 1], [20, 11, 7, 4, 2, 2, 2, 2, 2, 2]),
    ],
)
def test_train_and_heldout_have_the_long_tailed_counts(imbalance, train, heldout):
    splits = data.load(imbalance=imbalance, head=100, heldout=20)
    assert splits.train.class_counts.tolist() == train
    assert splits.heldout.class_counts.tolist() == heldout


def test_default_splits_have_the_documented_counts_and_types(default):
    counts = [1000, 599, 359, 215, 129, 77, 46, 27, 16, 10]
    assert default.train.class_counts.tolist() == counts
    assert default.heldout.class_counts.tolist() == [200, 119, 71, 43, 25, 15, 9, 5, 3, 2]
    assert (default.name, default.num_classes, default.in_channels) == ("fashion-mnist", 10, 1)
    assert default.class_names == default.test.class_names
    assert len(set(default.class_names)) == 10
    for split in (default.train, default.heldout, default.test):
        assert split.images.shape == (len(split), 1, 28, 28)
        assert (split.images.dtype, split.labels.dtype) == (torch.uint8, torch.int64)


def test_test_set_is_the_whole_official_one(default):
    raw = ROOT / "FashionMNIST" / "raw"
    images = gzip.decompress((raw / "t10k-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((raw / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:]
    assert default.test.class_counts.tolist() == [1000] * 10
    assert default.test.images.numpy().tobytes() == images
    assert default.test.labels.numpy().astype(np.uint8).tobytes() == labels


@pytest.mark.parametrize("seed", [0, 1])
def test_train_and_heldout_are_disjoint_images_of_the_pool(pool, seed):
    _, labels = pool
    train_counts, heldout_counts = [30] * 10, list(range(2, 12))
    train, heldout = protocol.cut(torch.tensor(labels), [train_counts, heldout_counts], seed)
    assert len({*train.tolist(), *heldout.tolist()}) == sum(train_counts) + sum(heldout_counts)
    assert np.bincount(labels[train]).tolist() == train_counts
    assert np.bincount(labels[heldout]).tolist() == heldout_counts


def test_load_returns_the_images_that_were_drawn(pool, default):
    pixels, labels = pool
    counts = [split.class_counts.tolist() for split in (default.train, default.heldout)]
    drawn = protocol.cut(torch.tensor(labels), counts, 0)
    indices = [b"|" + part.numpy().astype("<i8").tobytes() for part in drawn]
    wanted = hashlib.sha256(b"".join([b"fashion-mnist", *indices])).hexdigest()[:16]
    assert default.fingerprint == wanted
    for split, indices in zip((default.train, default.heldout), drawn, strict=True):
        assert np.array_equal(split.images[:, 0], pixels[indices])
        assert np.array_equal(split.labels, labels[indices])


def test_draw_is_a_random_choice_and_not_the_first_images(pool):
    _, labels = pool
    [train] = protocol.cut(torch.tensor(labels), [[100] * 10], 0)
    for k, part in enumerate(train.numpy().reshape(10, 100)):
        rank = np.searchsorted(np.flatnonzero(labels == k), part) / 6000
        assert abs(rank.mean() - 0.5) < 0.15  # 5 standard deviations of a uniform mean


def test_no_heldout_images_are_drawn_where_none_are_asked_for():
    splits = data.load(head=10, heldout=0)
    assert len(splits.heldout) == 0
    assert splits.heldout.class_counts.tolist() == [0] * 10


@pytest.mark.parametrize(("heldout", "head"), [(0, 6000), (200, 5800)])
def test_head_none_takes_what_the_held_out_part_leaves(heldout, head):
    splits = data.load(head=None, heldout=heldout, size=4)
    assert splits.train.class_counts.tolist() == long_tail_counts(head, 10, 100)


@pytest.mark.parametrize("size", [4, 14, 28])
def test_shrunk_images_are_averages_of_areas(size):
    full = data.load(head=10, heldout=2)
    small = data.load(head=10, heldout=2, size=size)
    assert small.fingerprint == full.fingerprint
    side = 28 // size
    for name in ("train", "heldout", "test"):
        blocks = getattr(full, name).images.numpy().reshape(-1, 1, size, side, size, side)
        got = getattr(small, name).images
        assert got.dtype == torch.uint8
        assert np.abs(got.numpy() - blocks.mean((3, 5))).max() <= 0.5
        assert torch.equal(getattr(small, name).labels, getattr(full, name).labels)


# ---------------------------------------------------------------- fingerprint


def test_fingerprint_of_the_default_arguments_is_the_stored_one(default):
    assert default.fingerprint == DEFAULT_FINGERPRINT


def test_fingerprint_is_the_same_for_the_same_arguments(default):
    again = data.load()
    assert again.fingerprint == default.fingerprint
    assert torch.equal(again.train.images, default.train.images)


def test_fingerprint_does_not_depend_on_the_global_random_state(default):
    np.random.seed(123)
    torch.manual_seed(123)
    assert data.load(size=4).fingerprint == default.fingerprint


def test_fingerprint_differs_for_every_other_draw(default):
    others = [{"seed": 1}, {"imbalance": 99}, {"imbalance": 1}, {"head": 999}, {"heldout": 199}]
    found = {data.load(**arguments).fingerprint for arguments in others}
    assert len(found | {default.fingerprint}) == 6


def test_fingerprint_differs_for_another_data_set_with_the_same_labels():
    labels = torch.arange(40) % 4
    pool = Split(torch.arange(40).byte().view(40, 1, 1, 1), labels, tuple("0123"))
    options = protocol.Options(imbalance=1, head=3, heldout=2)
    first, second = (protocol.draw(name, pool, pool, options) for name in ("a", "b"))
    assert torch.equal(first.train.images, second.train.images)
    assert first.fingerprint != second.fingerprint


# ---------------------------------------------------------------- selection


def images_of(split):
    """Every image as bytes; in the pool of Fashion-MNIST hardly two are the same."""
    return list(map(bytes, split.images.numpy()))


@pytest.mark.parametrize("imbalance", [10, 100])
def test_no_seed_trains_on_or_holds_out_an_image_of_the_selection(imbalance):
    drawn = [
        data.load(imbalance=imbalance, selection=300, seed=seed) for seed in (0, 1, 100, 2**32 - 1)
    ]
    selected = images_of(drawn[0].selection)
    assert len(set(selected)) == len(selected)
    for splits in drawn:
        assert images_of(splits.selection) == selected, "the same images for every seed"
        assert not set(selected) & {*images_of(splits.train), *images_of(splits.heldout)}
    assert len({splits.fingerprint for splits in drawn}) == 4


def test_the_selection_is_what_a_draw_of_everything_else_leaves(pool):
    """All images of a class: each one is in exactly one of the three splits."""
    splits = data.load(imbalance=1, head=5000, heldout=400, selection=600)
    drawn = torch.cat([splits.train.images, splits.heldout.images, splits.selection.images])
    assert sorted(map(bytes, drawn.numpy())) == sorted(map(bytes, pool[0]))


def test_the_selection_has_the_profile_and_twenty_of_each_class():
    splits = data.load(selection=400, size=14)
    counts = [400, 239, 143, 86, 51, 30, 20, 20, 20, 20]
    assert splits.selection.class_counts.tolist() == counts
    assert splits.selection.images.shape == (sum(counts), 1, 14, 14)
    assert splits.train.class_counts.tolist() == data.load().train.class_counts.tolist()


def test_without_a_selection_nothing_changes(default):
    splits = data.load(selection=0)
    assert splits.selection is None and splits.fingerprint == DEFAULT_FINGERPRINT
    assert torch.equal(splits.train.images, default.train.images)
    others = {data.load(selection=n).fingerprint for n in (200, 201)}
    assert len(others | {DEFAULT_FINGERPRINT}) == 3


def test_head_none_leaves_the_selection_alone():
    splits = data.load(imbalance=1, head=None, heldout=100, selection=900, size=4)
    assert splits.train.class_counts.tolist() == [5000] * 10


# ---------------------------------------------------------------- bad arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "fashion-mnits"}, r"name .* got 'fashion-mnits'; did you mean 'fashion-mnist'\?"),
        ({"imbalance": 0.9}, r"imbalance must be a number in \[1, inf\], got 0\.9"),
        ({"head": 0}, r"head must be a whole number of at least 1, got 0"),
        ({"head": 10.0}, r"head .* got 10\.0"),
        ({"heldout": -1}, r"heldout must be a whole number of at least 0, got -1"),
        ({"selection": -1}, r"selection must be a whole number of at least 0, got -1"),
        (
            {"selection": 6001},
            r"selection asks for 6001 images of class T-shirt, which has 6000; lower",
        ),
        (
            {"head": 5000, "heldout": 1, "selection": 1000},
            r"5000 \+ 2 images of class T-shirt, which has 5000 left beside selection; lower",
        ),
        ({"seed": -1}, r"seed must be a whole number of at least 0 .* got -1"),
        ({"seed": 2**32}, r"seed .* got 4294967296"),
        ({"size": 3}, r"size must be .* at least 4 and at most 28, got 3"),
        ({"size": 29}, r"size .* got 29"),
        (
            {"head": 5900, "heldout": 101},
            r"5900 \+ 101 images of class T-shirt, which has 6000; lower",
        ),
    ],
)
def test_load_names_the_bad_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.load(**arguments)


def test_every_image_of_a_class_can_be_drawn():
    splits = data.load(imbalance=1, head=5900, heldout=100, size=4)
    assert (len(splits.train), len(splits.heldout)) == (59000, 1000)


IMAGES, GOOD = torch.zeros(3, 1, 4, 4, dtype=torch.uint8), torch.tensor([0, 1, 2])
NAMES = ("a", "b", "c")


@pytest.mark.parametrize(
    ("images", "labels", "names", "message"),
    [
        (IMAGES.float(), GOOD, NAMES, r"images must be uint8 .* got torch\.float32 \(3, 1, 4, 4\)"),
        (IMAGES[:, 0], GOOD, NAMES, r"images must be .* \(n, c, h, w\), got .* \(3, 4, 4\)"),
        (IMAGES, GOOD[:2], NAMES, r"labels must be int64 of shape \(3,\), got torch\.int64 \(2,\)"),
        (IMAGES, GOOD[:, None], NAMES, r"labels must be int64 of shape \(3,\), got .* \(3, 1\)"),
        (IMAGES, GOOD.int(), NAMES, r"labels must be int64 .* got torch\.int32 .* labels\.long"),
        (IMAGES, GOOD, NAMES[:2], r"labels must be in 0\.\.1, got 0\.\.2"),
        (IMAGES, GOOD - 1, NAMES, r"labels must be in 0\.\.2, got -1\.\.1"),
        (IMAGES, GOOD * 0, NAMES[:1], r"class_names must name at least 2 classes, got 1"),
    ],
)
def test_split_names_the_bad_argument(images, labels, names, message):
    with pytest.raises(ValueError, match=message):
        Split(images, labels, names)


def test_split_counts_every_class_and_turns_labels_into_rows():
    split = Split(IMAGES, torch.tensor([2, 0, 2]), ("a", "b", "c", "d"))
    assert (len(split), split.num_classes) == (3, 4)
    assert split.class_counts.tolist() == [1, 0, 2, 0]
    assert split.one_hot().tolist() == [[0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 1, 0]]
    assert split.one_hot().dtype == torch.float32


# ---------------------------------------------------------------- the files


@pytest.fixture
def copy(tmp_path, default):
    """A data folder of its own: links to the real files, unpacked copies and all."""
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for archive in FASHION_MNIST_ARCHIVES:
        for name in (archive, archive.removesuffix(".gz")):
            (raw / name).symlink_to(ROOT / "FashionMNIST" / "raw" / name)
    return raw


def own(path):
    """Replace the link at ``path`` by a file that the test may damage; its bytes."""
    source = path.resolve()
    path.unlink()
    shutil.copyfile(source, path)
    return path.read_bytes()


def test_checksums_are_those_that_torchvision_publishes():
    from torchvision.datasets import FashionMNIST

    ours = {name: md5 for name, (md5, _) in FASHION_MNIST_ARCHIVES.items()}
    assert ours == dict(FashionMNIST.resources)


def test_archives_alone_are_unpacked_and_nothing_else_is_left(copy, default):
    unpacked = [copy / name.removesuffix(".gz") for name in FASHION_MNIST_ARCHIVES]
    for path in unpacked:
        path.unlink()
    assert data.load(root=copy.parents[1]).fingerprint == default.fingerprint
    sizes = {path.name: path.stat().st_size for path in unpacked}
    assert sizes == {n.removesuffix(".gz"): size for n, (_, size) in FASHION_MNIST_ARCHIVES.items()}
    assert len(list(copy.iterdir())) == 8


def test_unpacked_copies_alone_are_enough(copy, default):
    for name in FASHION_MNIST_ARCHIVES:
        (copy / name).unlink()
    assert data.load(root=copy.parents[1], size=4).fingerprint == default.fingerprint


def assert_explains(error, archive):
    """The message names the file, the checksum that was expected and what to do."""
    message = str(error.value)
    assert str(archive) in message
    assert FASHION_MNIST_ARCHIVES[archive.name][0] in message
    assert "git checkout -- data" in message
    assert "data/README.md" in message


@pytest.mark.parametrize("name", FASHION_MNIST_ARCHIVES)
def test_missing_archive_is_explained(copy, name):
    (copy / name).unlink()
    (copy / name.removesuffix(".gz")).unlink()
    with pytest.raises(FileNotFoundError, match="is missing") as error:
        data.load(root=copy.parents[1])
    assert_explains(error, copy / name)


@pytest.mark.parametrize("name", ["t10k-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"])
@pytest.mark.parametrize("damage", ["truncated", "one bit flipped", "empty", "a web page"])
def test_damaged_archive_is_explained_and_not_unpacked(copy, name, damage):
    archive, unpacked = copy / name, copy / name.removesuffix(".gz")
    whole = own(archive)
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    archive.write_bytes(
        {
            "truncated": whole[:-100],
            "one bit flipped": flipped,
            "empty": b"",
            "a web page": b"<html>not found</html>",
        }[damage]
    )
    unpacked.unlink()
    with pytest.raises(OSError, match="is damaged") as error:
        data.load(root=copy.parents[1])
    assert_explains(error, archive)
    assert f"({len(archive.read_bytes()):,} bytes)" in str(error.value)
    assert not unpacked.exists()


@pytest.mark.parametrize("name", ["t10k-images-idx3-ubyte", "train-labels-idx1-ubyte"])
@pytest.mark.parametrize("damage", ["truncated", "longer", "empty"])
def test_unpacked_copy_of_another_size_is_replaced_from_the_archive(copy, default, name, damage):
    unpacked = copy / name
    whole = own(unpacked)
    unpacked.write_bytes({"truncated": whole[:-1], "longer": whole + b"0", "empty": b""}[damage])
    assert data.load(root=copy.parents[1], size=4).fingerprint == default.fingerprint
    assert unpacked.read_bytes() == whole


def test_rdlite_data_says_where_the_files_are(copy, default, monkeypatch, tmp_path):
    monkeypatch.setenv("RDLITE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        data.load()
    monkeypatch.setenv("RDLITE_DATA", str(copy.parents[1]))
    assert data.load(size=4).fingerprint == default.fingerprint


def test_root_goes_before_rdlite_data(copy, default, monkeypatch, tmp_path):
    monkeypatch.setenv("RDLITE_DATA", str(tmp_path / "nowhere"))
    assert data.load(root=str(copy.parents[1]), size=4).fingerprint == default.fingerprint
