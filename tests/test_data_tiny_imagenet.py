"""Tiny ImageNet from a small archive in the layout of the official one."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from test_data_archives import entry, zip_of

from rdlite import data
from rdlite.data.named import ARCHIVES

TOP, M, EACH, VAL = "tiny-imagenet-200", 200, 3, 2
# the ids are not in alphabetical order, as in the official wnids.txt
WNIDS = [f"n{(k * 77) % M + 1440764:08d}" for k in range(M)]
GREY = f"{TOP}/train/{WNIDS[0]}/images/{WNIDS[0]}_0.JPEG"


def colour(wnid, i):
    """A colour of its own for each class and image."""
    k = int(wnid[1:]) - 1440764
    return k, 255 - k, 40 * i


def jpeg(rgb, side=64, mode="RGB"):
    buffer = io.BytesIO()
    image = Image.new("RGB", (side, side), rgb)
    image.convert(mode).save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def members():
    """{name: bytes} of every file of the archive, with the entries for folders."""
    made = {f"{TOP}/": b"", f"{TOP}/train/": b"", f"{TOP}/wnids.txt": "\n".join(WNIDS).encode()}
    words = [f"{wnid}\tthing {wnid[-3:]}, article, {wnid}" for wnid in sorted(WNIDS)]
    words[3] = words[3].split("\t")[0] + "\tthing 768, another one"  # as words[4] begins
    made[f"{TOP}/words.txt"] = "\n".join(["n00001740\tentity", *words]).encode()
    for wnid in WNIDS:
        boxes = [f"{wnid}_{i}.JPEG\t0\t0\t63\t63\n" for i in range(EACH)]
        made[f"{TOP}/train/{wnid}/{wnid}_boxes.txt"] = "".join(boxes).encode()
        made[f"{TOP}/train/{wnid}/images/"] = b""
        for i in range(EACH):
            name = f"{TOP}/train/{wnid}/images/{wnid}_{i}.JPEG"
            made[name] = jpeg(colour(wnid, i), mode="L" if name == GREY else "RGB")
    rows = []
    for i in range(VAL * M):
        wnid = WNIDS[(7 * i + 3) % M]
        rows.append(f"val_{i}.JPEG\t{wnid}\t0\t32\t44\t62\n")
        made[f"{TOP}/val/images/val_{i}.JPEG"] = jpeg(colour(wnid, 4))
    made[f"{TOP}/val/val_annotations.txt"] = "".join(rows).encode()
    made[f"{TOP}/test/images/test_0.JPEG"] = jpeg((1, 2, 3))  # without a label
    return made


@pytest.fixture(scope="module")
def right():
    return members()


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put an archive of the members in the place of the official one; its path."""

    def put(made):
        content = zip_of(tmp_path / "made.zip", list(made.items())).read_bytes()
        file, url = ARCHIVES["tiny-imagenet"].file, "http://127.0.0.1:9/none"
        counts = {"train": M * EACH, "test": M * VAL, "classes": M, "side": 64}
        monkeypatch.setitem(ARCHIVES, "tiny-imagenet", entry(url, content, file, **counts))
        path = tmp_path / file
        path.parent.mkdir()
        path.write_bytes(content)
        return path

    return put


def test_every_image_has_the_class_of_its_folder_or_of_the_table(right, install, tmp_path):
    install(right)
    splits = data.load("tiny-imagenet", root=tmp_path, imbalance=1, head=None, heldout=0)
    assert (splits.num_classes, splits.in_channels) == (200, 3)
    assert splits.train.class_counts.tolist() == [EACH] * M
    assert splits.test.class_counts.tolist() == [VAL] * M
    assert splits.test.images.shape == (M * VAL, 3, 64, 64)
    order = sorted(WNIDS)
    for split, seen in ((splits.train, {0, 40, 80}), (splits.test, {160})):
        for image, label in zip(split.images.float().mean((2, 3)), split.labels, strict=True):
            red, green, blue = image.tolist()
            if max(red, green, blue) - min(red, green, blue) == 0:
                assert order[label] == WNIDS[0]  # the grey one
                continue
            assert abs(red - float(label)) < 3 and abs(green - (255 - float(label))) < 3
            assert min(abs(blue - b) for b in seen) < 3


def test_grey_image_has_three_equal_channels(right, install, tmp_path):
    install(right)
    splits = data.load("tiny-imagenet", root=tmp_path, imbalance=1, head=None, heldout=0)
    flat = splits.train.images.float().mean((2, 3))
    grey = (flat.max(1).values == flat.min(1).values).nonzero().flatten()
    assert len(grey) == 1
    image = splits.train.images[grey[0]]
    assert torch.equal(image[0], image[1]) and torch.equal(image[1], image[2])


def test_class_names_are_first_synonyms_and_all_different(right, install, tmp_path):
    install(right)
    names = data.load("tiny-imagenet", root=tmp_path, head=1, heldout=0).class_names
    order = sorted(WNIDS)
    assert names[0] == f"thing {order[0][-3:]}"
    assert names[3:5] == (f"thing 768 ({order[3]})", f"thing 768 ({order[4]})")
    assert len(set(names)) == 200


def test_protocol_is_the_same_as_everywhere_and_arrays_are_kept(right, install, tmp_path):
    path = install(right)
    options = {"root": tmp_path, "imbalance": 1, "head": 1, "heldout": 2}
    splits = data.load("tiny-imagenet", **options)
    path.unlink()
    shrunk = data.load("tiny-imagenet", **options, size=32)
    assert shrunk.fingerprint == splits.fingerprint
    assert shrunk.test.images.shape == (M * VAL, 3, 32, 32)
    assert splits.heldout.class_counts.tolist() == [2] * M
    assert not list(tmp_path.rglob("*.JPEG"))  # nothing is unpacked
    with pytest.raises(ValueError, match=r"size must be .* at most 64, got 65"):
        data.load("tiny-imagenet", **options, size=65)


ANNOTATIONS, FIRST_VAL = f"{TOP}/val/val_annotations.txt", f"{TOP}/val/images/val_0.JPEG"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({GREY: None}, r"599 images in 599 entries, expected 600"),
        ({FIRST_VAL: None}, r"no item named 'tiny-imagenet-200/val/images/val_0\.JPEG'"),
        ({ANNOTATIONS: None}, r"no item named '.*val_annotations\.txt'"),
        ({ANNOTATIONS: lambda raw: raw.replace(b"val_1.", b"val_0.")}, r"399 images in 400 ent"),
        ({ANNOTATIONS: lambda raw: raw.replace(b"_0.JPEG\tn", b"_0.JPEG\tx")}, r"\['x\d+'\] are"),
        (
            {ANNOTATIONS: lambda raw: raw.replace(WNIDS[5].encode(), WNIDS[6].encode())},
            r"its test part shows 199 classes, expected labels 0\.\.199",
        ),
        ({f"{TOP}/wnids.txt": lambda raw: raw[:-11]}, r"wnids\.txt has 199 classes, expected 200"),
        ({f"{TOP}/words.txt": b"n00001740\tentity"}, r"words\.txt does not name every class"),
        ({FIRST_VAL: b"<html>"}, r"val_0\.JPEG cannot be read as an image"),
        ({FIRST_VAL: lambda raw: raw[:300]}, r"val_0\.JPEG cannot be read as an image"),
        ({FIRST_VAL: jpeg((0, 0, 0), side=63)}, r"val_0\.JPEG has 63 x 63 pixels, expected 64"),
        ({f"{TOP}/../../up": b""}, r"is not safe: its member .* leads out"),
        ({"/etc/passwd": b""}, r"is not safe: its member .* leads out"),
    ],
)
def test_archive_with_another_content_is_named(right, install, tmp_path, change, message):
    made = dict(right)
    for key, content in change.items():
        made[key] = content(made[key]) if callable(content) else content
    path = install({key: value for key, value in made.items() if value is not None})
    with pytest.raises(OSError, match=message) as error:
        data.load("tiny-imagenet", root=tmp_path)
    assert str(path) in str(error.value)
    assert not list(tmp_path.rglob("*.npy"))


def test_format_is_told_by_the_content_and_only_jpeg_and_png_are_read(right, install, tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(buffer, "GIF")
    install(right | {FIRST_VAL: buffer.getvalue()})
    with pytest.raises(OSError, match=r"val_0\.JPEG cannot be read as an image"):
        data.load("tiny-imagenet", root=tmp_path)
