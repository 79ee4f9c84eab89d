"""Methods along a column: gains by hand, the axis, and shipped pages that follow their tables."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
from test_report import row

from rdlite import __main__ as cli
from rdlite import plots
from rdlite.studies import results, sweep
from rdlite.studies.spec import GridSpec, recipe

SPEC = GridSpec(
    imbalance=10, head=60, heldout=12, size=14, teacher_network="cnn-8", student_network="cnn-4",
    seed=[0, 1], epochs=[2, 8], grid=[
        {"name": "no teacher", "teacher": "none", "student": "robust"},
        {"name": "robust teacher", "teacher": "robust", "student": "robust"},
        {"name": "robust teacher of 8 epochs", "teacher": "robust", "teacher_epochs": 8,
         "student": "robust"},
        {"name": "standard student", "teacher": "none", "student": "standard"},
    ],
)  # fmt: skip


@pytest.fixture
def study():
    """Worst class 0.3; with a teacher 0.1 better in seed 0 and 0.3 better in seed 1 at 8 epochs."""
    lines = []
    for run in SPEC.runs():
        better = (0.1 + 0.2 * run.seed) * (run.teacher is not None and run.config.epochs == 8)
        entropy = 0.0 if run.teacher is None else 0.5 + 0.1 * run.seed
        measured = {"train_accuracy": 0.9, "label_entropy": entropy, "heldout_label_entropy": 0.6}
        lines.append(row(run, 0.3 + better, **measured))
    return results.Results(SPEC, pd.DataFrame(lines), ("a", "b"), ((2, 1),), ((5, 5),))


def test_gains_are_taken_seed_by_seed_at_the_same_place(study):
    shown = sweep.table(study, "epochs").set_index(["method", "setting"])
    taught = shown.loc["robust teacher", "epochs 8, teacher epochs 8"]
    assert taught["worst class"] == "0.500 ± 0.100"
    reach = 12.706 * 0.1
    lead = f"+0.200 [{0.2 - reach:+.3f}, {0.2 + reach:+.3f}]"
    assert taught["worst class, minus no teacher"] == lead, "t with one degree of freedom"
    early = shown.loc["robust teacher", "epochs 2, teacher epochs 2"]
    assert early["worst class, minus no teacher"] == "+0.000 [+0.000, +0.000]"
    assert (shown.loc["no teacher"]["worst class, minus no teacher"] == "").all()
    assert set(shown["train accuracy"]) == {"0.900"} and len(shown) == 8


def test_a_place_of_an_entropy_is_its_mean_and_the_only_base_serves_all(study):
    one = SPEC.but(epochs=8)
    rows = study.table[study.table.epochs == 8]
    rows = rows[rows.teacher_epochs.isna() | (rows.teacher_epochs == 8)]
    softness = dataclasses.replace(study, spec=one, table=rows)
    found = {point.name: point for point in sweep.points(softness, "label_entropy")}
    assert found["robust teacher"].at == pytest.approx(0.55)
    lead = sweep.gain(found["robust teacher"], [*found.values()], "worst")
    assert lead.mean == pytest.approx(0.2)


def test_the_figure_has_a_line_a_name_and_says_how_well_networks_fit(study):
    ax = sweep.figure(study, "epochs")
    drawn = {own.get_label(): own[0] for own in ax.containers}
    assert list(drawn) == list(SPEC.named)
    np.testing.assert_allclose(drawn["robust teacher"].get_xydata(), [[2, 0.3], [8, 0.5]])
    assert [text.get_text() for text in ax.get_xticklabels()] == ["2\n0.90", "8\n0.90"]
    style = plots.TEACHER_STYLES["robust"]
    assert {drawn[name].get_color() for name in drawn if "robust" in name} == {style["color"]}
    assert drawn["robust teacher of 8 epochs"].get_fillstyle() == "none"


def test_what_has_no_such_axis_is_refused(study, tmp_path):
    with pytest.raises(ValueError, match=r"over must be one of .*, got 'epoch'; did you mean 'epo"):
        sweep.write(study, "epoch", tmp_path)
    with pytest.raises(ValueError, match="over must be one of"):
        sweep.points(study, "teacher")
    plain = dataclasses.replace(study, spec=SPEC.but(grid=[{"student": "robust"}]))
    with pytest.raises(ValueError, match="spec must give its methods names, got none"):
        sweep.points(plain, "epochs")
    cut = dataclasses.replace(study, table=study.table.iloc[1:])
    with pytest.raises(ValueError, match="hold every run of the spec"):
        sweep.points(cut, "epochs")
    with pytest.raises(ValueError, match="study must be a Results"):
        sweep.write("length", "epochs", tmp_path)


SHIPPED = {"length": "epochs", "softness": "label_entropy"}


@pytest.mark.parametrize(("name", "over"), SHIPPED.items())
def test_a_shipped_page_is_what_the_command_writes(tmp_path, capsys, name, over):
    shipped = results.read(name)
    assert shipped.spec == GridSpec.from_file(recipe(name)) and shipped.table.seed.nunique() == 10
    assert cli.main(["report", name, "--over", over, "--out", str(tmp_path)]) == 0
    assert f"{over}.png" in capsys.readouterr().out
    for page in ("report.md", "report.html"):
        text = (tmp_path / page).read_text()
        assert text == (results.SHIPPED / name / page).read_text()
        assert f"{over}.png" in text and (tmp_path / f"{over}.png").stat().st_size > 10_000


def test_the_shipped_studies_hold_networks_that_fit_and_networks_that_do_not():
    rows = results.read("length").table
    plain = rows[(rows.student == "standard") & (rows.method == "fit")]
    fits = plain.groupby("epochs").train_accuracy.mean()
    assert list(fits.index) == [2, 5, 10, 20, 40, 80]
    assert fits[2] < 0.9 and fits[20] > 0.98 and fits[40] > 0.995


def test_every_interval_of_the_readme_stands_on_a_shipped_page():
    pages = " ".join(file.read_text() for file in results.SHIPPED.glob("*/report.md"))
    readme = (results.SHIPPED.parents[1] / "README.md").read_text()
    said = re.findall(r"[+-]\d\.\d{3}\s\[[+-]\d\.\d{3}, [+-]\d\.\d{3}\]", readme)
    assert len(said) >= 5
    assert [one for one in said if " ".join(one.split()) not in pages] == []
