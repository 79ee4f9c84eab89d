"""rdlite.theory.figures: an axes in, the same axes out, and what points and lines show."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from rdlite.objectives import BALANCED, ROBUST, STANDARD
from rdlite.plots import BLUE, PURPLE, TEACHER_STYLES
from rdlite.theory import Population, add_noise, bias, figures, hedge_curve, temper
from rdlite.theory.mixture import GaussianMixture

OBJECTIVES = {"standard": STANDARD, "balanced": BALANCED, "robust": ROBUST}


@pytest.fixture
def ax():
    return plt.subplots()[1]


@pytest.fixture(scope="module")
def population():
    return Population.random(12, 3)


@pytest.fixture(scope="module")
def risks(population):
    """Class risks of the exact optimum of each objective."""
    return {
        name: population.class_risks(population.solve(objective)[0])
        for name, objective in OBJECTIVES.items()
    }


def words(texts):
    return [text.get_text() for text in texts]


def labelled(ax):
    """Lines and clouds of points that are in the legend, by their label."""
    artists = [*ax.lines, *ax.collections]
    return {a.get_label(): a for a in artists if not a.get_label().startswith("_")}


def look(line):
    """Colour, marker and dashes, as a row of `rdlite.plots.TEACHER_STYLES`."""
    return {key: plt.getp(line, key) for key in ("color", "marker", "linestyle")}


def offsets(cloud):
    return np.asarray(cloud.get_offsets())


def test_samples_are_those_of_the_mixture_with_centres_and_spreads(ax):
    mixture = GaussianMixture.three_classes(scale=0.5)
    assert figures.samples(mixture, 200, seed=3, ax=ax) is ax
    points, labels = mixture.sample(200, 3)
    for y, cloud in enumerate(ax.collections):
        np.testing.assert_allclose(offsets(cloud), points[labels == y])
        assert cloud.get_label() == f"class {y}: prior {mixture.prior[y]:.3f}"
    assert [circle.radius for circle in ax.patches] == [0.5] * 3
    assert [line.get_xydata()[0].tolist() for line in ax.lines] == mixture.means.tolist()


def test_class_risks_ring_the_worst_class_of_each_objective_but_not_of_equal_risks(risks, ax):
    assert figures.class_risks(risks, ax) is ax
    lines = {label.split(":")[0]: line for label, line in labelled(ax).items()}
    assert list(lines) == list(risks)
    for name, values in risks.items():
        np.testing.assert_allclose(lines[name].get_ydata(), values)
        assert lines[name].get_label() == f"{name}: worst {values.max():.2f}"
        assert look(lines[name]) == TEACHER_STYLES[name]
    rings = [line for line in ax.lines if line.get_label().startswith("_")]
    wanted = [[int(risks[k].argmax()), float(risks[k].max())] for k in ("standard", "balanced")]
    assert [ring.get_xydata()[0].tolist() for ring in rings] == wanted
    assert ax.get_ylim()[0] == 0 and words(ax.get_xticklabels()) == [
        "class 0",
        "class 1",
        "class 2",
    ]


def test_regret_shows_measured_gaps_below_the_bound_of_eq_9(population, ax):
    rounds = [1, 4, 16]
    curves = [hedge_curve(population, ROBUST, k) for k in rounds]
    gaps, bounds = [c.gap[-1].item() for c in curves], [c.bound[-1].item() for c in curves]
    assert figures.regret(rounds, gaps, bounds, ax) is ax
    assert ax.get_xscale() == ax.get_yscale() == "log"
    allowed, measured = ax.lines
    assert allowed.get_ydata().tolist() == bounds and "eq. (9)" in allowed.get_label()
    assert measured.get_ydata().tolist() == gaps
    assert (measured.get_ydata() <= allowed.get_ydata()).all()
    assert ax.get_xlim()[0] == 1 and ax.get_ylim()[1] == 2 * max(bounds)


def test_own_and_student_join_the_two_risks_of_each_teacher_with_labels_apart(ax):
    own = {"standard": 2.0, "balanced": 1.0, "robust": 0.99}
    student = {"standard": 1.0, "balanced": 1.2, "robust": 1.21}
    assert figures.own_and_student(own, student, ax) is ax
    for name, line in zip(own, ax.lines, strict=True):
        assert line.get_ydata().tolist() == [own[name], student[name]]
        assert look(line) == TEACHER_STYLES[name]
    for align, values in (("right", own), ("left", student)):
        labels = [text for text in ax.texts if text.get_ha() == align]
        assert {text.get_text() for text in labels} == {f"{k} {v:.2f}" for k, v in values.items()}
        heights = sorted(text.xy[1] for text in labels)
        assert np.diff(heights).min() >= 0.05 * 2.0 - 1e-9
    assert ax.get_ylim()[0] == 0


def test_profiles_are_ratios_to_the_marginal_and_eta_lies_on_the_diagonal(population, ax):
    eta, weights, y = population.eta, population.weights, 2
    teachers = {"standard": eta, "robust": bias(eta, torch.tensor([1.0, 2.0, 9.0]))}
    assert figures.profiles(eta, weights, teachers, y, ax) is ax
    true = eta[:, y] / population.prior[y]
    for name, cloud in zip(teachers, ax.collections, strict=True):
        p = teachers[name]
        np.testing.assert_allclose(offsets(cloud)[:, 0], true)
        np.testing.assert_allclose(offsets(cloud)[:, 1], p[:, y] / (weights * p[:, y]).sum())
        assert cloud.get_label() == f"{name} teacher"
        colour = matplotlib.colors.to_hex(cloud.get_facecolor()[0]).upper()
        assert colour == TEACHER_STYLES[name]["color"]
    diagonal = offsets(ax.collections[0])
    np.testing.assert_allclose(diagonal[:, 0], diagonal[:, 1])
    areas = ax.collections[0].get_sizes()
    assert areas.argmax() == weights.argmax() and ax.get_xlim()[0] == ax.get_ylim()[0] == 0


def test_bound_and_students_show_the_theory_of_each_family_of_teachers(population, ax):
    eta = population.eta
    teachers = {
        "temperature": temper(eta, 2.0),
        "bias": bias(eta, 1 / population.prior),
        "noise": add_noise(eta, 1.0, seed=0),
    }
    rows, gaps = [], []
    for family, p in teachers.items():
        f, _ = population.solve(ROBUST, p, loss_bound=3.0)
        true, seen = population.class_risks(f).max(), population.class_risks(f, p).max()
        rows.append((family, population.gap_bound(p, f), float((seen - true).abs())))
        gaps.append((family, population.teacher_gap(p), float(true)))

    assert figures.bound(rows, ax) is ax
    clouds, top = labelled(ax), 1.05 * max(limit for _, limit, _ in rows)
    for family, limit, difference in rows:
        assert offsets(clouds[family]).tolist() == [[limit, difference]]
        assert difference <= limit  # below the diagonal, outside the forbidden part
    assert ax.lines[0].get_xydata().tolist() == [[0, 0], [top, top]]
    assert ax.get_xlim() == ax.get_ylim() == (0, top)
    assert "forbidden by eq. (11)" in words(ax.texts)

    best = float(population.class_risks(population.solve(ROBUST, loss_bound=3.0)[0]).max())
    other = plt.subplots()[1]
    assert figures.students(gaps, best, other) is other
    clouds = labelled(other)
    for family, gap, risk in gaps:
        assert offsets(clouds[family]).tolist() == [[gap, risk]]
        assert risk >= best
    assert set(other.lines[0].get_ydata()) == {best} and other.get_xlim()[0] == 0


def test_seen_and_hidden_names_every_teacher_at_its_place_and_marks_the_prior(ax):
    seen, hidden = {"eta": 0.01, "prior": 0.0, "noisy": 0.2}, {"eta": 0.0, "prior": 1.5, "noisy": 1}
    assert figures.seen_and_hidden(seen, hidden, ax) is ax
    places = [[seen[name], hidden[name]] for name in seen]
    assert [line.get_xydata()[0].tolist() for line in ax.lines] == places
    assert [list(text.xy) for text in ax.texts] == places and words(ax.texts) == list(seen)
    assert [line.get_color() for line in ax.lines] == [BLUE, PURPLE, BLUE]
    assert len({line.get_marker() for line in ax.lines}) == 3
    assert ax.get_xlim()[1] > 0.2 and ax.get_ylim()[1] > 1.5


def test_reliability_is_the_share_of_a_label_in_each_bin_that_is_full(ax):
    given = torch.tensor([0.14, 0.83]).repeat_interleave(60)
    given[-15:] = 0.35  # a bin of 15 samples is left out
    labels = torch.cat([torch.arange(60) < 6, torch.arange(45) < 36, torch.ones(15)]).long()
    p = torch.stack([1 - given, given], 1).double()
    assert figures.reliability({"robust": p}, labels, y=1, ax=ax) is ax
    line = labelled(ax)["robust teacher"]
    np.testing.assert_allclose(line.get_xydata(), [[0.14, 0.1]], rtol=1e-6)
    assert look(line) == TEACHER_STYLES["robust"]
    diagonal = labelled(ax)["calibrated"]
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert ax.get_xlim() == ax.get_ylim() == (0, 1)

    few = figures.reliability({"robust": p}, labels, 1, bins=2)  # 45 in the upper half: too few
    ((low, share),) = labelled(few)["robust teacher"].get_xydata()
    assert low == pytest.approx((60 * 0.14 + 15 * 0.35) / 75) and share == pytest.approx(21 / 75)


def test_a_new_figure_is_made_where_no_axes_come(risks):
    assert figures.class_risks(risks).figure is not None
    assert figures.own_and_student({"robust": 1.0}, {"robust": 1.1}).figure is not None
