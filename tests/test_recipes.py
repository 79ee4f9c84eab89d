"""The recipes of the studies keep what their comments and the notebooks say of them."""

from collections import Counter
from itertools import product

import pytest

from rdlite import baselines
from rdlite.studies.grid import networks
from rdlite.studies.spec import RECIPES, GridSpec, recipe
from rdlite.studies.table import settings

TEACHERS = ("standard", "balanced", "robust")


def rows(name):
    """What a recipe trains, as rows of settings."""
    return [settings(run) for run in GridSpec.from_file(recipe(name)).runs()]


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*.toml")), ids=lambda file: file.stem)
def test_every_recipe_is_a_spec_and_names_its_command(file):
    teachers, students = networks(GridSpec.from_file(file))
    assert len(students) == len(set(students)) > 0 and not set(teachers) & set(students)
    assert "python -m rdlite " in file.read_text(encoding="utf-8")


def test_length_has_every_teacher_at_every_length_for_ten_seeds():
    robust = [row for row in rows("length") if row["student"] == "robust"]
    found = Counter((row["teacher"], row["epochs"], row.get("teacher_epochs")) for row in robust)
    lengths = (2, 5, 10, 20, 40, 80)
    wanted = {("none", epochs, None) for epochs in lengths}
    wanted |= {(teacher, epochs, epochs) for teacher, epochs in product(TEACHERS, lengths)}
    wanted |= {(teacher, epochs, 40) for teacher, epochs in product(TEACHERS, lengths)}
    assert found == dict.fromkeys(wanted, 10)
    others = Counter(row["method"] for row in rows("length") if row["student"] == "standard")
    assert others == {"fit": 60, "group-dro": 60, "post-shifted": 60}


def test_softness_shares_its_teachers_with_length():
    teachers = [set(networks(GridSpec.from_file(recipe(n)))[0]) for n in ("softness", "length")]
    assert teachers[0] <= teachers[1] and len(teachers[0]) == 30


def test_images_are_seen_equally_often_or_more_where_there_are_more():
    seen = {row["head"]: row["head"] * row["epochs"] for row in rows("images")}
    assert sorted(seen) == [250, 500, 1000, 2500, 5000]
    assert min(seen.values()) >= 30_000 and len({row["seed"] for row in rows("images")}) == 8


@pytest.fixture(scope="module")
def selection():
    return rows("selection")


def settings_of(table):
    """Method -> its settings, for one task and seed."""
    found = {}
    for row in table:
        if (row["imbalance"], row["seed"]) == (100, 100):
            smoothed, teacher = row["smoothing"] > 0, row["teacher"]
            key = (row["method"], row["student"], row["payoff"], row["heldout_labels"], smoothed)
            key += ("any" if row["student"] == "robust" and teacher != "none" else teacher,)
            setting = (teacher, row["epochs"], row["temperature"], row["learning_rate"])
            found.setdefault(key, set()).add((*setting, row["smoothing"]))
    return found


def test_every_method_may_choose_from_nine_settings(selection):
    found = settings_of(selection)
    counts = {key: len(settings) for key, settings in found.items()}
    all_teachers = ("fit", "robust", "risk", "teacher", False, "any")
    assert counts.pop(all_teachers) == 27, "each teacher with nine"
    assert set(counts.values()) == {9}
    assert {key[0] for key in found} == {"fit", *baselines.NAMES}


def test_the_robust_student_has_a_latin_square(selection):
    (square,) = [
        v for key, v in settings_of(selection).items() if key[3:] == ("one-hot", False, "any")
    ]
    columns = list(zip(*square, strict=True))[:3]  # teacher, epochs, temperature
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert len(set(zip(columns[first], columns[second], strict=True))) == 9


def test_settings_are_chosen_on_other_seeds_than_those_that_are_reported(selection):
    reported = {row["seed"] for row in rows("comparison")}
    assert not reported & {row["seed"] for row in selection}
    assert {row["selection"] for row in selection} == {1000}
