"""The report: choices that never see the test set, claims with known answers, safe pages."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from test_studies import TINY

from rdlite import __main__ as cli
from rdlite import baselines, panels, plots
from rdlite.studies import claims, comparison, figures, report, results
from rdlite.studies.comparison import Comparison, Estimate
from rdlite.studies.spec import GridSpec, recipe

NAMES = ("cat", "dog", "<script>alert(1)</script>", "$x|y")
PAIR = ("cnn-8", "cnn-4")
SEEDS = range(5)


def row(worst, average, *, seed, method="fit", teacher="none", student="standard", **more):
    taught = teacher != "none"
    alpha = {"standard": 0.0, "balanced": 0.0, "robust": 1.0}.get(student)
    kd = (method, teacher, student) == ("fit", "standard", "standard")
    gain = [0.1, -0.1, 0.0, 0.0] if kd else [0.0] * 4
    error = {"standard": 0.1, "balanced": 0.2, "robust": 0.3}
    return {
        "imbalance": 10,
        "head": 100,
        "method": method,
        "teacher_network": PAIR[0] if taught else "none",
        "student_network": PAIR[1],
        "teacher": teacher,
        "student": student,
        "alpha": float(student) if alpha is None else alpha,
        "heldout_labels": "teacher" if taught else "one-hot",
        "temperature": 1.0,
        "learning_rate": 0.1,
        "seed": seed,
        "average": average,
        "worst": worst,
        "heldout_average": average,
        "heldout_worst": worst,
        "robust_loss": 1 - worst,
        "calibration": 0.1,
        "teacher_worst": 0.3 if taught else np.nan,
        "teacher_calibration": error.get(teacher, np.nan),
        "per_class": [0.5 + 0.01 * seed + g for g in gain],
        "multipliers": [0.25] * 4,
        **more,
    }


def table(ours=0.6, robust_teacher=0.5):
    """Every method at worst 0.3 + noise of the seed, ours at ``ours``."""
    lines = []
    for seed in SEEDS:
        wobble = 0.01 * seed
        for method, teacher, student in comparison.WORDS:
            this = ours if (teacher, student) == ("standard", "robust") else 0.3
            lines.append(
                row(
                    this + wobble,
                    0.7,
                    seed=seed,
                    method=method,
                    teacher=teacher,
                    student=student,
                )
            )
        for teacher, worst in {"balanced": 0.55, "robust": robust_teacher}.items():
            lines.append(row(worst + wobble, 0.7, seed=seed, teacher=teacher, student="robust"))
        for teacher, better in {
            "none": 0.0,
            "standard": 0.2,
            "balanced": 0.1,
            "robust": 0.1,
        }.items():
            for alpha in ("0.3", "0.6"):
                lines.append(
                    row(0.35 + better + wobble, 0.75, seed=seed, teacher=teacher, student=alpha)
                )
    return pd.DataFrame(lines)


def study(rows):
    spec = TINY.but(head=100)
    return results.Results(spec, rows, NAMES, ((4, 3, 2, 1),))


def compared(rows):
    return Comparison(study(rows))


def verdicts(rows):
    return {claim.claim[:3]: claim.verdict for claim in claims.verdicts(compared(rows))}


def test_a_world_where_every_claim_holds():
    assert verdicts(table()) == dict.fromkeys(["(a)", "(b)", "(c)", "(d)", "(e)"], "holds")


def test_a_world_where_ours_is_the_worst():
    judged = verdicts(table(ours=0.2, robust_teacher=0.9))
    assert judged["(b)"] == judged["(d)"] == judged["(e)"] == "does not"


def test_what_is_within_the_noise_is_unclear():
    rows = table(ours=0.3)
    noise = np.random.default_rng(0).normal(0, 0.1, len(rows))
    rows["worst"] = rows.worst + noise
    assert verdicts(rows)["(b)"] in ("unclear", "does not")
    random = np.random.default_rng(0)
    rows["per_class"] = random.normal(0.5, 0.1, (len(rows), 4)).tolist()
    assert verdicts(rows)["(a)"] == "unclear"


def test_equal_gains_of_all_classes_refute_that_they_are_uneven():
    flat = table()
    flat["per_class"] = [[0.5] * 4] * len(flat)
    assert verdicts(flat)["(a)"] == "does not"


def test_a_baseline_beyond_the_frontier_refutes_that_it_dominates():
    rows = table()
    beyond = (rows.method == "group-dro") & (rows.student == "standard")
    rows.loc[beyond, "average"] = 0.9
    assert verdicts(rows)["(c)"] == "does not" and verdicts(rows)["(b)"] == "holds"
    task = compared(rows)
    assert claims.domination(task, "group DRO").mean == pytest.approx(0.75 - 0.9)
    assert claims.domination(task, "standard KD").mean == pytest.approx(0.75 - 0.7)


def test_the_setting_with_the_best_held_out_worst_class_is_chosen_for_every_seed():
    rows = [
        row(0.9, 0.9, seed=s, learning_rate=rate, heldout_worst=held, heldout_average=average)
        for s in SEEDS
        for rate, held, average in ((0.05, 0.2, 0.9), (0.1, 0.3 + 0.01 * s, 0.5), (0.2, 0.3, 0.6))
    ]
    best = compared(pd.DataFrame(rows)).chosen
    assert best.learning_rate.tolist() == [0.1] * 5, "0.32 on average"
    tie = pd.DataFrame(rows)
    tie["heldout_worst"] = 0.3
    assert set(compared(tie).chosen.learning_rate) == {0.05}, "the larger average decides"


@pytest.mark.slow
def test_shuffled_test_labels_change_no_choice(measured_twice):
    """A real study, measured once more with the labels of the test set in another order."""
    spec = TINY.but(
        teacher=["none", "standard"],
        method=["fit", "post-shifted", "group-dro"],
        learning_rate=[0.02, 0.1, 0.3],
        teacher_learning_rate=0.1,
    )
    keys = [*comparison.METHOD, *comparison.SETTING, "seed"]
    chosen = [
        Comparison(results.Results(spec, rows, (), ((),))).chosen[keys]
        for rows in measured_twice(spec)
    ]
    pd.testing.assert_frame_equal(*chosen)
    assert len(chosen[0]) == 2 * (2 + 2 + 2 + 1)


def test_the_interval_of_a_mean_covers_it():
    estimate = Estimate.of(np.array([0.0, 0.1, 0.2, 0.3]))
    assert estimate.mean == pytest.approx(0.15)
    assert 0 < estimate.low < 0.15 < estimate.high < 0.3


def test_methods_of_other_seeds_are_refused():
    rows = table()
    lost = rows[~((rows.method == "group-dro") & (rows.seed == 3))]
    with pytest.raises(ValueError, match="same seeds for every method"):
        compared(lost)
    fewer = rows[~((rows.student == "0.3") & (rows.seed == 3))]
    with pytest.raises(ValueError, match="same students for every seed"):
        compared(fewer).frontier("standard")


def test_the_frontier_has_the_alphas_at_the_learning_rate_of_the_spec():
    rows = table()
    others = rows[rows.teacher == "none"].assign(learning_rate=0.4, worst=0.99)
    task = compared(pd.concat([others, others.assign(learning_rate=0.2), rows]))
    ours = task.frontier("none")
    assert ours.shape == (5, 4, 2) and ours.max() < 0.9
    assert task.alphas("none").alpha.tolist()[:4] == [0.0, 0.3, 0.6, 1.0]


def test_a_temperature_leaves_the_frontier_without_a_teacher_as_it_is():
    """A run without a teacher is listed at temperature 1, whatever the first of the spec is."""
    rows = table()
    rows.loc[rows.teacher != "none", "temperature"] = 2.0
    warm = results.Results(TINY.but(head=100, temperature=2.0), rows, NAMES, ((4, 3, 2, 1),))
    for teacher in ("none", "standard"):
        np.testing.assert_array_equal(
            Comparison(warm).frontier(teacher), compared(table()).frontier(teacher)
        )


def test_areas_are_of_the_tried_settings_and_paired():
    rows = table()
    more = rows[rows.method == "group-dro"].assign(learning_rate=0.4, worst=0.1, average=0.9)
    shown = report.area_table(compared(pd.concat([rows, more]))).set_index("method")
    dro = shown.loc["group DRO"]
    assert dro["students a seed"] == 2
    assert dro["area"] == f"{0.32 * 0.7 + 0.1 * 0.2:.3f}"
    own = shown.loc["every alpha, teacher: standard"]
    assert own["minus every alpha, teacher: standard"] == ""
    assert own["area"] == f"{0.7 * 0.62 + 0.05 * 0.57:.3f}"


def test_an_end_of_the_frontier_is_no_rival_of_it():
    """Balanced distillation is alpha 0: no alpha beats itself, and the claim can hold still."""
    rows = table()
    best = (rows.teacher == "standard") & (rows.student == "balanced")
    rows.loc[best, ["worst", "average"]] = 0.9
    assert verdicts(rows)["(c)"] == "holds"
    assert claims.domination(compared(rows), "balanced distillation").verdict == "unclear"


def test_the_figures_show_every_method_and_teacher():
    task = compared(table())
    ax = figures.leads(task)
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert sorted(names) == sorted(task.baselines)
    means = dict(zip(names, ax.lines[0].get_xdata(), strict=True))
    assert means["standard KD"] == pytest.approx(0.6 - 0.3)
    ax = figures.calibration(task)
    shown = {line.get_label(): line.get_xydata() for line in ax.lines}
    assert shown["robust cnn-8"] == pytest.approx(
        np.array([[0.3, 1 - 0.5 - 0.01 * seed] for seed in SEEDS])
    )
    ax = figures.methods(task)
    for teacher, style in plots.TEACHER_STYLES.items():
        words = f"every alpha, {plots.TEACHER_WORDS[teacher]}"
        (line,) = (own[0] for own in ax.containers if own.get_label() == words)
        assert {key: plt.getp(line, key) for key in style} == style
        np.testing.assert_allclose(line.get_xydata(), task.frontier(teacher).mean(0))
    written = " ".join(text.get_text() for text in ax.texts).replace(",", "").split()
    assert sorted(map(int, written)) == list(range(1, len(task.baselines) + 1))
    plt.close("all")


def test_calibration_draws_a_teacher_as_every_figure_does():
    ax = figures.calibration(compared(table()))
    for line in ax.lines:
        teacher = line.get_label().split()[0]
        if teacher in plots.TEACHER_STYLES:
            style = plots.TEACHER_STYLES[teacher]
            assert (line.get_color(), line.get_marker()) == (style["color"], style["marker"])
    assert len([line for line in ax.lines if "cnn" in line.get_label()]) == 3
    plt.close("all")


def test_robust_students_are_those_of_the_first_setting():
    """Claim (e) and its figure, where the robust student was also trained at another rate."""
    rows = table()
    robust = rows[(rows.method == "fit") & (rows.student == "robust") & (rows.teacher != "none")]
    others = [robust.assign(learning_rate=0.4), robust.assign(temperature=4.0)]
    more = compared(pd.concat([*others, rows]))
    expected = claims.robust_students(compared(rows))
    assert (
        claims.robust_students(more).reset_index(drop=True).equals(expected.reset_index(drop=True))
    )


def test_the_panel_takes_the_tradeoff_of_a_task():
    corners = [
        row(0.3, 0.7, seed=seed, teacher=teacher, student=student)
        for seed in SEEDS
        for teacher in ("balanced", "robust")
        for student in ("standard", "balanced")
    ]
    whole = pd.concat([table(), pd.DataFrame(corners)])
    task = compared(whole)
    panel = panels.TradeoffPanel(task.tradeoff)
    assert panel.alphas == [0.0, 0.3, 0.6, 1.0] and "none" in panel.teachers
    panel.state = {"teacher": "standard", "alpha": 1.0}
    assert "worst 0.620" in panel.numbers.value
    many = pd.concat([whole, whole.assign(learning_rate=0.4, worst=0.9)])
    assert compared(many).tradeoff.table.equals(task.tradeoff.table)


def test_a_study_of_two_tasks_is_judged_task_by_task(tmp_path):
    both = pd.concat([table(), table(ours=0.2).assign(imbalance=50)])
    spec = TINY.but(head=100, imbalance=[10, 50])
    whole = results.Results(spec, both, NAMES, ((4, 3, 2, 1), (9, 3, 2, 1)))
    with pytest.raises(ValueError, match=r"must have one task, got 2; take one of .tasks"):
        _ = whole.class_counts
    first, second = whole.tasks()
    assert second.class_counts == (9, 3, 2, 1) and second.spec.first["imbalance"] == 50
    assert len(first.table) == len(second.table) == len(table())
    judged = report.claim_table([Comparison(first), Comparison(second)])
    assert judged.verdict[judged.claim.str.startswith("(b)")].tolist() == ["holds", "does not"]
    short = report.verdict_table([Comparison(first), Comparison(second)])
    assert short.iloc[1, 1:].to_dict() == {"10 / 100": "holds", "50 / 100": "does not"}
    files = report.write(whole, tmp_path)
    assert [file.name for file in files[2:]] == ["frontier-10-100.png", "frontier-50-100.png"]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    report.write(study(table()), out)
    return out


def test_the_page_has_every_method_and_claim(page):
    text = (page / "report.md").read_text()
    for name in comparison.WORDS.values():
        assert f"| {name} |" in text
    for letter in "abcde":
        assert f"| ({letter}) " in text
    assert (page / "frontier-10-100.png").stat().st_size > 10_000
    assert "](frontier-10-100.png)" in text
    line = next(x for x in text.splitlines() if x.startswith("| standard KD |"))
    assert "0.320 ± 0.007" in line and "+0.300 [+0.300, +0.300]" in line, "sd 0.0158 / sqrt(5)"


def test_the_page_says_how_many_settings_were_tried(page):
    assert "out of 1 a method" in (page / "report.md").read_text()
    rows = table()
    hotter = rows[rows.method == "ada-alpha"].assign(temperature=4.0)
    assert report.tried([compared(pd.concat([rows, hotter]))]) == "1 to 2"


def test_names_from_data_stay_text(page):
    source = (page / "report.html").read_text()
    assert "<script" not in source and source.count("<table") == source.count("</table>") == 5
    names = pd.DataFrame({"class": NAMES})
    for kind, content in {"table": names, "p": NAMES[2], "h2": NAMES[2]}.items():
        for write in (report._html, report._markdown):
            shown = write(kind, content)
            assert "<script" not in shown and "&lt;script" in shown
    assert r"$x\|y" in report._markdown("table", names)


def test_everything_on_the_page_is_written_by_a_filter_that_escapes():
    """No part of the template shows a value as it is, so that a new one cannot forget to."""
    source = re.sub(r"\{%-? filter p .*?endfilter %\}", "", report.TEMPLATE.read_text(), flags=re.S)
    shown = re.findall(r"\{\{(.*?)\}\}", source)
    assert shown and all(re.search(r"\| (h1|h2|h3|table|image) $", one) for one in shown)


def test_the_order_of_the_page_is_that_of_the_template(page):
    headings = re.findall(r"^#+ (.*)$", (page / "report.md").read_text(), re.MULTILINE)
    assert headings == [
        report.TITLE,
        "Claim and verdict",
        "Claim, measurement, verdict",
        "Imbalance 10, 100 images of the largest class",
        "Areas below the frontiers",
        "Teacher x student",
    ]
    shown = re.findall(r"<h\d>(.*?)</h\d>", (page / "report.html").read_text())
    assert shown == headings


def test_the_command_writes_the_page_and_names_a_study_that_is_not_there(tmp_path, capsys):
    assert cli.main(["report", str(tmp_path / "nothing"), "--out", str(tmp_path)]) == 2
    assert "nothing" in capsys.readouterr().err


def test_the_shipped_page_and_the_readme_are_what_the_shipped_table_says(tmp_path):
    shipped = results.read("comparison")
    assert shipped.spec == GridSpec.from_file(recipe("comparison"))
    assert len(shipped.table) == len(shipped.spec.runs()) and shipped.table.seed.nunique() == 5
    report.write(shipped, tmp_path)
    for name in ("report.md", "report.html"):
        assert (tmp_path / name).read_text() == (results.SHIPPED / "comparison" / name).read_text()
    verdicts = report.verdict_table([Comparison(task) for task in shipped.tasks()])
    readme = (results.SHIPPED.parents[1] / "README.md").read_text()
    assert report._markdown("table", verdicts) in readme


def test_every_method_of_the_words_exists():
    for method, teacher, _ in comparison.WORDS:
        known = baselines.ON_LABELS if teacher == "none" else baselines.WITH_A_TEACHER
        assert method == "fit" or method in known
