"""A user's own images as they are: parts in proportion, whole groups, and what is left out."""

import numpy as np
import pytest
import torch

from rdlite.data import from_arrays, load, long_tail_counts

SIZES = {"badger": 24, "deer": 310, "fox": 95, "hare": 12, "owl": 160}
NAMES, NUMBERS = list(SIZES), np.array([*SIZES.values()])
LABELS = np.random.RandomState(1).permutation(np.repeat(np.arange(5), NUMBERS))
N = len(LABELS)
PIXELS = np.arange(N, dtype="<u4").view(np.uint8).reshape(N, 1, 2, 2)  # each image is its number
TEST = {"test_images": PIXELS[:50], "test_labels": np.arange(50) % 5}
PARTS = ("train", "heldout", "selection", "test")


def drawn(**how):
    return from_arrays(PIXELS, LABELS, class_names=NAMES, **how)


def numbers(split):
    """Which images of the pool are in a split."""
    return split.images.numpy().reshape(len(split), 4).copy().view("<u4").ravel()


def counts(splits):
    parts = {part: getattr(splits, part) for part in PARTS}
    return {part: split.class_counts.tolist() for part, split in parts.items() if split is not None}


def test_images_are_taken_as_they_are():
    splits = drawn()
    fifth = [4, 62, 19, 2, 32]
    rest = [n - 2 * part for n, part in zip(NUMBERS, fifth, strict=True)]
    assert counts(splits) == {"train": rest, "heldout": fifth, "test": fifth}
    assert splits.left_out.tolist() == [0] * 5
    assert splits.class_names == tuple(NAMES)
    every = np.concatenate(
        [numbers(split) for split in (splits.train, splits.heldout, splits.test)]
    )
    assert sorted(every) == list(range(N))
    for split in (splits.train, splits.heldout, splits.test):
        assert np.array_equal(split.labels, LABELS[numbers(split)])


def test_a_test_set_that_is_given_stays_whole():
    splits = drawn(**TEST)
    assert counts(splits)["test"] == [10] * 5
    assert len(splits.train) + len(splits.heldout) == N


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (0, [0, 0, 0, 0, 0]),
        (0.1, [2, 31, 9, 2, 16]),
        (0.001, [2, 2, 2, 2, 2]),
        (31, [2, 31, 9, 2, 16]),
        (1, [2, 2, 2, 2, 2]),
        (np.int64(155), [12, 155, 47, 6, 80]),
    ],
)
def test_a_part_is_a_share_or_a_number_of_the_largest_class(asked, wanted):
    assert counts(drawn(heldout=asked, **TEST))["heldout"] == wanted
    selected = counts(drawn(selection=asked, **TEST))
    assert selected.get("selection", [0] * 5) == wanted
    if asked:
        assert counts(drawn(test=asked))["test"] == wanted


def test_test_and_selection_are_the_same_for_every_seed_and_apart_from_all_else():
    first, second = (drawn(selection=0.1, seed=seed) for seed in (0, 1))
    for part in ("test", "selection"):
        assert np.array_equal(numbers(getattr(first, part)), numbers(getattr(second, part)))
    assert {*numbers(first.heldout)} != {*numbers(second.heldout)}
    every = np.concatenate([numbers(getattr(second, part)) for part in PARTS])
    assert sorted(every) == list(range(N))


def test_the_fingerprint_covers_every_part():
    how = [{}, {"test": 0.1}, {"selection": 0.1}, {"heldout": 0.1}, {"seed": 1}, {"head": 9}]
    assert len({drawn(**one).fingerprint for one in [*how, TEST]}) == 7
    assert drawn().fingerprint == drawn().fingerprint


def test_head_keeps_the_proportions():
    splits = drawn(head=31, **TEST)
    assert counts(splits)["train"] == [2, 31, 9, 1, 16]
    assert len(splits.train) + len(splits.heldout) + splits.left_out.sum() == N


def test_a_tail_that_is_imposed_follows_the_sizes_of_the_classes():
    splits = drawn(imbalance=10, heldout=20, **TEST)
    largest_first = [1, 4, 2, 0, 3]  # deer, owl, fox, badger, hare
    heldout = long_tail_counts(20, 5, 10, at_least=2)
    head = max(h for h in range(1, 291) if fits(h, heldout))
    train = long_tail_counts(head, 5, 10)
    got = counts(splits)
    assert [got["train"][k] for k in largest_first] == train
    assert [got["heldout"][k] for k in largest_first] == heldout
    assert splits.left_out.tolist() == [
        n - a - b for n, a, b in zip(NUMBERS, got["train"], got["heldout"], strict=True)
    ]


def fits(head, heldout):
    asked = np.array(long_tail_counts(head, 5, 10, at_least=1)) + heldout
    return (asked <= sorted(NUMBERS, reverse=True)).all()


def test_a_share_in_a_tail_is_of_what_the_tail_may_have():
    splits = drawn(imbalance=1, test=2)  # the 12 hares decide
    assert counts(splits) == {"train": [8] * 5, "heldout": [2] * 5, "test": [2] * 5}


def test_the_order_of_a_tail_may_be_given():
    order = ["hare", "badger", "fox", "owl", "deer"]
    got = counts(drawn(imbalance=4, order=order, heldout=0, **TEST))["train"]
    assert [got[NAMES.index(name)] for name in order] == long_tail_counts(12, 5, 4)


def test_a_test_set_keeps_the_proportions_where_a_tail_is_imposed():
    splits = drawn(imbalance=100)
    assert counts(splits)["test"] == counts(drawn())["test"]
    assert len(splits.train) + len(splits.heldout) + len(splits.test) + splits.left_out.sum() == N


def test_printed_splits_say_what_each_class_has_and_what_is_left_out():
    splits = drawn(head=50, selection=20)
    words = [line.split() for line in str(splits).splitlines()]
    assert words[0] == ["mine,", "fingerprint", splits.fingerprint]
    assert words[1] == ["class", *PARTS, "left", "out"]
    columns = [*counts(splits).values(), splits.left_out.tolist()]
    for name, *rest in words[2:-1]:
        assert [int(n) for n in rest] == [column[NAMES.index(name)] for column in columns]
    assert words[-1] == ["together", *(str(sum(column)) for column in columns)]
    assert len(words) == 8
    assert "left out" in repr(load("digits", head=20, heldout=4))


def test_named_data_say_what_they_leave_out():
    splits = load("digits", imbalance=2, head=50, heldout=10)
    left = 1797 - sum(len(split) for split in (splits.train, splits.heldout, splits.test))
    assert splits.left_out.sum() == left


# ---------------------------------------------------------------- groups

GROUPS = np.random.RandomState(2).permutation(N) // 3  # of about three images, of any classes


@pytest.mark.parametrize("how", [{}, {"selection": 0.1}, {"imbalance": 5}, {"heldout": 0}, TEST])
@pytest.mark.parametrize("seed", [0, 3])
def test_a_group_is_in_one_split(how, seed):
    splits = drawn(groups=GROUPS, seed=seed, **how)
    parts = [getattr(splits, part) for part in PARTS if part not in how or part == "selection"]
    if how is TEST:
        parts.remove(splits.test)
    seen = [{*GROUPS[numbers(split)]} for split in parts if split is not None]
    assert sum(map(len, seen)) == len(set.union(*seen))
    for split in parts:
        if split is not None and len(split):
            assert split.class_counts.min() >= (1 if split is splits.train else 2)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_parts_of_groups_have_about_the_numbers_asked_for(size):
    """Classes in blocks, groups of ``size`` neighbours: no part has more than a group too many."""
    labels = np.sort(LABELS)
    splits = from_arrays(PIXELS, labels, groups=np.arange(N) // size)
    wanted = torch.tensor([4, 62, 19, 2, 32])
    for split in (splits.heldout, splits.test):
        assert ((split.class_counts - wanted).abs() <= size).all()
    assert splits.left_out.sum() == 0
    if size == 1:
        assert torch.equal(splits.heldout.class_counts, wanted)


@pytest.mark.parametrize("kind", ["array", "tensor", "names", "pairs"])
def test_groups_may_be_of_any_kind(kind):
    groups = {
        "array": GROUPS,
        "tensor": torch.tensor(GROUPS),
        "names": [f"animal {g}" for g in GROUPS],
        "pairs": [(int(g), "a") for g in GROUPS],
    }[kind]
    assert drawn(groups=groups).fingerprint == drawn(groups=GROUPS.tolist()).fingerprint


def test_a_class_whose_groups_are_too_few_is_named():
    groups = np.where(LABELS == 3, -1, np.arange(N))  # all hares are one animal
    with pytest.raises(ValueError, match=r"images of class hare, .* have 0; lower heldout"):
        drawn(groups=groups)
