"""The panels by their traits, with no kernel: state in, HTML and PNG out.

``png_size`` reads the picture's size from its first bytes. `Small` is the cheapest panel there is.
"""

import re
import struct

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.axis import Axis
from matplotlib.legend import Legend

from rdlite.objectives import ROBUST
from rdlite.panels import ClassWeightPanel, PlanePanel, TeacherPanel
from rdlite.panels.base import REMEMBERED, Panel, dropdown, slider
from rdlite.panels.drawing import class_table
from rdlite.panels.plane import ALPHAS
from rdlite.theory import Population, add_noise, bias, temper
from rdlite.theory.mixture import GaussianMixture
from rdlite.theory.students import train_students
from rdlite.theory.teachers import STRENGTHS


class Small(Panel):
    """Squares a number; refuses 13."""

    def __init__(self):
        self.computed = []
        controls = {
            "x": slider("x", range(120), 2),
            "sign": dropdown("sign", {"plus": "+", "minus": "-"}, "plus"),
        }
        super().__init__(controls, size=(120, 60))

    def compute(self, state):
        self.computed.append(state)
        if state["x"] == 13:
            raise ArithmeticError("no <thirteen>")
        return state["x"] ** 2 * (1 if state["sign"] == "plus" else -1)

    def describe(self, result):
        return f"{result}"

    def draw(self, figure, result):
        figure.add_artist(plt.Line2D([0, 1], [0, result / 120**2]))


def png_size(data):
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


def shown(panel):
    return panel.numbers.value, panel.picture.value


def scores(m=3, n=300, seed=0):
    """Logits and labels of a scorer that favours the first classes, and all labels present."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % m
    noise = 2 * torch.randn(n, m, generator=generator)
    return noise + 2 * torch.eye(m)[labels] - torch.arange(m), labels


def weight_panel(names=("cat", "dog", "owl"), **changes):
    logits, labels = scores(len(names))
    counts = [100, 50, 10, *range(9, 30)][: len(names)]
    return ClassWeightPanel(
        **{"logits": logits, "labels": labels, "class_names": names, "class_counts": counts}
        | changes
    )


MAKERS = {
    "plane": PlanePanel,
    "teacher": TeacherPanel,
    "weights": weight_panel,
    "weights on the plane": ClassWeightPanel.on_plane,
}


@pytest.fixture(scope="module")
def made():
    """One panel of each kind; every test leaves them as they were."""
    return {name: make() for name, make in MAKERS.items()}


# What every panel does


@pytest.mark.parametrize("name", MAKERS)
def test_the_first_state_shows_numbers_and_a_png_of_the_stated_size(made, name):
    panel = made[name]
    assert png_size(panel.picture.value) == panel.size
    assert panel.picture.format == "png"
    assert "<table>" in panel.numbers.value and "★" in panel.numbers.value
    assert "alert" not in panel.numbers.value and "nan" not in panel.numbers.value


CONTROLS = [
    ("plane", {"teacher": "temperature"}, {"imbalance": 1}),
    ("plane", {}, {"teacher": "noise"}),
    ("plane", {"teacher": "rare"}, {"strength": 0.25}),
    ("plane", {}, {"alpha": 0.0}),
    ("teacher", {}, {"population": "plane"}),
    ("teacher", {}, {"teacher": "temperature"}),
    ("teacher", {}, {"strength": 0.5}),
    ("weights", {}, {"cat": 0.1}),
    ("weights", {}, {"dog": 0.1}),
    ("weights", {}, {"owl": 0.1}),
    ("weights on the plane", {}, {"left": 0.1}),
    ("weights on the plane", {}, {"right": 0.1}),
    ("weights on the plane", {}, {"top": 0.1}),
]


CHEAP = {
    "plane": "alpha",
    "teacher": "strength",
    "weights": "cat",
    "weights on the plane": "left",
}  # a control that answers from results at hand


@pytest.mark.parametrize(("name", "start", "change"), CONTROLS)
def test_every_control_changes_the_numbers_and_the_picture_and_reset_brings_them_back(
    made, name, start, change
):
    panel = made[name]
    first = shown(panel)
    panel.state = start
    before, (control,) = shown(panel), change
    panel.controls[control].value = change[control]  # as the browser would
    assert panel.state[control] == change[control]
    assert shown(panel)[0] != before[0]
    assert shown(panel)[1] != before[1]
    panel.reset_button.click()
    assert panel.state == panel.default and shown(panel) == first


def test_the_table_of_controls_is_complete(made):
    covered = {(name, control) for name, _, change in CONTROLS for control in change}
    assert covered == {(name, control) for name, panel in made.items() for control in panel.state}


@pytest.mark.parametrize("name", MAKERS)
def test_state_makes_a_round_trip(made, name):
    panel = made[name]
    old, before = panel.state, shown(panel)
    moved = {key: control.options[0][1] for key, control in panel.controls.items()}
    panel.state = moved
    assert panel.state == moved != old
    panel.state = old
    assert panel.state == old and shown(panel) == before


def test_a_part_of_the_state_can_be_set_and_is_drawn_once():
    panel = Small()
    panel.computed.clear()
    panel.state = {"x": 5, "sign": "minus"}
    assert panel.computed == [{"x": 5, "sign": "minus"}]
    panel.state = {"x": 6}
    assert panel.state == {"x": 6, "sign": "minus"} and panel.numbers.value == "-36"


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"y": 1}, "'x', 'sign', got 'y'"),
        ({"x": 120}, r"x must be a number in \[0, 119\], got 120"),
        ({"x": -0.1}, "x must be a number"),
        ({"x": "2"}, "x must be a number"),
        ({"x": True}, "x must be a number"),
        ({"x": float("nan")}, "x must be a number"),
        ({"sign": "minsu"}, "sign must be one of .* did you mean 'minus'"),
        ({"sign": []}, "sign must be one of"),
        ([("x", 1)], "state must be a dict"),
        ({"x": 7, "sign": "?"}, "sign must be one of"),
    ],
)
def test_a_bad_state_is_named_and_sets_nothing(state, message):
    panel = Small()
    before = panel.state, *shown(panel)
    with pytest.raises(ValueError, match=message):
        panel.state = state
    assert (panel.state, *shown(panel)) == before


def test_a_number_snaps_to_the_grid():
    panel = Small()
    panel.state = {"x": 6.6}
    assert panel.state["x"] == 7 and panel.numbers.value == "49"
    plane = np.array(ClassWeightPanel.GRID)
    assert plane[0] == 0.001 and plane[-1] == 1 and (plane[1:] / plane[:-1] < 1.05).all()


def test_an_error_of_compute_is_shown_escaped_and_goes_away():
    panel = Small()
    panel.controls["x"].value = 13
    assert 'role="alert"' in panel.numbers.value
    assert "<b>ArithmeticError</b>: no &lt;thirteen&gt;" in panel.numbers.value
    assert panel.picture.value == b"" and panel.picture.layout.display == "none"
    with pytest.raises(ArithmeticError):
        panel.figure()
    panel.controls["x"].value = 3
    assert panel.numbers.value == "9" and png_size(panel.picture.value) == (120, 60)
    assert panel.picture.layout.display is None


def test_an_error_of_drawing_is_shown_too():
    class Torn(Small):
        def draw(self, figure, result):
            raise RuntimeError("torn")

    assert "<b>RuntimeError</b>: torn" in Torn().numbers.value


def test_a_hundred_moves_leave_no_open_figure_and_a_bounded_memory():
    panel, before = Small(), plt.get_fignums()
    for x in range(20, 120):
        panel.controls["x"].value = x
    assert plt.get_fignums() == before
    assert len(panel._results) == REMEMBERED
    assert panel.numbers.value == str(119**2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plane", "teacher", "weights on the plane"])
def test_a_long_session_has_bounded_memory_and_artists_and_no_open_figure(made, name):
    panel, random = made[name], np.random.default_rng(0)

    def sizes():
        _, figure, _, _ = panel._kept
        return [len(ax.get_children()) for ax in figure.axes] + [len(figure.texts)]

    before = sizes()
    for move in range(60):
        for key in panel.state if move % 20 == 0 else [CHEAP[name]]:
            options = panel.controls[key].options
            panel.controls[key].value = options[random.integers(len(options))][1]
            assert panel.picture.value
    panel.reset()
    assert len(panel._results) <= REMEMBERED
    assert sizes() == before
    assert plt.get_fignums() == []


def test_a_state_seen_before_is_not_computed_again():
    panel = Small()
    for x in (3, 4, 3, 4):
        panel.state = {"x": x}
    assert [state["x"] for state in panel.computed] == [2, 3, 4]


@pytest.mark.parametrize("name", MAKERS)
def test_figures_are_unknown_to_pyplot_and_show_the_present_picture(made, name):
    panel, before = made[name], plt.get_fignums()
    figure = panel.figure()
    assert plt.get_fignums() == before
    assert figure is not panel.figure()
    assert figure._repr_png_() == panel.picture.value
    assert " at 0x" not in repr(figure)


@pytest.mark.parametrize(("name", "start", "change"), CONTROLS)
def test_a_moved_picture_is_to_the_pixel_the_one_drawn_afresh(made, name, start, change):
    panel = made[name]
    panel.state = start
    panel.state = change
    assert panel.figure()._repr_png_() == panel.picture.value
    panel.reset()


@pytest.mark.parametrize("name", CHEAP)
def test_where_only_what_moves_is_drawn_axes_and_legends_are_not(made, name, monkeypatch):
    panel, drawn = made[name], []
    values = [value for _, value in panel.controls[CHEAP[name]].options]
    panel.forget()  # pictures of earlier tests
    panel.refresh()
    monkeypatch.setattr(Legend, "draw", lambda *_: drawn.append("legend"))
    monkeypatch.setattr(Axis, "draw", lambda *_, **__: drawn.append("axis"))
    panel.controls[CHEAP[name]].value = values[1]
    assert panel.state[CHEAP[name]] == values[1] != panel.default[CHEAP[name]] and not drawn
    panel.reset()


def test_a_panel_may_be_drawn_afresh_every_time():
    panel, other = Small(), Small()  # its `draw` returns None
    for x in (50, 90):
        panel.state = other.state = {"x": x}
        assert panel.picture.value == panel.figure()._repr_png_() == other.picture.value


def test_after_forgetting_nothing_of_the_old_picture_is_left():
    panel = weight_panel()
    before = panel.picture.value
    panel.class_counts = [7, 7, 7]  # written under the axis, which stays in every move
    panel.forget()
    panel.refresh()
    assert before != panel.picture.value == panel.figure()._repr_png_()


def test_an_error_between_two_pictures_leaves_no_trace():
    panel = weight_panel()
    panel.state = {"cat": 0.5}
    expected = shown(panel)
    panel.reset()
    panel._results.clear()
    panel.compute, compute = lambda state: 1 / 0, panel.compute
    panel.state = {"cat": 0.1}
    assert "ZeroDivisionError" in panel.numbers.value
    panel.compute = compute
    panel.state = {"cat": 0.5}
    assert shown(panel) == expected


@pytest.mark.parametrize("name", MAKERS)
def test_nothing_written_in_a_figure_leaves_it(made, name):
    panel = made[name]
    figure = panel.figure()
    renderer = figure.canvas.get_renderer()
    figure.draw(renderer)
    width, height = panel.size
    for ax in figure.axes:
        box = ax.get_tightbbox(renderer)
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
    title = figure._suptitle.get_window_extent(renderer)
    assert title.x0 >= 0 and title.x1 <= width
    assert not any(title.overlaps(ax.get_tightbbox(renderer)) for ax in figure.axes)


@pytest.mark.parametrize("name", MAKERS)
def test_repr_is_the_state_and_nothing_else(made, name):
    panel = made[name]
    assert repr(panel) == f"{type(panel).__name__}({panel.state!r})"
    assert not re.search(r" at 0x|IPY_MODEL|[0-9a-f]{8}", repr(panel))


def test_two_panels_do_not_disturb_each_other(made):
    one, other = weight_panel(), weight_panel()
    before = other.state, *shown(other)
    one.state = {"owl": 0.01}
    one.logits[:] = torch.nan
    one.state = {"owl": 0.5}
    assert (other.state, *shown(other)) == before
    other.state = {"owl": 0.5}
    assert "alert" in one.numbers.value and "alert" not in other.numbers.value


def test_labels_have_room(made):
    for panel in made.values():
        longest = max(len(control.description) for control in panel.controls.values())
        for control in panel.controls.values():
            assert control.style.description_width == f"{longest + 1}ch"
            assert getattr(control, "continuous_update", False) is False


def test_a_table_escapes_every_cell():
    text = class_table({"<i>": ["<b>", "&"]}, worst=1)
    assert "&lt;i&gt;" in text and "&lt;b&gt;" in text and "<b>&amp; ★</b>" in text


# PlanePanel


def test_the_plane_shows_the_true_accuracies_and_risks_of_the_networks(made):
    panel = made["plane"]
    trained, chosen = panel.compute({**panel.default, "imbalance": 5, "alpha": 0.4})
    assert chosen == 4
    mixture = GaussianMixture.three_classes(5)
    points, _ = mixture.sample(600, 0)
    heldout, _ = mixture.sample(400, 1)
    shown = points, mixture.eta(points), heldout, mixture.eta(heldout)
    students = train_students(*shown, ALPHAS, anchor="standard")
    grid, population = mixture.on_grid(80)
    scorer = students.logits(grid)[4]
    weights, eta = population.weights.numpy(), population.eta.numpy()
    predicted = scorer.argmax(1).numpy()
    for y in range(3):
        mass = weights * eta[:, y]
        accuracy = mass[predicted == y].sum() / mass.sum()
        assert abs(float(trained.accuracy[4, y]) - accuracy) < 1e-9
    assert torch.allclose(trained.risks[4], population.class_risks(scorer))


def test_the_plane_panel_keeps_its_claim(made):
    trained, _ = made["plane"].result()
    assert float(trained.accuracy[-1].min()) > float(trained.accuracy[0].min()) + 0.3


def test_strength_waits_for_a_distorted_teacher(made):
    panel, before = made["plane"], shown(made["plane"])
    assert panel.controls["strength"].disabled
    panel.state = {"strength": 0.25}
    assert shown(panel) == before
    panel.state = {"teacher": "rare"}
    assert not panel.controls["strength"].disabled
    panel.reset()


def test_a_teacher_that_the_computation_refuses_is_reported(monkeypatch):
    monkeypatch.setattr("rdlite.panels.teacher.distort", lambda p, *_: p * 2)
    panel = TeacherPanel()
    panel.state = {"teacher": "noise"}
    assert 'role="alert"' in panel.numbers.value
    assert "<b>ValueError</b>: targets must have non-negative rows" in panel.numbers.value


# TeacherPanel


@pytest.mark.parametrize(
    ("kind", "strength"),
    [("balanced", 1.0), ("robust", 1.0), ("rare", 0.75), ("temperature", 0.5), ("noise", 1.5)],
)
@pytest.mark.parametrize("name", ["random", "plane"])
def test_teacher_numbers_are_those_of_theory(made, name, kind, strength):
    if name == "random":
        population = Population.random(40, 4)
    else:
        population = GaussianMixture.three_classes().on_grid(20)[1]
    eta, prior = population.eta, population.prior
    best, multipliers = population.solve(ROBUST, loss_bound=6.0)
    p = {
        "balanced": lambda: bias(eta, 1 / prior),
        "robust": lambda: bias(eta, multipliers / prior),
        "rare": lambda: bias(eta, (0.75 * (prior == prior.min()).double()).exp()),
        "temperature": lambda: temper(eta, float(np.exp(0.5))),
        "noise": lambda: add_noise(eta, 1.5),
    }[kind]()
    scorer, _ = population.solve(ROBUST, p, loss_bound=6.0)
    panel = made["teacher"]
    state = {"population": name, "teacher": kind, "strength": strength}
    lowest, students, chosen = panel.compute(state)
    student = students[chosen]
    assert STRENGTHS[chosen] == strength
    assert student.gap == pytest.approx(population.teacher_gap(p), abs=1e-9)
    assert student.bound == pytest.approx(population.gap_bound(p, scorer), abs=1e-6)
    distilled, true = population.class_risks(scorer, p), population.class_risks(scorer)
    assert student.distilled == pytest.approx(float(distilled.max()), abs=1e-6)
    assert torch.allclose(student.risks, true, atol=1e-6)
    assert torch.allclose(lowest, population.class_risks(best), atol=1e-9)
    text = panel.describe((lowest, students, chosen))
    for number in (student.gap, student.bound, student.distilled, float(true.max())):
        assert f"{number:.3f}" in text


@pytest.mark.parametrize("kind", ["temperature", "rare", "noise", "balanced", "robust"])
def test_every_teacher_obeys_eq_11_and_none_beats_the_truth(made, kind):
    state = {**made["teacher"].default, "teacher": kind}
    best, students, _ = made["teacher"].compute(state)
    assert students[0].gap < 1e-9
    for student in students:
        worst = float(student.risks.max())
        assert abs(student.distilled - worst) <= student.bound + 1e-9
        assert worst >= float(best.max()) - 1e-8
    assert float(students[-1].risks.max()) > float(best.max()) + 0.05


# ClassWeightPanel


@pytest.mark.parametrize("m", [2, 5, 20])
def test_class_weight_numbers_equal_an_independent_computation(m):
    names = [f"class {k}" for k in range(m)]
    logits, labels = scores(m, n=40 * m, seed=m)
    panel = ClassWeightPanel(logits, labels, names, range(1, m + 1))
    random = np.random.default_rng(m)
    panel.state = {name: float(random.choice(panel.GRID)) for name in names}
    c = np.array([panel.state[name] for name in names])
    result = panel.result()
    f = logits.double().numpy()
    exp = np.exp(f) * c  # eq. (5): c times the probability, up to each row's constant
    for k in range(m):
        rows = labels.numpy() == k
        assert result.after[k] == pytest.approx((exp[rows].argmax(1) == k).mean(), abs=1e-12)
        assert result.before[k] == pytest.approx((f[rows].argmax(1) == k).mean(), abs=1e-12)
    np.testing.assert_allclose(result.weights, c / c.sum(), rtol=1e-12)
    assert result.weights.sum() == pytest.approx(1, abs=1e-12)
    assert np.abs(result.after - result.before).max() > 0.05
    for k, name in enumerate(names):
        assert panel.controls[name].description == f"{name} {result.weights[k]:.3f}"
    worst = int(result.after.argmin())
    assert f"average accuracy {result.after.mean():.3f}" in panel.numbers.value
    assert f"worst {result.after.min():.3f} ({names[worst]} ★)" in panel.numbers.value


@pytest.mark.parametrize("level", [1.0, 0.1, 0.001])
def test_equal_weights_change_nothing(level):
    panel = weight_panel()
    panel.state = dict.fromkeys(panel.state, level)
    result = panel.result()
    np.testing.assert_array_equal(result.before, result.after)
    np.testing.assert_allclose(result.weights, 1 / 3, rtol=1e-12)


def test_only_ratios_of_the_weights_matter():
    panel = weight_panel()
    panel.state = {"cat": 1.0, "dog": 0.1, "owl": 0.01}
    high = panel.result()
    panel.state = {"cat": 0.1, "dog": 0.01, "owl": 0.001}
    np.testing.assert_array_equal(panel.result().after, high.after)
    np.testing.assert_allclose(panel.result().weights, high.weights, rtol=1e-9)


def test_presets_set_the_weights_they_name_and_the_choice_follows_the_sliders():
    panel = weight_panel(learned=[0.5, 2.0, 1.0])
    assert panel.preset.value == "uniform"
    expected = {
        "inverse prior": np.array([0.1, 0.2, 1.0]),
        "learned": np.array([0.25, 1.0, 0.5]),
        "one class: dog": np.array([0.001, 1.0, 0.001]),
        "uniform": np.ones(3),
    }
    for name, weights in expected.items():
        panel.preset.value = name  # as the browser would
        got = np.array(list(panel.state.values()))
        np.testing.assert_allclose(got, weights, rtol=0.025)
        assert panel.preset.value == name
    panel.state = {"cat": 0.3}
    assert panel.preset.value == "custom"
    panel.preset.value = "custom"
    assert panel.state["cat"] == pytest.approx(0.3, rel=0.03)
    panel.reset()
    assert panel.preset.value == "uniform"
    with pytest.raises(ValueError, match=r"preset must be one of .* did you mean 'learned'"):
        panel.choose("lerned")
    assert "learned" not in weight_panel().presets


def test_one_class_alone_is_predicted_nearly_always():
    panel = weight_panel()
    panel.choose("one class: owl")
    after = panel.result().after
    assert after[2] > 0.9 and after[:2].max() < 0.2


def test_nan_logits_are_reported_in_the_panel_and_the_panel_recovers():
    panel = weight_panel()
    saved = panel.logits.clone()
    panel.logits[4, 1] = torch.nan
    panel.state = {"cat": 0.5}
    assert 'role="alert"' in panel.numbers.value
    assert "ValueError</b>: logits must be finite, got 1 NaN" in panel.numbers.value
    panel.logits = saved
    panel.state = {"cat": 0.5}
    assert "alert" not in panel.numbers.value and png_size(panel.picture.value) == panel.size


def test_a_class_name_cannot_bring_markup_or_a_formula():
    panel = weight_panel(("<script>alert(1)</script>", "$\\frac", "a & b"))
    assert "<script" not in panel.numbers.value and "&lt;script&gt;" in panel.numbers.value
    assert "a &amp; b" in panel.numbers.value
    assert png_size(panel.picture.value) == panel.size
    assert not any(
        getattr(control, "description_allow_html", False) for control in panel.controls.values()
    )


def test_twenty_long_names_fit():
    panel = weight_panel([f"a long name of class {k}" for k in range(20)])
    figure = panel.figure()
    box = figure.axes[0].get_tightbbox(figure.canvas.get_renderer())
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= panel.size[0]


def test_the_panel_keeps_its_own_copy_of_the_logits():
    logits, labels = scores()
    panel = weight_panel(logits=logits, labels=labels)
    expected = panel.result().before
    logits.zero_()
    panel.state = {"cat": 0.5}
    np.testing.assert_array_equal(panel.result().before, expected)


def test_on_the_plane_the_learned_weights_lift_the_worst_class(made):
    panel = made["weights on the plane"]
    before = panel.result().before
    after = panel.compute(panel.presets["learned"]).after
    assert after.min() > before.min() + 0.4
    assert len(panel.figure().axes) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"logits": torch.zeros(300, 4)}, r"logits must have shape \(n, 3\)"),
        ({"logits": torch.full((300, 3), torch.inf)}, "logits must be finite"),
        ({"labels": torch.zeros(300, dtype=torch.int64)}, "labels must have an image of every"),
        ({"labels": torch.zeros(7, dtype=torch.int64)}, "labels must both have shape"),
        ({"class_names": ["a", "a", "b"]}, "class_names must differ"),
        ({"class_names": ["a"]}, "class_names must be a whole number of at least 2"),
        ({"class_counts": [1, 2]}, r"class_counts must have shape \(3,\)"),
        ({"class_counts": [1, 0, 2]}, "class_counts must be above 0"),
        ({"learned": [1.0, 2.0]}, r"learned must have shape \(3,\)"),
        ({"learned": [1.0, -2.0, 1.0]}, "learned must be above 0"),
    ],
)
def test_a_bad_argument_is_named(changes, message):
    logits, labels = scores()
    arguments = {
        "logits": logits,
        "labels": labels,
        "class_names": ["a", "b", "c"],
        "class_counts": [3, 2, 1],
    }
    with pytest.raises(ValueError, match=message):
        ClassWeightPanel(**arguments | changes)
