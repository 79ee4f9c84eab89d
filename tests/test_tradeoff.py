"""TradeoffPanel and the figures of notebook 03, on a tiny study that is trained here."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
import torch

from rdlite import plots
from rdlite.panels import TradeoffPanel
from rdlite.studies import GridSpec, figures, recipe, results, run_grid
from rdlite.studies.table import measure

pytestmark = pytest.mark.slow  # trains a small study

SPEC = """\
imbalance = 10
head = 60
heldout = 12
size = 14
teacher_network = ["cnn-8", "cnn-4"]
student_network = "cnn-4"
teacher = ["none", "standard", "robust"]
student = ["standard", 0, 0.5, 1]
heldout_labels = ["teacher", "one-hot"]
seed = [0, 1]
mix = 0.5
epochs = 2
batch_size = 16
rounds = 4
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("study")
    (made / "asked.toml").write_text(SPEC)
    table = run_grid(GridSpec.from_file(made / "asked.toml"), progress=False)
    results.write(made, made / "asked.toml", table)
    return made


@pytest.fixture
def panel(folder):
    return TradeoffPanel(str(folder))


def rows_of(panel, student, **wanted):
    table = panel.study.table
    for name, value in {"student": student, **wanted}.items():
        table = table[table[name] == value]
    assert len(table) == 2, "two seeds"
    return table


def test_the_panel_shows_the_means_of_the_table(panel):
    panel.state = {"alpha": 0.5, "teacher": "robust", "heldout_labels": "one-hot"}
    where = {"teacher": "robust", "teacher_network": "cnn-8", "heldout_labels": "one-hot"}
    rows, standard = rows_of(panel, "0.5", **where), rows_of(panel, "standard", **where)
    error = rows.worst.std() / 2**0.5
    shown = panel.numbers.value
    assert f"average {rows.average.mean():.3f}" in shown
    assert f"worst {rows.worst.mean():.3f} ± {error:.3f}" in shown
    assert f"{standard.average.mean():.3f} and {standard.worst.mean():.3f}" in shown
    for k, name in enumerate(panel.study.class_names):
        accuracy = np.mean([values[k] for values in rows.per_class])
        multiplier = np.mean([values[k] for values in rows.multipliers])
        line = next(x for x in shown.split("</tr>") if name in x)
        assert f"{accuracy:.3f} ±" in line and f"{multiplier:.3f}" in line


@pytest.mark.parametrize(
    "move",
    [
        {"alpha": 0.0},
        {"teacher": "none"},
        {"student": "cnn-4 -> cnn-4"},
        {"heldout_labels": "one-hot"},
    ],
)
def test_every_control_changes_numbers_and_picture_and_reset_goes_back(panel, move):
    numbers, picture = panel.numbers.value, panel.picture.value
    panel.state = move
    assert panel.numbers.value != numbers and panel.picture.value != picture
    assert "role" not in panel.numbers.value, "no error"
    panel.reset()
    assert panel.numbers.value == numbers and panel.picture.value == picture


def test_without_a_teacher_there_is_no_choice_of_labels(panel):
    assert not panel.controls["heldout_labels"].disabled
    panel.state = {"teacher": "none"}
    assert panel.controls["heldout_labels"].disabled
    numbers = panel.numbers.value
    panel.state = {"heldout_labels": "one-hot"}
    assert panel.numbers.value == numbers


def test_train_this_one_now_trains_the_cell_with_a_new_seed(panel):
    panel.state = {"alpha": 0.5}
    numbers, seen = panel.numbers.value, []
    panel.progress.observe(lambda change: seen.append(change["new"]), "value")
    panel.button.click()
    run = panel.live_run
    assert run.seed == 2 and run.objective.alpha == 0.5 and run.teacher.network == "cnn-8"
    torch.manual_seed(0)  # nothing depends on it
    teacher, _ = run.teacher.train()
    net, history = run.train(teacher)
    expected = measure(run, net, history, teacher)
    assert panel.result().live == expected
    assert f"trained now: average {expected['average']:.3f}" in panel.numbers.value
    assert seen == sorted(seen) and seen[-1] == pytest.approx(1) and len(seen) == 8
    assert not panel.button.disabled and panel.progress.layout.visibility == "hidden"
    panel.state = {"alpha": 1.0}
    assert "trained now" not in panel.numbers.value
    panel.state = {"alpha": 0.5}
    assert "trained now" in panel.numbers.value != numbers


def test_the_bar_fills_where_the_teacher_has_other_rounds(folder):
    study = results.read(folder)
    spec = study.spec.but(teacher_rounds=2)
    panel, seen = TradeoffPanel(dataclasses.replace(study, spec=spec)), []
    panel.progress.observe(lambda change: seen.append(change["new"]), "value")
    panel.train()
    assert seen == pytest.approx([k / 6 for k in range(1, 7)]) and panel.trained


def test_the_teacher_is_trained_once(panel):
    panel.train()
    (teacher,) = panel._networks.values()
    panel.state = {"alpha": 0.0}
    panel.train()
    assert list(panel._networks.values()) == [teacher] and len(panel.trained) == 2


def test_training_that_diverges_is_shown_in_the_panel(folder):
    study = results.read(folder)
    spec, table = study.spec.but(learning_rate=1e30), study.table.assign(learning_rate=1e30)
    panel = TradeoffPanel(dataclasses.replace(study, spec=spec, table=table))
    panel.train()
    assert "FloatingPointError" in panel.numbers.value and "learning_rate" in panel.numbers.value
    assert not panel.button.disabled and not panel.trained
    panel.reset()
    assert "average" in panel.numbers.value


def test_an_interrupt_ends_the_training_and_leaves_the_panel_usable(panel):
    def stop(_change):
        raise KeyboardInterrupt

    panel.progress.observe(stop, "value")
    panel.progress.value = 0.0
    panel.train()
    assert "KeyboardInterrupt" in panel.numbers.value and not panel.button.disabled
    panel.progress.unobserve_all()
    panel.train()
    assert "trained now" in panel.numbers.value


def test_a_class_name_cannot_become_markup(folder):
    study = results.read(folder)
    names = ("<script>alert(1)</script>", "$x^", *study.class_names[2:])
    panel = TradeoffPanel(dataclasses.replace(study, class_names=names))
    assert "&lt;script&gt;" in panel.numbers.value and "<script" not in panel.numbers.value


def test_baselines_do_not_slip_into_the_means(folder, panel):
    study = results.read(folder)
    other = study.table.assign(method="post-shifted", worst=1.0, average=1.0)
    mixed = dataclasses.replace(study, table=pd.concat([study.table, other]))
    assert TradeoffPanel(mixed).numbers.value == panel.numbers.value
    assert len(mixed.students("cnn-8", "cnn-4")) == len(study.students("cnn-8", "cnn-4"))


@pytest.mark.parametrize(
    "name",
    [
        *("imbalance", "head", "heldout", "temperature", "mix", "teacher_view", "smoothing"),
        *("learning_rate", "epochs", "teacher_epochs", "batch_size", "teacher_batch_size"),
    ],
)
def test_a_study_of_several_settings_is_refused(folder, name):
    """Which else would be averaged as if they were seeds."""
    study = results.read(folder)
    other = study.table.assign(**{name: 3})
    mixed = dataclasses.replace(study, table=pd.concat([study.table, other]))
    with pytest.raises(ValueError, match=rf"have one {name}( a teacher)?, got .*; a panel shows"):
        TradeoffPanel(mixed)


def test_students_without_a_teacher_have_the_task_of_the_others(folder):
    study = results.read(folder)
    other = study.table.imbalance.where(study.table.teacher != "none", 3.0)
    with pytest.raises(ValueError, match="study must have one imbalance"):
        TradeoffPanel(dataclasses.replace(study, table=study.table.assign(imbalance=other)))


def part(folder, wanted):
    """The study with some of its rows only."""
    study = results.read(folder)
    return dataclasses.replace(study, table=study.table.query(wanted))


ONE_HOT = "teacher == 'none' or heldout_labels == 'one-hot'"


@pytest.mark.parametrize(
    ("wanted", "first"),
    [
        ("teacher == 'robust'", {"teacher": "robust", "heldout_labels": "teacher"}),
        (ONE_HOT, {"teacher": "standard", "heldout_labels": "one-hot"}),
        ("teacher in ('none', 'robust')", {"teacher": "robust", "heldout_labels": "teacher"}),
        ("student_network == 'cnn-4' and teacher_network != 'cnn-8'", {"teacher": "standard"}),
    ],
)
def test_a_panel_starts_at_the_first_taught_teacher_and_labels_of_a_study(folder, wanted, first):
    panel = TradeoffPanel(part(folder, wanted))
    assert first.items() <= panel.state.items() and "alert" not in panel.numbers.value
    assert all(name in panel.numbers.value for name in panel.study.class_names)


def test_a_study_without_a_teacher_shows_its_students(folder):
    panel = TradeoffPanel(part(folder, "teacher == 'none'"))
    assert panel.state["teacher"] == "none" and panel.controls["heldout_labels"].disabled
    rows = rows_of(panel, "robust")
    assert f"worst {rows.worst.mean():.3f} ±" in panel.numbers.value
    assert panel.live_run.teacher is None and panel.live_run.seed == 2


@pytest.mark.parametrize("wanted", ["student == 'standard'", "student != 'standard'"])
def test_a_study_without_an_alpha_or_the_standard_student_is_refused(folder, wanted):
    with pytest.raises(ValueError, match="study must have the standard student and one of"):
        TradeoffPanel(part(folder, wanted))


def test_a_setting_that_only_one_kind_of_student_has_is_one(folder):
    """Students of the one-hot labels are listed with temperature 1, the others with smoothing 0."""
    study = results.read(folder)
    table = study.table.copy()
    table.loc[table.teacher != "none", "temperature"] = 4.0
    table.loc[table.teacher == "none", "smoothing"] = 0.1
    panel = TradeoffPanel(dataclasses.replace(study, table=table))
    assert panel.numbers.value == TradeoffPanel(study).numbers.value


def test_a_student_that_the_study_lacks_is_named_in_the_panel(folder):
    """And the lines show what there is."""
    panel = TradeoffPanel(part(folder, "teacher != 'robust' or student in ('standard', '0.5')"))
    assert "alert" not in panel.numbers.value
    assert len(panel.result().frontiers["robust"][0]) == 1
    panel.state = {"teacher": "robust"}
    assert "ValueError" in panel.numbers.value
    assert "study must have cnn-8, cnn-4, robust, robust, teacher" in panel.numbers.value
    panel.state = {"alpha": 0.5}
    assert "alert" not in panel.numbers.value


def test_a_teacher_for_some_alpha_is_trained_live_too(folder):
    study = results.read(folder)
    table = study.table.assign(teacher=study.table.teacher.replace("robust", "0.3"))
    spec = study.spec.but(teacher=["none", "standard", 0.3])
    panel = TradeoffPanel(dataclasses.replace(study, spec=spec, table=table))
    panel.state = {"teacher": "0.3"}
    assert panel.live_run.teacher.objective.alpha == 0.3 and panel.live_run.seed == 2
    (words,) = (words for words, name in panel.controls["teacher"].options if name == "0.3")
    assert words == "0.3 teacher"


def test_the_live_run_has_the_setting_of_the_table_where_the_spec_has_several(folder):
    study = results.read(folder)
    spec = study.spec.but(temperature=[1.0, 4.0], learning_rate=[0.3, 0.1], epochs=[4, 2])
    table = study.table.assign(temperature=4.0, learning_rate=0.1)
    run = TradeoffPanel(dataclasses.replace(study, spec=spec, table=table)).live_run
    assert (run.temperature, run.config.learning_rate, run.seed) == (4.0, 0.1, 2)
    assert (run.config.epochs, run.teacher.config.epochs) == (2, 2)


def test_the_live_run_differs_from_the_study_s_in_its_seeds_only(panel):
    run, spec = panel.live_run, panel.study.spec.but(seed=2)
    assert run in spec.runs() and run not in panel.study.spec.runs()


def test_a_run_that_the_spec_lacks_is_named_in_the_panel(folder):
    study = results.read(folder)
    spec = study.spec.but(student=["standard", 0])
    panel = TradeoffPanel(dataclasses.replace(study, spec=spec))
    panel.train()
    assert "study must have a run of cnn-8, cnn-4, standard, robust" in panel.numbers.value
    assert not panel.button.disabled


def test_every_teacher_is_drawn_as_in_every_other_figure(panel):
    for teacher, style in plots.TEACHER_STYLES.items():
        if teacher in panel.teachers:
            panel.state = {"teacher": teacher}
            words = plots.TEACHER_WORDS[teacher]
            (line,) = (x for x in panel.figure().axes[0].lines if x.get_label() == words)
            drawn = {name: getattr(line, f"get_{name}")() for name in style}
            assert drawn == style and line.get_linewidth() > 2


def test_a_study_that_is_not_there_is_named():
    with pytest.raises(OSError, match="no-such-study"):
        TradeoffPanel("no-such-study")


@pytest.mark.parametrize("name", ["comparison", "length", "selection", "softness"])
def test_the_shipped_studies_are_whole_and_small(name):
    study = results.read(name)
    assert study.spec == GridSpec.from_file(recipe(name))
    assert set(study.table.key) == {run.key for run in study.spec.runs()}
    shipped = results.SHIPPED / name
    assert sum(file.stat().st_size for file in shipped.iterdir()) < 1_500_000
    per_class = np.array(study.table.per_class.tolist())
    np.testing.assert_allclose(per_class.min(1), study.table.worst, atol=1e-4)
    np.testing.assert_allclose(per_class.mean(1), study.table.average, atol=1e-4)
    text = (shipped / "about.json").read_text()
    assert re.search(r'"torch": "\d+\.\d+', text) and re.search(r'"rdlite": "\d+\.\d+', text)


def test_of_a_comparison_the_panel_shows_the_frontiers_of_the_first_task():
    panel = TradeoffPanel()
    assert panel.teachers == ["none", "standard", "balanced", "robust"]
    assert panel.alphas == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert panel.study.spec.first["imbalance"] == 100 and panel.live_seed == 10
    assert panel.live_run.config.epochs == 40 and panel.live_run.temperature == 2


def test_against_alpha_draws_the_means_of_every_alpha(panel):
    table = panel.study.students("cnn-8", "cnn-4").query("teacher == 'standard'")
    ax = figures.against_alpha(table)
    average, worst = (line.get_xydata() for line in ax.get_lines()[:2])
    assert average[:, 0].tolist() == [0, 0.5, 1]
    expected = table[table.student == "0.5"]
    assert average[1, 1] == pytest.approx(expected.average.mean())
    assert worst[1, 1] == pytest.approx(expected.worst.mean()) and ax.get_ylim() == (0, 1)
    plots.plt.close(ax.figure)


def test_frontiers_draws_a_line_a_table(panel):
    table = panel.study.students("cnn-8", "cnn-4")
    ax = plots.plt.subplots()[1]
    shown = {name: table[table.teacher == name] for name in ("none", "robust")}
    assert figures.frontiers(shown, ax) is ax
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert set(words) == {"none", "robust", "alpha 1"}
    last = table[(table.teacher == "robust") & (table.student == "robust")]
    ends = [line.get_xydata().tolist() for line in ax.get_lines() if len(line.get_xdata()) == 1]
    assert [[last.average.mean(), last.worst.mean()]] in ends
    drawn = {own.get_label(): own[0] for own in ax.containers}
    for teacher, style in plots.TEACHER_STYLES.items():
        if teacher in shown:
            assert {key: plots.plt.getp(drawn[teacher], key) for key in style} == style
    plots.plt.close(ax.figure)


def test_a_second_line_of_the_same_teacher_has_another_look(panel):
    small = panel.study.students("cnn-4", "cnn-4").query("teacher == 'robust'")
    large = panel.study.students("cnn-8", "cnn-4").query("teacher == 'robust'")
    ax = figures.frontiers({"large": large, "small": small})
    looks = [
        {key: plots.plt.getp(own[0], key) for key in plots.OTHER_TEACHER} for own in ax.containers
    ]
    assert looks == [plots.TEACHER_STYLES["robust"], plots.OTHER_TEACHER]
    plots.plt.close(ax.figure)


def test_a_grid_marks_each_cell_by_teacher_and_student_also_those_of_an_alpha(panel):
    table = panel.study.students("cnn-8", "cnn-4")
    ax = figures.grid(table.assign(teacher=table.teacher.replace("robust", "0.5")))
    cells = results.cell_statistics(table)
    assert len(ax.containers) == len(cells)
    for own, cell in zip(ax.containers, cells.itertuples(), strict=True):
        assert own[0].get_xydata().tolist() == [[cell.average, cell.worst]]
        style = plots.TEACHER_STYLES[cell.teacher]
        style = plots.OTHER_TEACHER if cell.teacher == "robust" else style
        assert own[0].get_color() == style["color"]
        assert own[0].get_marker() == plots.STUDENT_MARKERS.get(cell.student, ".")
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words[:3] == ["no teacher", "standard teacher", "0.5 teacher"]
    plots.plt.close(ax.figure)


def test_the_panel_draws_a_teacher_as_every_figure_does(panel):
    (plane,) = (ax for ax in panel.figure().axes if "worst" in ax.get_ylabel())
    for line in plane.lines:
        for teacher, words in plots.TEACHER_WORDS.items():
            if line.get_label() == words:
                style = plots.TEACHER_STYLES[teacher]
                assert (line.get_color(), line.get_linestyle()) == (
                    style["color"],
                    style["linestyle"],
                )
                assert line.get_marker() in ("", style["marker"])


def test_estimates_marks_the_mean_of_each_estimator():
    draws = {"a": torch.tensor([[0.0, 1.0], [1.0, 2.0]]), "b": torch.ones(2, 2)}
    ax = figures.estimates([0.4, 1.4], draws, ["x", "y"], [5, 1])
    assert [line.get_ydata().tolist() for line in ax.get_lines()] == [[0.5, 1.5], [1.0, 1.0]]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["x\n5", "y\n1"]
    plots.plt.close(ax.figure)


def test_students_of_a_pair_and_those_without_a_teacher(folder):
    study = results.read(folder)
    rows = study.students("cnn-4", "cnn-4", "one-hot")
    assert len(rows) == 2 * (2 + 1) * 4
    assert set(rows.teacher_network) == {"none", "cnn-4"}
    assert set(rows.heldout_labels) == {"one-hot"}
