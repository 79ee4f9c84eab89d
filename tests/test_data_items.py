"""Splits from any map-style data set: real ones of torchvision, and the interface of others."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, Subset, TensorDataset
from torchvision import transforms
from torchvision.datasets import FakeData, ImageFolder

from rdlite.data import from_arrays, from_dataset, from_folder

PIXELS = np.random.RandomState(0).randint(0, 256, (30, 3, 8, 8), dtype=np.uint8)
LABELS = np.arange(30) % 3
NAMES = ["ant", "bee", "cat"]
WANTED = from_arrays(PIXELS, LABELS)


class Table:
    """Rows by number, as a ``datasets.Dataset`` gives them, whose columns have features."""

    def __init__(self, image=lambda pixels: pixels, columns=("image", "label"), names=None):
        self.image, self.columns = image, columns
        self.features = {columns[0]: None, columns[1]: SimpleNamespace(names=names)}

    def __len__(self):
        return len(PIXELS)

    def __getitem__(self, i):
        values = self.image(PIXELS[i]), int(LABELS[i])
        return {"id": str(i), **dict(zip(self.columns, values, strict=True))}


def pil(pixels):
    return Image.fromarray(pixels.transpose(1, 2, 0))


def same(got, wanted=WANTED):
    return got.fingerprint == wanted.fingerprint and all(
        torch.equal(getattr(got, part).images, getattr(wanted, part).images)
        for part in ("train", "heldout", "test")
    )


@pytest.mark.parametrize(
    "image",
    [
        pil,
        torch.tensor,
        lambda pixels: pixels.transpose(1, 2, 0),
        lambda pixels: torch.tensor(pixels) / 255,
        lambda pixels: (pixels / 255).transpose(1, 2, 0).astype(np.float32),
        lambda pixels: pil(pixels).convert("RGBA"),
    ],
    ids=["PIL", "tensor", "array", "float tensor", "float array", "RGBA"],
)
@pytest.mark.parametrize("kind", ["pairs", "table"])
def test_every_kind_of_image_gives_the_splits_of_its_pixels(image, kind):
    pairs = [
        (image(x), torch.tensor(y) if y else y, "more") for x, y in zip(PIXELS, LABELS, strict=True)
    ]
    assert same(from_dataset(pairs if kind == "pairs" else Table(image)))


def test_keywords_are_those_of_arrays():
    how = {"groups": np.arange(30) // 2, "imbalance": 2, "head": 5, "heldout": 2, "test": 2}
    how |= {"order": ["cat", "ant", "bee"], "seed": 3, "name": "zoo", "class_names": NAMES}
    assert same(from_dataset(Table(), **how), from_arrays(PIXELS, LABELS, **how))
    with pytest.raises(TypeError, match="imbalence"):
        from_dataset(Table(), imbalence=2)


def test_a_test_set_that_is_given_is_kept_whole():
    splits = from_dataset(Table(pil), test_dataset=Table(torch.tensor))
    wanted = from_arrays(PIXELS, LABELS, test_images=PIXELS, test_labels=LABELS)
    assert same(splits, wanted) and np.array_equal(splits.test.images, PIXELS)


@pytest.mark.parametrize("wrap", [lambda one: one, lambda one: Subset(one, range(30))])
def test_class_names_come_from_the_data_set(wrap):
    columns = ("img", "fine_label")
    table = wrap(Table(columns=columns, names=NAMES))
    assert from_dataset(table, columns=columns).class_names == tuple(NAMES)
    named = TensorDataset(torch.tensor(PIXELS), torch.tensor(LABELS))
    named.classes = [("ant", "emmet"), "bee", "cat"]
    assert from_dataset(wrap(named)).class_names == tuple(NAMES)
    assert from_dataset(named, class_names=list("xyz")).class_names == tuple("xyz")
    named.classes, named.features = None, torch.zeros(3)  # of another meaning
    assert from_dataset(named).class_names == tuple("012")
    assert from_dataset(ConcatDataset([named])).class_names == tuple("012")


def test_a_real_image_folder_gives_the_images_of_the_folder(tmp_path):
    for k, name in enumerate(NAMES):
        (tmp_path / name).mkdir()
        for i in range(10):
            shape = (9 + i, 12, 3)
            pixels = np.random.RandomState(10 * k + i).randint(0, 256, shape, dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    wanted = from_folder(tmp_path, size=8)
    got = from_dataset(ImageFolder(tmp_path), size=8)
    assert got.class_names == wanted.class_names
    for part in ("train", "heldout", "test"):
        assert torch.equal(getattr(got, part).images, getattr(wanted, part).images)
    shown = transforms.Compose([transforms.Resize((8, 8)), transforms.ToTensor()])
    resized = from_dataset(ImageFolder(tmp_path, shown))
    assert resized.train.images.shape[1:] == (3, 8, 8)
    with pytest.raises(ValueError, match=r"images must have one shape, .* use size="):
        from_dataset(ImageFolder(tmp_path))


def test_real_fake_data_are_read():
    images = FakeData(40, (3, 12, 10), num_classes=2)
    splits = from_dataset(images, size=4, in_channels=1)
    assert splits.train.images.shape[1:] == (1, 4, 4)
    parts = (splits.train, splits.heldout, splits.test)
    assert sum(len(part) for part in parts) == 40
    labels = torch.tensor([int(images[i][1]) for i in range(40)])
    assert sum(part.class_counts for part in parts).tolist() == labels.bincount().tolist()


def test_items_that_cannot_be_read_are_named_up_to_ten():
    def broken(pixels):
        raise SyntaxError("broken PNG file")

    with pytest.raises(OSError, match=r"^dataset\[0\] cannot be read: broken.*\[9\].*20 more$"):
        from_dataset(Table(broken))
    deep = Image.fromarray(np.zeros((8, 8), np.uint16))
    with pytest.raises(
        OSError, match=r"^test_dataset\[7\] .* more than 8 bits a channel; save it with 8$"
    ):
        pairs = [(deep if i == 7 else pil(x), LABELS[i]) for i, x in enumerate(PIXELS)]
        from_dataset(Table(), test_dataset=pairs)


def test_what_would_not_fit_into_memory_is_refused_before_it_is_filled():
    class Large(Table):
        read = 0

        def __len__(self):
            return 10**8

        def __getitem__(self, i):
            Large.read += 1
            return super().__getitem__(i)

    with pytest.raises(ValueError, match=r"100,000,000 images of shape \(3, 512, 512\) take 157,"):
        from_dataset(Large(pil), size=512)
    assert Large.read == 1


def test_images_that_a_caller_holds_stay_as_they_are(tmp_path):
    Image.new("RGB", (400, 300), "red").save(tmp_path / "a.jpg")
    held = [Image.open(tmp_path / "a.jpg") for _ in range(12)]
    from_dataset([(image, i % 2) for i, image in enumerate(held)], size=8)
    assert {(image.size, image.mode) for image in held} == {((400, 300), "RGB")}
