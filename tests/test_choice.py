"""The choice of settings: one rule, on selection images alone, and what is shipped follows it."""

import dataclasses

import pandas as pd
import pytest
from test_studies import TINY

from rdlite import __main__ as cli
from rdlite.studies import choice, results
from rdlite.studies.spec import GridSpec, recipe

RATES = [0.02, 0.1, 0.3]
SPEC = TINY.but(
    teacher="none", selection=400, head=None, grid=[
        {"name": "group DRO", "method": "group-dro", "learning_rate": RATES},
        {"name": "robust", "student": "robust", "learning_rate": RATES},
    ]
)  # fmt: skip


def study(spec, **scores):
    """Made-up results: a column a score, its values by learning rate."""
    lines = []
    for one in spec.runs():
        row = {"key": one.key, "method": one.method, "student": one.objective.name}
        row |= {"learning_rate": one.config.learning_rate, "seed": one.seed}
        k = RATES.index(one.config.learning_rate)
        lines.append(row | {name: values[k] + 0.01 * one.seed for name, values in scores.items()})
    return results.Results(spec, pd.DataFrame(lines), ("a", "b"), ((2, 1),), ((5, 5),))


def test_the_largest_selection_worst_class_is_chosen_and_the_average_decides_among_equals():
    found = choice.choose(
        study(SPEC, selection_worst=[0.3, 0.3, 0.2], selection_average=[0.5, 0.6, 0.9])
    )
    assert list(found) == ["name", "settings", "learning_rate", *choice.SCORES]
    assert found.name.tolist() == ["group DRO", "robust"]
    assert found.learning_rate.tolist() == [0.1, 0.1] and set(found.settings) == {3}
    assert found.selection_worst.tolist() == pytest.approx([0.305] * 2), "the mean of two seeds"
    all_equal = choice.choose(study(SPEC, selection_worst=[1] * 3, selection_average=[1] * 3))
    assert all_equal.learning_rate.tolist() == [0.02, 0.02], "what the spec names first"


def test_what_cannot_choose_is_refused(capsys):
    without = study(SPEC, worst=[0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="study must have selection images, got none; train it"):
        choice.choose(without)
    scores = {name: [0.1, 0.2, 0.3] for name in choice.SCORES}
    whole = study(SPEC, **scores)
    cut = dataclasses.replace(whole, table=whole.table.iloc[1:])
    with pytest.raises(ValueError, match=r"hold every run of the spec, got 5 of 6; is the study"):
        choice.choose(cut)
    older = dataclasses.replace(whole, table=whole.table.drop(columns="key"))
    with pytest.raises(ValueError, match="table must have the column key, got none; write it"):
        choice.choose(older)
    both = dataclasses.replace(whole, task_counts=((2, 1), (2, 1)))
    with pytest.raises(ValueError, match="one task, got 2"):
        choice.choose(both)
    with pytest.raises(ValueError, match="study must be a Results"):
        choice.choose(whole.table)
    assert cli.main(["choose", "comparison"]) == 2
    shown = capsys.readouterr()
    assert "study must have selection images" in shown.err and not shown.out


@pytest.mark.slow
def test_shuffled_test_labels_change_no_choice(measured_twice):
    """A real study, measured once more with the labels of the test set in another order."""
    spec = SPEC.but(dataset="digits", size=None, head=60, heldout=12, selection=40)
    chosen = [
        choice.choose(results.Results(spec, rows, (), ((),), ((),)))
        for rows in measured_twice(spec)
    ]
    pd.testing.assert_frame_equal(*chosen)


def test_every_method_of_the_shipped_selection_has_nine_settings_in_each_task(capsys):
    shipped = results.read("selection")
    assert shipped.spec == GridSpec.from_file(recipe("selection"))
    assert set(shipped.table.seed) == {100, 101, 102}, "not those of a comparison"
    for task in shipped.tasks():
        found = choice.choose(task)
        assert len(found) == 21 and set(found.settings) == {9}
    assert cli.main(["choose", "selection"]) == 0
    shown = capsys.readouterr().out
    assert "imbalance 100, head 1000" in shown and "imbalance 10, head 1000" in shown
    for name in ("BKD", "LTKD [reading]", "no distillation, robust, smoothed labels"):
        assert shown.count(f" {name} ") == 2


def test_robust_distillation_chooses_from_a_latin_square():
    """Each length, teacher and temperature three times, each pair of them once."""
    runs = GridSpec.from_file(recipe("selection")).by_task()[0].but(seed=0).named
    cells = {
        (one.teacher.objective.name, one.config.epochs, one.temperature)
        for one in runs["robust distillation"]
    }
    assert len(cells) == 9
    for i in range(3):
        for j in range(i):
            assert len({(cell[i], cell[j]) for cell in cells}) == 9


def test_a_name_changes_no_run_and_finds_its_runs():
    plain = TINY.but(grid=[{"student": "robust"}])
    spec = TINY.but(
        grid=[
            {"name": "a", "student": "robust"},
            {"name": "b", "teacher": "none", "student": "robust"},
        ]
    )
    assert spec.runs() == plain.runs() and set(plain.named) == {""}
    assert spec.named["a"] == spec.runs()
    assert spec.named["b"] == [one for one in spec.runs() if one.teacher is None]
    together = TINY.but(**{"name, method": [["x", "fit"], ["y", "group-dro"]], "teacher": "none"})
    assert {one.method for one in together.named["y"]} == {"group-dro"}
    with pytest.raises(ValueError, match="name must be a str, got 3"):
        TINY.but(name=3)
    assert [set(part.named) for part in spec.but(imbalance=[10, 20]).by_task()] == [{"a", "b"}] * 2
