"""A user's own images, from arrays and from a folder, under the protocol of `load`."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from rdlite import data
from rdlite.data import from_arrays, from_folder, protocol

N, M = 90, 3
PIXELS = np.random.RandomState(0).randint(0, 256, (N, 3, 8, 6), dtype=np.uint8)
LABELS = np.arange(N) % M
TEST = {"test_images": PIXELS[:6] // 2, "test_labels": LABELS[:6]}


# ---------------------------------------------------------------- arrays


def test_arrays_are_drawn_by_the_protocol_of_load():
    names = ["cat", "dog", "elk"]
    splits = from_arrays(
        PIXELS, LABELS, **TEST, class_names=names, imbalance=4, head=20, heldout=8, seed=5
    )
    counts = data.long_tail_counts(20, M, 4), data.long_tail_counts(8, M, 4, at_least=2)
    drawn = protocol.cut(torch.tensor(LABELS), counts, 5)
    for split, indices in zip((splits.train, splits.heldout), drawn, strict=True):
        assert np.array_equal(split.images, PIXELS[indices])
        assert np.array_equal(split.labels, LABELS[indices])
    assert np.array_equal(splits.test.images, TEST["test_images"])
    assert (splits.name, splits.class_names, splits.in_channels) == ("mine", tuple(names), 3)


@pytest.mark.parametrize("kind", ["tensors", "int32", "uint8", "read-only", "strided", "lists"])
def test_every_kind_of_array_gives_the_same_splits(kind):
    wanted = from_arrays(PIXELS, LABELS, **TEST)
    locked = PIXELS.copy()
    locked.flags.writeable = False
    images, labels = {
        "tensors": (torch.tensor(PIXELS), torch.tensor(LABELS)),
        "int32": (PIXELS, LABELS.astype(np.int32)),
        "uint8": (PIXELS, torch.tensor(LABELS).byte()),
        "read-only": (locked, LABELS),
        "strided": (np.asfortranarray(PIXELS)[::-1][::-1], LABELS),
        "lists": (PIXELS, LABELS.tolist()),
    }[kind]
    got = from_arrays(images, labels, **TEST)
    assert got.fingerprint == wanted.fingerprint
    assert torch.equal(got.train.images, wanted.train.images)
    assert got.class_names == ("0", "1", "2")


def test_splits_do_not_change_with_the_arrays_they_came_from():
    images, test_images = torch.tensor(PIXELS), torch.tensor(TEST["test_images"])
    splits = from_arrays(images, LABELS, test_images=test_images, test_labels=LABELS[:6])
    images.zero_()
    test_images.zero_()
    assert splits.train.images.any() and splits.test.images.any()


@pytest.mark.parametrize(
    ("imbalance", "heldout", "train"),
    [(1, 0, [30, 30, 30]), (100, 0, [30, 3, 1]), (1, 20, [10, 10, 10]), (100, 29, [1, 1, 1])],
)
def test_head_none_takes_as_many_as_fit(imbalance, heldout, train):
    splits = from_arrays(PIXELS, LABELS, **TEST, imbalance=imbalance, heldout=heldout)
    assert splits.train.class_counts.tolist() == train


@pytest.mark.parametrize("seed", [0, 7])
def test_a_selection_of_arrays_is_apart_and_the_same_for_every_seed(seed):
    how = {"imbalance": 1, "head": 8, "heldout": 2, "selection": 5}
    splits, other = (from_arrays(PIXELS, LABELS, **TEST, **how, seed=s) for s in (seed, seed + 1))
    assert splits.selection.class_counts.tolist() == [20] * M
    assert torch.equal(splits.selection.images, other.selection.images)
    parts = [splits.train, splits.heldout, splits.selection]
    assert len({bytes(image) for part in parts for image in part.images.numpy()}) == N
    assert from_arrays(PIXELS, LABELS, **TEST, heldout=0).selection is None


def test_a_selection_of_a_folder_needs_twenty_images_a_class(folder):
    with pytest.raises(ValueError, match="selection asks for 20 images of class ant, which has 6"):
        from_folder(folder, imbalance=1, heldout=2, selection=1)


def test_head_none_is_limited_by_the_class_that_runs_out_first():
    keep = (LABELS != 1) | (np.arange(N) < 30)  # 30, 10, 30 images
    how = {"imbalance": 4, "order": list("012"), "heldout": 0}
    splits = from_arrays(PIXELS[keep], LABELS[keep], **TEST, **how)
    assert splits.train.class_counts.tolist() == [21, 10, 5]  # a head of 22 needs 11


def test_fingerprint_covers_arguments_and_every_pixel_but_not_the_size():
    wanted = from_arrays(PIXELS, LABELS, **TEST).fingerprint
    assert from_arrays(PIXELS, LABELS, **TEST, size=4).fingerprint == wanted
    changed = PIXELS.copy()
    changed[-1, -1, -1, -1] ^= 1
    others = [
        from_arrays(changed, LABELS, **TEST),
        from_arrays(PIXELS, LABELS, **TEST | {"test_images": PIXELS[:6]}),
        from_arrays(PIXELS, LABELS, **TEST, name="yours"),
        from_arrays(PIXELS, LABELS, **TEST, seed=1),
        from_arrays(PIXELS, LABELS, **TEST, heldout=10),
    ]
    assert len({wanted, *(splits.fingerprint for splits in others)}) == 6


def test_size_shrinks_arrays():
    splits = from_arrays(PIXELS[:, :, :6], LABELS, **TEST | {"test_images": PIXELS[:6, :, :6]})
    assert splits.train.images.shape[2:] == (6, 6)
    small = from_arrays(PIXELS, LABELS, **TEST, size=4)
    assert small.train.images.shape[2:] == small.test.images.shape[2:] == (4, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": PIXELS[:, 0]}, r"images must be uint8 .* \(90, 8, 6\); .* images\[:, None\]"),
        ({"images": PIXELS / 255}, r"images must be uint8 .* got float64 .*; scale the pixels"),
        ({"images": np.moveaxis(PIXELS, 1, -1)}, r"\(90, 8, 6, 3\); use numpy\.moveaxis\(images"),
        (
            {"images": np.moveaxis(PIXELS, 1, -1)[..., [0, 1, 2, 0]]},
            r"\(90, 8, 6, 4\); use numpy\.moveaxis\(images\[\.\.\., :-1\], -1, 1\), which leaves",
        ),
        (
            {"test_images": np.moveaxis(PIXELS[:6], 1, -1)[..., :2]},
            r"test_images .* \(6, 8, 6, 2\); use numpy\.moveaxis\(test_images\[\.\.\., :-1\], -1",
        ),
        ({"images": PIXELS[:0], "labels": LABELS[:0]}, r"images must be .* with n >= 1"),
        ({"test_images": PIXELS[:6, :, :4]}, r"test_images must have .*\(3, 8, 6\), got \(3, 4,"),
        ({"test_images": PIXELS[:6, :1]}, r"test_images must have .*, got \(1, 8, 6\)"),
        ({"labels": LABELS[:-1]}, r"labels must be whole numbers of shape \(90,\).* int64 \(89,\)"),
        ({"labels": LABELS * 1.0}, r"labels must be whole numbers .* got float64"),
        ({"labels": LABELS - 1}, r"labels must be in 0\.\.1, got -1\.\.1"),
        ({"labels": LABELS * 2}, r"labels must have every class of 0\.\.4, got none of 1, 3"),
        ({"test_labels": LABELS[:6] * 0}, r"test_labels must have every .* got none of 1, 2"),
        ({"test_labels": LABELS[:6] + 1}, r"test_labels must be in 0\.\.2, got 1\.\.3"),
        ({"class_names": ["cat", "dog"]}, r"labels must be in 0\.\.1, got 0\.\.2"),
        ({"class_names": list("abcd")}, r"labels must have every class of 0\.\.3, got none of d"),
        ({"labels": LABELS * 0}, r"class_names must name at least 2 classes, got 1"),
        (
            {"head": 25, "heldout": 20},
            r"head and heldout ask for 25 \+ 20 images of class 0, which has 30",
        ),
        ({"heldout": 30}, r"head and heldout ask for 1 \+ 30 images of class 0, which has 30"),
        ({"head": 0}, r"head must be a whole number of at least 1, got 0"),
        ({"heldout": -1}, r"heldout must be a whole number of at least 0, or a share .*, got -1"),
        ({"imbalance": 0}, r"imbalance must be a number in \[1, inf\], got 0"),
        ({"seed": -1}, r"seed must be a whole number of at least 0"),
        ({"size": 7}, r"size must be .* at most 6, got 7"),
    ],
)
def test_bad_arrays_are_named(change, message):
    arguments = {"images": PIXELS, "labels": LABELS, **TEST, **change}
    with pytest.raises(ValueError, match=message):
        from_arrays(arguments.pop("images"), arguments.pop("labels"), **arguments)


# ---------------------------------------------------------------- a folder


def save(path, rgb, size=(12, 12), mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, rgb).convert(mode).save(path, **options)


@pytest.fixture
def folder(tmp_path):
    """Three classes, 6 images each in train and 2 in test, of other sizes, formats and modes."""
    for k, name in enumerate(("ant", "bee", "cat")):
        for i in range(6):
            save(tmp_path / "train" / name / f"{i}.png", (80 * k, 10 * i, 200), (10 + i, 20))
        save(tmp_path / "test" / name / "a.jpg", (80 * k, 0, 200), quality=95)
        save(tmp_path / "test" / name / "B.JPEG", (80 * k, 50, 200), quality=95, format="JPEG")
    return tmp_path


def test_every_image_has_the_class_of_its_folder(folder):
    splits = from_folder(folder, size=16, imbalance=1, head=4, heldout=2)
    assert splits.class_names == ("ant", "bee", "cat")
    assert splits.train.class_counts.tolist() == [4] * 3
    assert splits.heldout.class_counts.tolist() == splits.test.class_counts.tolist() == [2] * 3
    for split, slack in ((splits.train, 0), (splits.heldout, 0), (splits.test, 4)):
        assert split.images.shape[1:] == (3, 16, 16)
        red = split.images[:, 0].float().mean((1, 2))
        assert ((red - 80 * split.labels).abs() <= slack).all()
        assert ((split.images[:, 2].float() - 200).abs() <= slack).all()
    both = torch.cat([splits.train.images, splits.heldout.images])
    greens = sorted(both[:, 1, 0, 0].tolist())
    assert greens == sorted([0, 10, 20, 30, 40, 50] * 3)  # each file once


def test_class_names_choose_the_order_of_the_long_tail(folder):
    options = {"imbalance": 4, "head": 4, "heldout": 0}
    splits = from_folder(folder, class_names=["cat", "ant", "bee"], **options)
    assert splits.class_names == ("cat", "ant", "bee")
    assert splits.train.class_counts.tolist() == [4, 2, 1]
    assert splits.train.images[splits.train.labels == 0][0, 0, 0, 0] == 160
    assert splits.fingerprint != from_folder(folder, **options).fingerprint


def test_fingerprint_covers_the_files_and_not_the_size(folder):
    wanted = from_folder(folder, heldout=2).fingerprint
    assert from_folder(str(folder), heldout=2, size=8).fingerprint == wanted
    assert from_folder(folder, heldout=2, in_channels=1).fingerprint != wanted
    save(folder / "test" / "ant" / "a.jpg", (1, 1, 1))
    assert from_folder(folder, heldout=2).fingerprint != wanted


@pytest.mark.parametrize("mode", ["L", "P", "1", "RGBA", "LA", "CMYK"])
def test_other_modes_are_converted(folder, mode):
    for name in ("ant", "bee", "cat"):
        for i in range(6):
            file = folder / "train" / name / f"{i}.png"
            file.unlink()
            jpeg = mode == "CMYK"
            save(file.with_suffix(".jpg" if jpeg else ".png"), (0, 0, 0), mode=mode)
    colour = from_folder(folder, imbalance=1, heldout=0)
    grey = from_folder(folder, imbalance=1, heldout=0, in_channels=1)
    assert (colour.in_channels, grey.in_channels) == (3, 1)
    assert colour.train.images.max() <= 2 and grey.train.images.max() <= 2


def test_middle_square_is_taken_and_photos_are_turned_upright(folder):
    file = folder / "test" / "ant" / "a.jpg"
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, 8:16] = 255  # black, white, black: the middle is white
    Image.fromarray(wide).save(file, quality=95)
    image = from_folder(folder, size=8, heldout=2).test.images[1]  # "B.JPEG" sorts before
    assert image.min() > 240
    upper = np.zeros((16, 16, 3), np.uint8)
    upper[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(upper).save(file, quality=95, exif=exif)
    image = from_folder(folder, size=8, heldout=2).test.images[1].float()
    assert image[:, :3].max() < 30 and image[:, 5:].min() > 225


DRAWING = np.full((8, 8, 2), (0, 255), np.uint8)  # grey, opacity: black ...
DRAWING[:, 4:] = 0, 0  # ... and transparent
DRAWING[:2] = 200, 128


@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_transparent_images_lie_on_white(folder, mode, in_channels):
    image = Image.fromarray(DRAWING).convert("RGBA" if mode == "P" else mode)
    if mode == "P":  # a palette whose colours may be transparent
        image = image.quantize(8, method=Image.Quantize.FASTOCTREE)
    image.save(folder / "test" / "ant" / "0.png")
    read = from_folder(folder, size=8, heldout=2, in_channels=in_channels).test.images[0]
    assert read.shape == (in_channels, 8, 8)
    assert (read[:, 2:, :4] == 0).all() and (read[:, 2:, 4:] == 255).all()
    over = 200 * 128 / 255 + 255 * 127 / 255
    assert ((read[:, :2].float() - over).abs() <= 1).all()


def test_opaque_images_with_an_alpha_channel_are_those_without(folder):
    rgb = Image.fromarray(PIXELS[0].transpose(1, 2, 0))
    wanted, got = (folder / "test" / "ant" / name for name in ("0.png", "1.png"))
    rgb.save(wanted)
    rgb.putalpha(255)
    rgb.save(got)
    images = from_folder(folder, size=6, heldout=2).test.images
    assert torch.equal(images[0], images[1])


def exif_of(orientation):
    """An EXIF block in Intel order: an orientation, and a resolution that is a text."""
    entries = [(0x0112, 3, 1, struct.pack("<HH", orientation, 0)), (0x011A, 2, 3, b"ab\0\0")]
    fields = b"".join(struct.pack("<HHI4s", *entry) for entry in entries)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + fields + bytes(4)


@pytest.mark.parametrize("ending", ["jpg", "png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_upright_whatever_else_their_exif_holds(folder, orientation, ending):
    upright = np.zeros((16, 16), np.uint8)
    upright[:8, :8] = 255  # the upper left quarter is white, ...
    upright[:8, 8:] = 128  # ... the upper right one is grey
    stored = {  # what a camera keeps of it
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    file = folder / "test" / "ant" / f"0.{ending}"
    Image.fromarray(np.ascontiguousarray(stored)).save(file, exif=exif_of(orientation))
    image = from_folder(folder, size=16, heldout=2).test.images[0].float()
    assert (image - torch.from_numpy(upright)).abs().mean() < 4


def chunk(kind, content):
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"eXIf", b"II*\0" + struct.pack("<I", 500)),
        chunk(b"eXIf", b"MM\0*" + bytes(2)),
        chunk(b"eXIf", b"no EXIF"),
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1 << 24))),
    ],
    ids=["EXIF that leads out", "EXIF cut off", "no EXIF", "a text of 16 MB"],
)
def test_metadata_that_cannot_be_read_is_named_or_passed_over(folder, extra):
    file, made = folder / "train" / "bee" / "3.png", io.BytesIO()
    Image.new("RGB", (12, 12)).save(made, "PNG")
    end = made.getvalue().index(b"IDAT") - 4
    file.write_bytes(made.getvalue()[:end] + extra + made.getvalue()[end:])
    try:
        assert from_folder(folder, heldout=2).num_classes == 3
    except OSError as error:
        assert f"{file} cannot be read as an image: " in str(error)


def test_files_that_are_not_read_are_counted(folder):
    wanted = from_folder(folder, heldout=2).fingerprint
    for name in (
        "train/ant/notes.txt",
        "train/bee/list.TXT",
        "test/ant/README",
        "train/labels.csv",
    ):
        (folder / name).write_text("hello")
    save(folder / "val" / "ant" / "0.png", (0, 0, 0))
    save(folder / "train" / "loose.png", (0, 0, 0))
    with pytest.warns(UserWarning) as told:
        assert from_folder(folder, heldout=2).fingerprint == wanted
    assert len(told) == 1 and told[0].filename == __file__
    words = str(told[0].message)
    assert words.startswith(f"6 files below {folder} are not read: ")
    counted = ("2 .txt", "1 no ending", "1 .csv", "2 .png in no class folder", "README")
    assert [one for one in counted if one not in words] == []


@pytest.mark.filterwarnings("error::UserWarning")
def test_what_is_hidden_or_a_system_s_own_is_no_class_and_no_image(folder):
    wanted = from_folder(folder, heldout=2).fingerprint
    for name in (".cache", "__MACOSX", "@eaDir"):
        save(folder / "train" / name / "0.png", (0, 0, 0))
        save(folder / "train" / "ant" / name / "0.png", (0, 0, 0))
    for name in (".DS_Store", "._0.png", "Thumbs.db", "desktop.ini"):
        (folder / "train" / "ant" / name).write_bytes(b"\0")
    assert from_folder(folder, heldout=2).fingerprint == wanted


def test_a_folder_without_train_and_test_is_one_pool(folder):
    splits = from_folder(folder / "train", test=2, heldout=2)
    assert splits.class_names == ("ant", "bee", "cat")
    sizes = [split.class_counts.tolist() for split in (splits.train, splits.heldout, splits.test)]
    assert sizes == [[2] * 3] * 3
    greens = torch.cat([splits.train.images, splits.heldout.images, splits.test.images])[:, 1, 0, 0]
    assert sorted(greens.tolist()) == sorted([0, 10, 20, 30, 40, 50] * 3)


def test_images_in_folders_below_and_behind_links_are_read(folder, tmp_path_factory):
    far = tmp_path_factory.mktemp("far")
    ant, bee = (folder / "train" / name for name in ("ant", "bee"))
    (ant / "2024" / "may").mkdir(parents=True)
    for i in (0, 1):
        (ant / f"{i}.png").rename(ant / "2024" / "may" / f"{i}.png")
    (ant / "2024" / "back").symlink_to(ant)  # no circle
    bee.rename(far / "bee")
    bee.symlink_to(far / "bee")
    (folder / "train" / "cat" / "5.png").rename(far / "5.png")
    (folder / "train" / "cat" / "5.png").symlink_to(far / "5.png")
    splits = from_folder(folder, heldout=2)
    assert splits.train.class_counts.tolist() == [4] * 3


@pytest.mark.parametrize(
    ("ending", "kind"),
    [
        ("JPG", "JPEG"),
        ("Png", "PNG"),
        ("gif", "GIF"),
        ("bmp", "BMP"),
        ("tif", "TIFF"),
        ("TIFF", "TIFF"),
        ("webp", "WEBP"),
        ("ppm", "PPM"),
        ("tga", "TGA"),
        ("jpg", "PNG"),  # the content counts
    ],
)
def test_every_format_is_read(folder, ending, kind):
    save(folder / "test" / "ant" / f"0.{ending}", (200, 100, 0), format=kind)
    image = from_folder(folder, size=8, heldout=2).test.images[0]
    assert (image[:, 4, 4].int() - torch.tensor([200, 100, 0])).abs().max() <= 6


def test_files_that_another_program_would_read_are_not(folder):
    (folder / "test" / "ant" / "0.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0")
    with pytest.warns(UserWarning, match=r"1 \.eps"):
        from_folder(folder, heldout=2)
    (folder / "test" / "ant" / "0.eps").rename(folder / "test" / "ant" / "0.png")
    with pytest.raises(OSError, match="of no format that is read"):
        from_folder(folder, heldout=2)


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_formats_that_are_upright_by_themselves_are_turned_once(folder, orientation):
    upright = np.zeros((16, 16), np.uint8)
    upright[:8, :8], upright[:8, 8:] = 255, 128
    stored = {1: upright, 3: upright[::-1, ::-1], 6: np.rot90(upright)}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = folder / "test" / "ant" / "0.tif"
    Image.fromarray(np.ascontiguousarray(stored)).save(file, exif=exif)
    image = from_folder(folder, size=16, heldout=2).test.images[0]
    assert (image == torch.from_numpy(upright)).all()


@pytest.mark.parametrize("background", ["red", "#ff0000", "rgb(255, 0, 0)"])
@pytest.mark.parametrize("ending", ["png", "gif", "webp"])
def test_what_is_transparent_lies_on_a_colour_of_choice(folder, ending, background):
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    clear.save(folder / "test" / "ant" / f"0.{ending}")
    image = from_folder(folder, size=8, heldout=2, background=background).test.images[0]
    assert image[:, 4, 4].tolist() == [255, 0, 0]
    white = from_folder(folder, size=8, heldout=2)
    assert white.test.images[0].min() == 255
    assert white.fingerprint != from_folder(folder, heldout=2, background=background).fingerprint


def test_inks_of_a_photograph_are_its_colours(folder):
    for ending in ("jpg", "tif"):  # the one stores them inverted, as Adobe does, the other does not
        save(folder / "test" / "ant" / f"0.{ending}", (200, 30, 40), mode="CMYK")
    images = from_folder(folder, size=8, heldout=2).test.images[:2]
    assert (images[:, :, 4, 4].int() - torch.tensor([200, 30, 40])).abs().max() <= 4


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_a_large_colour_profile_is_passed_over_or_named(folder, ending):
    profile = np.random.RandomState(0).bytes(3 << 20)
    save(folder / "test" / "ant" / f"0.{ending}", (255, 0, 0), icc_profile=profile)
    try:
        image = from_folder(folder, size=8, heldout=2).test.images[0]
        assert (image[:, 4, 4].int() - torch.tensor([255, 0, 0])).abs().max() <= 2
    except OSError as error:
        assert f"0.{ending} cannot be read as an image" in str(error)


@pytest.mark.parametrize("ending", ["gif", "webp", "png", "tif"])
def test_an_image_of_several_frames_is_named(folder, ending):
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    file = folder / "test" / "bee" / f"moving.{ending}"
    frames[0].save(file, save_all=True, append_images=frames[1:])
    with pytest.raises(OSError, match=r"moving\..* it has 2 frames; save one of them"):
        from_folder(folder, heldout=2)


def test_a_photograph_with_a_preview_is_read(folder):
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    file = folder / "test" / "ant" / "0.jpg"
    frames[0].save(file, "MPO", save_all=True, append_images=frames[1:])
    assert from_folder(folder, size=8, heldout=2).test.images[0, 0].min() > 250


def test_a_name_that_is_not_utf_8_is_read(folder):
    (folder / "test" / "ant" / "a.jpg").rename(
        folder / "test" / "ant" / os.fsdecode(b"\xff\xe9.jpg")
    )
    assert from_folder(folder, heldout=2).test.class_counts.tolist() == [2] * 3
    odd = os.fsdecode(b"ant\xff")
    for part in ("train", "test"):
        (folder / part / "ant").rename(folder / part / odd)
    with pytest.raises(ValueError, match=r"whose names can be printed, got \['ant.udcff'\]"):
        from_folder(folder, heldout=2)


def test_large_photographs_lose_nothing_that_is_seen_and_small_ones_nothing(folder, monkeypatch):
    x = np.linspace(0, 3, 1024)
    waves = (127 + 120 * np.sin(x[:, None] * 5 + x)).astype(np.uint8)
    for name, side in (("0.jpg", 1024), ("1.jpg", 120)):
        image = Image.fromarray(waves).resize((side, side)).convert("RGB")
        image.save(folder / "test" / "ant" / name, quality=95)
    fast = from_folder(folder, size=16, heldout=2).test.images.float()
    opened = []
    monkeypatch.setattr(JpegImageFile, "draft", lambda self, *_: opened.append(self.size))
    slow = from_folder(folder, size=16, heldout=2).test.images.float()
    assert opened, "Pillow is asked"
    assert 0 < (fast[0] - slow[0]).abs().max() <= 3
    assert torch.equal(fast[1:], slow[1:])


def test_groups_of_files_stay_in_one_split(folder):
    for k, name in enumerate(("ant", "bee", "cat")):
        for i in range(12):
            save(folder / "train" / name / f"photo{k}{i // 3}_{i}.png", (i // 3, 99, k))
            (folder / "train" / name / f"{i}.png").unlink(missing_ok=True)
    for groups in ("[^_]+", lambda file: file.stem.split("_")[0]):
        if callable(groups):
            splits = from_folder(folder / "train", groups=groups, heldout=3, test=3)
        else:
            splits = from_folder(folder / "train", groups=groups, heldout=3, test=3)
            first = splits.fingerprint
        seen = [
            {tuple(image[:, 0, 0].tolist()) for image in split.images}
            for split in (splits.train, splits.heldout, splits.test)
        ]
        assert list(map(len, seen)) == [6, 3, 3] and len(set.union(*seen)) == 12
    assert splits.fingerprint == first


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x89PNG\r\n\x1a\n" + bytes(50), "cut"])
def test_unreadable_image_is_named(folder, content):
    file = folder / "train" / "bee" / "3.png"
    file.write_bytes(file.read_bytes()[:-40] if content == "cut" else content)
    with pytest.raises(OSError, match="cannot be read as an image") as error:
        from_folder(folder, heldout=2)
    assert str(file) in str(error.value)


def test_all_unreadable_images_are_named_up_to_ten(folder):
    for i in range(9):
        (folder / "train" / "ant" / f"bad{i}.png").write_bytes(b"<html>")
    (folder / "train" / "cat" / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "test" / "bee" / "a.jpg").write_bytes(b"")
    with pytest.raises(OSError) as error:
        from_folder(folder, heldout=2)
    words = str(error.value)
    assert all(f"bad{i}.png cannot be read" in words for i in range(9))
    assert "gone.jpg" in words and " more" not in words
    for i in range(5):
        (folder / "train" / "bee" / f"more{i}.png").write_bytes(b"<html>")
    with pytest.raises(OSError, match=r"bad8\.png .*more0\.png [^;]*; and 5 more$"):
        from_folder(folder, heldout=2)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits_are_refused_and_named(folder, ending):
    file = folder / "test" / "bee" / f"deep.{ending}"
    Image.fromarray(np.full((9, 9), 40000, np.uint16)).save(file)
    with pytest.raises(OSError, match=r"deep\..* cannot be read .* more than 8 bits a channel"):
        from_folder(folder, heldout=2)


def test_class_folders_that_differ_are_named(folder):
    save(folder / "train" / "dog" / "0.png", (0, 0, 0))
    with pytest.raises(ValueError, match=r"same class folders; only one of them has \['dog'\]"):
        from_folder(folder, heldout=2)


def test_class_without_images_is_named(folder):
    for file in (folder / "test" / "cat").iterdir():
        file.unlink()
    with pytest.raises(
        ValueError, match="cat must hold an image of a format that Pillow reads; got none"
    ):
        from_folder(folder, heldout=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"class_names": ["ant", "bee"]}, r"class_names must be the class folders \['ant', 'bee'"),
        ({"size": 3}, r"size must be a whole number of at least 4, got 3"),
        ({"in_channels": 2}, r"in_channels must be 1 or 3, got 2"),
        ({"head": 7}, r"head and heldout ask for 7 \+ 2 images of class ant, which has 6"),
        ({"heldout": -1}, r"heldout must be a whole number"),
    ],
)
def test_bad_folder_arguments_are_named(folder, arguments, message):
    with pytest.raises(ValueError, match=message):
        from_folder(folder, **arguments)


@pytest.mark.parametrize("part", ["train", "test"])
def test_missing_part_is_named(folder, part):
    (folder / part).rename(folder / "elsewhere")
    with pytest.raises(FileNotFoundError, match=f"{part} is missing; it must hold a folder for"):
        from_folder(folder)


def test_single_class_is_refused(tmp_path):
    save(tmp_path / "train" / "ant" / "0.png", (0, 0, 0))
    with pytest.raises(ValueError, match=r"must hold at least 2 class folders, got \['ant'\]"):
        from_folder(tmp_path)
