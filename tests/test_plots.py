"""rdlite.plots: what the pictures show, on the axes given, and that each thing has one look."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from rdlite import plots
from rdlite.data import Split
from rdlite.metrics import summary


@pytest.fixture
def ax():
    return plt.subplots()[1]


def words(axis):
    return [label.get_text() for label in axis]


def test_examples_show_each_class_in_its_row(long_tail, ax):
    train = long_tail.train
    assert plots.examples(train, per_class=12, ax=ax) is ax
    picture = ax.images[0].get_array()
    assert picture.shape == (140, 12 * 14)
    second_bag = train.images[train.labels == 8][1, 0].numpy()
    assert np.array_equal(picture[8 * 14 : 9 * 14, 14:28], 255 - second_bag)
    assert words(ax.get_yticklabels())[::9] == ["T-shirt (100)", "Ankle boot (10)"]
    assert np.array_equal(picture[9 * 14 :, 10 * 14 :], np.full((14, 28), 255))  # only 10 boots


def test_examples_of_photographs_are_shown_in_their_colours(ax):
    images = torch.randint(256, (3, 3, 4, 4), dtype=torch.uint8)
    plots.examples(Split(images, torch.tensor([0, 1, 1]), ("a", "b")), 2, ax)
    picture = np.asarray(ax.images[0].get_array())
    assert np.array_equal(picture[:4, :4], images[0].permute(1, 2, 0))
    assert np.array_equal(picture[4:, 4:], images[2].permute(1, 2, 0))
    assert (picture[:4, 4:] == 255).all(), "one image of a"


def test_the_worst_of_a_legend_is_that_of_the_tables(ax):
    """The mean of each run's worst class, 0.2 and 0.4; the lowest bar, 0.5, has the star."""
    runs = [[0.2, 0.9, 0.9], [0.8, 0.4, 0.9]]
    assert plots.class_bars({"net": runs}, ["a", "b", "c"], ax=ax) is ax
    assert words(ax.get_legend().get_texts()) == ["net: average 0.68, worst 0.30"]
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([0.5, 0.65, 0.9])
    (star,) = ax.texts
    assert star.get_position()[0] == 0


def test_a_gallery_has_a_caption_under_each_picture(splits, ax):
    images = splits.test.images[:3]
    assert plots.gallery(images, ["a", "b", "c"], ax) is ax
    assert words(ax.get_xticklabels()) == ["a", "b", "c"]
    for i, x in enumerate(ax.get_xticks()):
        part = ax.images[0].get_array()[:, round(x - 6.5) : round(x + 7.5)]
        assert np.array_equal(part, 255 - images[i, 0].numpy())


def test_predictions_of_a_class_are_shares_of_its_own_images(ax):
    labels = torch.tensor([0, 0, 0, 0, 1])
    logits = torch.eye(3)[[0, 1, 1, 2, 1]]
    result = plots.predictions_of_class({"net": logits}, labels, 0, ["a", "b", "c"], ax)
    assert result is ax and ax.get_ylim() == (0, 1)
    assert [bar.get_height() for bar in ax.patches] == [0.25, 0.5, 0.25]
    assert [label.get_weight() for label in ax.get_xticklabels()] == ["bold", "normal", "normal"]
    assert ax.get_ylabel() == "share of the images of a"


def test_runs_mark_average_and_worst_with_their_intervals(ax):
    labels = torch.arange(2).repeat_interleave(50)
    logits = torch.eye(2)[torch.cat([torch.zeros(80), torch.ones(20)]).long()]
    result = summary(logits, labels, bootstrap=100)
    assert plots.runs({"a": [result, result], "b": [result]}, floor=0.6, ax=ax) is ax
    assert words(ax.get_xticklabels()) == ["a", "b"] and ax.get_ylim() == (0, 1)
    labelled = {line.get_label(): line for line in ax.lines if line.get_label()[0] != "_"}
    assert labelled["average"].get_ydata().tolist() == [0.7, 0.7]
    assert labelled["worst class"].get_ydata().tolist() == [0.4, 0.4]
    assert set(labelled["floor: worst class if all were equal"].get_ydata()) == {0.6}
    ends = ax.collections[1].get_segments()[0][:, 1]
    assert ends.tolist() == pytest.approx(result["intervals"]["worst"])


def test_logarithmic_lines_name_every_x(ax):
    values = {"a": [1, 2], "b": [2, 4]}
    result = plots.lines([1, 4], values, xlabel="T", ylabel="y", log=True, ax=ax)
    assert result is ax and ax.get_xscale() == ax.get_yscale() == "log"
    assert words(ax.get_xticklabels()) == ["1", "4"] and words(ax.get_legend().texts) == ["a", "b"]
    assert [line.get_ydata().tolist() for line in ax.lines] == [[1, 2], [2, 4]]


def test_lines_differ_in_colour_and_dashes(ax):
    values = {"a": [1, 2], "b": [2, 4], "c": [0, 1]}
    result = plots.lines([1, 4], values, xlabel="T", ylabel="y", marked=True, ax=ax)
    assert result is ax and words(ax.get_legend().texts) == ["a", "b", "c"]
    assert [line.get_ydata().tolist() for line in ax.lines] == [[1, 2], [2, 4], [0, 1]]
    for look in ("color", "linestyle", "marker"):
        assert len({plt.getp(line, look) for line in ax.lines}) == 3
    bare = plots.lines([1, 4], values, xlabel="T", ylabel="y")
    assert {line.get_marker() for line in bare.lines} == {""}


@pytest.mark.parametrize("draw", [plots.lines, plots.shares_of_classes])
def test_ten_names_have_ten_colours_and_all_are_shown(ax, draw):
    values = {f"name {k}": [0.1 * k, 0.05 * k] for k in range(10)}
    words_of_axes = {"xlabel": "x", "ylabel": "y"} if draw is plots.lines else {}
    places = ([0, 1], values) if draw is plots.lines else (values, ["a", "b"])
    draw(*places, **words_of_axes, ax=ax)
    assert words(ax.get_legend().texts) == list(values)
    drawn = ax.lines if draw is plots.lines else [bars[0] for bars in ax.containers]
    looks = [plt.getp(one, "color" if draw is plots.lines else "facecolor") for one in drawn]
    assert len({tuple(look) for look in looks}) == 10


def test_class_curves_are_a_line_a_class_over_the_rounds(ax):
    values = np.array([[0.5, 0.3, 0.2], [0.6, 0.3, 0.1]])
    assert plots.class_curves(values, ["a", "b", "c"], ylabel="multiplier", ax=ax) is ax
    for line, name, column in zip(ax.lines, "abc", values.T, strict=True):
        assert line.get_label() == name and line.get_xdata().tolist() == [1, 2]
        assert line.get_ydata().tolist() == column.tolist()
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == 3


def look(line):
    """Colour, marker and dashes, as a row of `plots.TEACHER_STYLES`."""
    return {key: plt.getp(line, key) for key in ("color", "marker", "linestyle")}


def test_lines_and_bars_of_teachers_have_their_looks(ax):
    """The names of all four teachers, in another order than that of the table."""
    values = {name: [0.1, 0.2] for name in ("robust", "none", "balanced", "standard")}
    plots.lines([0, 1], values, xlabel="x", ylabel="y", marked=True, ax=ax)
    for line in ax.lines:
        assert look(line) == plots.TEACHER_STYLES[line.get_label()]
    bars = plots.shares_of_classes(values, ["a", "b"], plt.subplots()[1])
    shown = [matplotlib.colors.to_hex(own[0].get_facecolor()) for own in bars.containers]
    assert shown == [plots.TEACHER_STYLES[name]["color"].lower() for name in values]


def test_no_two_teachers_share_a_colour_a_marker_or_dashes():
    for key in ("color", "marker", "linestyle"):
        assert len({style[key] for style in plots.TEACHER_STYLES.values()}) == 4
    assert plots.teacher_style("0.5") == plots.OTHER_TEACHER | {"label": "0.5 teacher"}


def test_a_new_figure_is_made_where_no_axes_come(splits):
    assert plots.examples(splits.heldout).figure is not None
    assert plots.shares_of_classes({"p": torch.ones(2) / 2}, ["a", "b"]).figure is not None
