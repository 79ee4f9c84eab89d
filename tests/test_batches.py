"""Batches: an epoch's order, the augmentation image by image, and the inputs of a network."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rdlite.data.batches import Views, as_input, augment, class_balanced, shuffled, steps_per_epoch

PROPERTY = settings(max_examples=60, deadline=None, derandomize=True)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def copies(n, c=1, h=5, w=7):
    """n copies of an image whose pixels are all different and none 0."""
    image = torch.arange(1, c * h * w + 1, dtype=torch.uint8).reshape(1, c, h, w)
    return image.repeat(n, 1, 1, 1)


def moved(image, dy, dx):
    """(c, h, w) moved down by dy and right by dx pixels, pixel by pixel, filled with 0."""
    result = np.zeros_like(image)
    _, h, w = image.shape
    for i in range(h):
        for j in range(w):
            if 0 <= i - dy < h and 0 <= j - dx < w:
                result[:, i, j] = image[:, i - dy, j - dx]
    return result


def moves_of(views, image, shift):
    """The (dy, dx) of each view; fails on a view that is no move within ``shift``."""
    r = range(-shift, shift + 1)
    known = {moved(image, dy, dx).tobytes(): (dy, dx) for dy in r for dx in r}
    return [known[view.tobytes()] for view in views.numpy()]


# ---------------------------------------------------------------- shuffled


@PROPERTY
@given(st.integers(1, 80), st.integers(1, 30), st.integers(0, 2**32))
def test_an_epoch_is_full_batches_of_distinct_indices(n, batch_size, seed):
    batches = list(shuffled(n, batch_size, generator(seed)))
    seen = torch.cat(batches).tolist()
    assert [len(b) for b in batches] == [min(batch_size, n)] * max(1, n // batch_size)
    assert len(batches) == steps_per_epoch(n, batch_size)
    assert len(set(seen)) == len(seen)
    assert set(seen) <= set(range(n))


def test_an_epoch_covers_every_image_where_the_batches_divide_them():
    assert sorted(torch.cat(list(shuffled(60, 12, generator()))).tolist()) == list(range(60))


# ---------------------------------------------------------------- class_balanced


def test_uniform_draws_every_class_and_every_image_of_a_class_equally_often():
    labels = torch.tensor([2] * 90 + [0] * 9 + [1])[torch.randperm(100, generator=generator())]
    index = torch.cat([b for s in range(300) for b in class_balanced(labels, 32, generator(s))])
    share = torch.bincount(labels[index]) / len(index)
    torch.testing.assert_close(share, torch.full((3,), 1 / 3), rtol=0, atol=0.01)
    of_zero = torch.bincount(index, minlength=100)[labels == 0] / (labels[index] == 0).sum()
    torch.testing.assert_close(of_zero, torch.full((9,), 1 / 9), rtol=0, atol=0.01)


def test_uniform_has_the_batches_of_an_epoch():
    labels = torch.arange(70) % 7
    sizes = [len(b) for b in class_balanced(labels, 32, generator())]
    assert sizes == [32] * steps_per_epoch(70, 32)
    with pytest.raises(ValueError, match="labels"):
        next(class_balanced(torch.tensor([0, 2]), 2, generator()))


def test_images_left_over_come_in_another_epoch():
    shared = generator()
    epochs = [set(torch.cat(list(shuffled(10, 4, shared))).tolist()) for _ in range(20)]
    assert all(len(epoch) == 8 for epoch in epochs)
    assert set.union(*epochs) == set(range(10))


def test_same_seed_gives_the_same_order_and_another_seed_another():
    first, same, other = (torch.cat(list(shuffled(50, 10, generator(s)))) for s in (3, 3, 4))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_each_epoch_has_another_order():
    shared = generator()
    first, second = (torch.cat(list(shuffled(50, 10, shared))) for _ in range(2))
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 4), r"n must be a whole number of at least 1, got 0"),
        ((4, 0), r"batch_size must be a whole number of at least 1, got 0"),
        ((4, 2.0), r"batch_size .* got 2\.0"),
    ],
)
def test_shuffled_names_the_bad_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        next(iter(shuffled(*arguments, generator())))


# ---------------------------------------------------------------- augment


@pytest.mark.parametrize("shift", [1, 2])
@pytest.mark.parametrize("channels", [1, 3])
def test_views_are_moves_within_the_shift_filled_with_0_and_never_wrapped(shift, channels):
    images = copies(600, channels)
    moves = moves_of(augment(images, generator(), shift=shift), images[0].numpy(), shift)
    r = range(-shift, shift + 1)
    assert set(moves) == {(dy, dx) for dy in r for dx in r}  # all of them, both axes, exactly


def test_images_of_a_batch_are_moved_independently_and_evenly():
    images = copies(900)
    moves = moves_of(augment(images, generator(), shift=1), images[0].numpy(), 1)
    counts = Counter(moves)
    assert all(60 <= counts[move] <= 140 for move in counts)  # 100 each, 4 standard deviations
    pairs = Counter(pairwise(moves))
    assert len(pairs) == 81  # every move follows every other


def test_shift_beyond_the_image_leaves_only_pixels_of_the_image_or_0():
    images = copies(200, h=3, w=3)
    moves_of(augment(images, generator(), shift=4), images[0].numpy(), 4)


def test_neither_shift_nor_flip_is_the_identity():
    images = copies(20, 3)
    assert torch.equal(augment(images, generator(), shift=0, flip=False), images)


def test_flip_mirrors_about_half_of_the_images_and_leaves_the_rest():
    images = copies(2000, 2)
    views = augment(images, generator(), flip=True).numpy()
    image = images[0].numpy()
    mirrored = np.array([np.array_equal(v, image[:, :, ::-1]) for v in views])
    plain = np.array([np.array_equal(v, image) for v in views])
    assert (mirrored ^ plain).all()
    assert 0.45 < mirrored.mean() < 0.55


def test_shift_and_flip_together_give_every_combination():
    images = copies(800)
    image = images[0].numpy()
    known = {}
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            view = moved(image, dy, dx)
            known[view.tobytes()] = (dy, dx, False)
            known[view[:, :, ::-1].tobytes()] = (dy, dx, True)
    views = augment(images, generator(), shift=1, flip=True).numpy()
    assert len({known[view.tobytes()] for view in views}) == 18


def test_each_view_comes_from_its_own_image():
    images = torch.arange(1, 51, dtype=torch.uint8).reshape(50, 1, 1, 1).expand(50, 1, 6, 6)
    views = augment(images.contiguous(), generator(), shift=2, flip=True)
    assert views.flatten(1).max(1).values.tolist() == list(range(1, 51))


def test_shape_and_type_are_kept_and_the_images_are_unchanged():
    images = copies(30, 2)
    before = images.clone()
    views = augment(images, generator(), shift=2, flip=True)
    assert (views.shape, views.dtype) == (images.shape, torch.uint8)
    views.zero_()
    assert torch.equal(images, before)


def test_same_generator_seed_gives_the_same_views_and_the_next_call_others():
    images, shared = copies(50), generator(5)
    first, second = (augment(images, shared, shift=2, flip=True) for _ in range(2))
    again = augment(images, generator(5), shift=2, flip=True)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_only_the_passed_generator_is_used():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    augment(copies(10), generator(), shift=1, flip=True)
    list(shuffled(10, 2, generator()))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("shift", [-1, 0.5, None])
def test_augment_names_a_bad_shift(shift):
    with pytest.raises(ValueError, match=rf"shift must be a whole number .* got {shift}"):
        augment(copies(2), generator(), shift=shift)


# ---------------------------------------------------------------- as_input


def test_inputs_are_float32_between_minus_1_and_1():
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    inputs = as_input(pixels)
    assert (inputs.dtype, inputs.shape) == (torch.float32, pixels.shape)
    wanted = np.linspace(-1, 1, 256).reshape(1, 1, 16, 16)
    np.testing.assert_allclose(inputs, wanted, atol=1e-6)
    assert (inputs.min().item(), inputs.max().item()) == (-1, 1)
    assert torch.equal(pixels, torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16))


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_as_input_names_another_type(dtype):
    with pytest.raises(ValueError, match=rf"images must be uint8, got {dtype}"):
        as_input(torch.zeros(1, 1, 4, 4, dtype=dtype))


def test_reflected_borders_show_the_image_again_and_no_black():
    images = torch.arange(1, 26, dtype=torch.uint8).view(1, 1, 5, 5).repeat(999, 1, 1, 1)
    generator = torch.Generator().manual_seed(0)
    views = augment(images, generator, shift=2, padding="reflect")
    assert views.min() > 0 and len(views.flatten(1).unique(dim=0)) == 25
    whole = np.pad(images[0, 0].numpy(), 2, mode="reflect")
    windows = {whole[y : y + 5, x : x + 5].tobytes() for y in range(5) for x in range(5)}
    assert {view[0].numpy().tobytes() for view in views} == windows


def test_a_reflection_beyond_the_image_is_refused():
    images = torch.zeros(1, 1, 4, 6, dtype=torch.uint8)
    augment(images, torch.Generator(), shift=3, padding="reflect")
    with pytest.raises(ValueError, match="shift must be less than the image's 4 pixels"):
        augment(images, torch.Generator(), shift=4, padding="reflect")
    with pytest.raises(ValueError, match="padding must be one of"):
        augment(images, torch.Generator(), shift=1, padding="reflected")


@pytest.mark.parametrize("sampling", ["shuffled", "class-balanced"])
def test_views_go_on_in_the_middle_of_an_epoch(sampling):
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(256, (20, 1, 6, 6), dtype=torch.uint8, generator=generator)
    labels = torch.arange(20) % 4

    def views():
        options = {"batch_size": 4, "sampling": sampling, "seed": 3, "shift": 1, "flip": True}
        return Views(images, labels, **options)

    first, other = views(), views()
    for _ in range(7):
        next(first)
    other.load_state_dict(first.state_dict())
    for _ in range(9):
        (a, x), (b, y) = next(first), next(other)
        assert torch.equal(a, b) and torch.equal(x, y)
    assert not torch.equal(next(views())[1], y)


@pytest.mark.parametrize("padding", ["zero", "reflect"])
@pytest.mark.parametrize(("shift", "flip"), [(0, False), (0, True), (3, False), (3, True)])
def test_views_are_the_augmented_images_of_their_indices(shift, flip, padding):
    images = torch.randint(256, (20, 3, 6, 5), dtype=torch.uint8, generator=generator(1))
    before, how = images.clone(), {"shift": shift, "flip": flip, "padding": padding}
    views = Views(images, torch.zeros(20).long(), batch_size=8, seed=3, **how)
    shared = generator(3)
    for _ in range(4):
        for index in list(shuffled(20, 8, shared)):
            got, inputs = next(views)
            assert torch.equal(got, index)
            assert torch.equal(inputs, as_input(augment(images[index], shared, **how)))
    assert torch.equal(images, before)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"shift": -1}, "shift must be a whole number"),
        ({"shift": 4, "padding": "reflect"}, "shift must be less than the image's 4 pixels"),
        ({"padding": "mirror"}, "padding must be one of"),
        ({"sampling": "uniform"}, "sampling must be one of"),
    ],
)
def test_views_name_a_bad_option_before_the_first_batch(how, message):
    with pytest.raises(ValueError, match=message):
        Views(torch.zeros(4, 1, 4, 4).byte(), torch.zeros(4).long(), batch_size=2, seed=0, **how)
