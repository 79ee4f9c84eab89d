"""The report: methods by name, claims with known answers, statistics that cover, safe pages."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rdlite import __main__ as cli
from rdlite import baselines, panels, plots
from rdlite.studies import choice, claims, figures, pages, report, results
from rdlite.studies.comparison import ADDED, LINE, OURS, Comparison, Estimate, holm, of_test_set
from rdlite.studies.spec import GridSpec, recipe
from rdlite.studies.table import SETTINGS, settings

NAMES = ("cat", "dog", "<script>alert(1)</script>", "$x|y")
SEEDS = range(5)
TESTS = ((100, 100, 100, 100),)
LINES = {"no": "none", "standard": "standard", "balanced": "balanced", "robust": "robust"}
METHODS = {
    "no distillation, standard": {"teacher": "none", "student": "standard"},
    "no distillation, robust": {"teacher": "none", "student": "robust"},
    "group DRO": {"teacher": "none", "student": "standard", "method": "group-dro"},
    "standard KD": {"teacher": "standard", "student": "standard"},
    "AdaAlpha [reading]": {"teacher": "standard", "student": "standard", "method": "ada-alpha"},
    OURS: {"teacher": "standard", "student": "robust"},
    f"{OURS}, one-hot": {"teacher": "standard", "student": "robust", "heldout_labels": "one-hot"},
    f"group DRO{ADDED}": {
        "teacher": "none", "student": "standard", "method": "group-dro", "add_heldout": True,
    },
}  # fmt: skip
GRID = [
    *({"name": name} | keys for name, keys in METHODS.items()),
    *(
        {"name": f"{LINE}, {words} teacher", "teacher": teacher, "student": ["standard", 0, 0.5, 1]}
        for words, teacher in LINES.items()
    ),
    {
        "name": "every teacher of the student's size", "teacher_network": "cnn-4",
        "teacher": ["standard", "balanced", "robust"], "student": "robust",
    },
]  # fmt: skip
SPEC = GridSpec(
    imbalance=10, head=100, heldout=20, size=14, teacher_network="cnn-8", student_network="cnn-4",
    seed=[*SEEDS], epochs=1, grid=GRID,
)  # fmt: skip
CALIBRATION = {"standard": 0.1, "balanced": 0.2, "robust": 0.3}


def row(run, worst, average=0.7, **more):
    """A row of a study's table, as `rdlite.studies.table.frame` has them."""
    asked = settings(run)
    teacher = asked["teacher"]
    kd = (asked["method"], teacher, asked["student"]) == ("fit", "standard", "standard")
    gain = [0.1, -0.1, 0.0, 0.0] if kd else [0.0] * 4
    return asked | {
        "key": run.key,
        "average": average,
        "worst": worst,
        "robust_loss": 1 - worst,
        "calibration": 0.1,
        "teacher_worst": np.nan if run.teacher is None else 0.3,
        "teacher_calibration": CALIBRATION.get(teacher, np.nan),
        "per_class": [0.5 + 0.01 * run.seed + g for g in gain],
        "multipliers": [0.25] * 4,
        **more,
    }


def table(ours=0.6, robust_teacher=0.5, spec=SPEC):
    """Every method at worst 0.3, ours at ``ours``, each a little better from seed to seed."""
    robust = {"none": 0.3, "standard": ours, "balanced": 0.55, "robust": robust_teacher}
    lines = []
    for run in spec.runs():
        asked, worst, average = settings(run), 0.3, 0.7
        if asked["student"] == "robust":
            worst = robust[asked["teacher"]]
        if asked["student"] == "0.5":
            better = {"none": 0.0, "standard": 0.2, "balanced": 0.1, "robust": 0.1}
            worst, average = 0.35 + better[asked["teacher"]], 0.75
        lines.append(row(run, worst + 0.01 * run.seed, average))
    return pd.DataFrame(lines)


def study(rows):
    return results.Results(SPEC, rows, NAMES, ((4, 3, 2, 1),), TESTS)


def compared(rows):
    return Comparison(study(rows))


def verdicts(rows):
    return {claim.claim[:3]: claim.verdict for claim in claims.verdicts(compared(rows))}


def changed(rows, chosen, **values):
    """A copy of ``rows`` with other values in the ``chosen`` ones."""
    return rows.assign(**{name: rows[name].where(~chosen, value) for name, value in values.items()})


def noisy(rows, scale):
    """Differences between equal seeds have no scatter, and t no number: a little of it."""
    random = np.random.default_rng(0)
    return rows.assign(worst=rows.worst + random.normal(0, scale, len(rows)))


def test_a_world_where_every_claim_holds():
    assert verdicts(table()) == dict.fromkeys(["(a)", "(b)", "(c)", "(d)", "(e)"], "holds")
    assert set(verdicts(noisy(table(), 0.005)).values()) == {"holds"}


def test_a_world_where_ours_is_the_worst():
    judged = verdicts(table(ours=0.2, robust_teacher=0.9))
    assert judged["(b)"] == judged["(d)"] == judged["(e)"] == "does not"


def test_what_is_within_the_noise_is_unclear():
    rows = noisy(table(ours=0.3), 0.1)
    assert verdicts(rows)["(b)"] == "unclear"
    random = np.random.default_rng(0)
    rows["per_class"] = random.normal(0.5, 0.1, (len(rows), 4)).tolist()
    assert verdicts(rows)["(a)"] == "unclear"


def test_equal_gains_of_all_classes_refute_that_they_are_uneven():
    flat = table()
    flat["per_class"] = [[0.5] * 4] * len(flat)
    assert verdicts(flat)["(a)"] == "does not"


def test_a_baseline_beyond_the_frontier_refutes_that_it_dominates():
    rows = table()
    rows = changed(rows, rows.method == "group-dro", average=0.9)
    assert verdicts(rows)["(c)"] == "does not" and verdicts(rows)["(b)"] == "holds"
    task = compared(rows)
    assert claims.domination(task, "group DRO").mean == pytest.approx(0.75 - 0.9)
    assert claims.domination(task, "standard KD").mean == pytest.approx(0.75 - 0.7)


def test_looking_at_every_alpha_is_paid_for():
    """A baseline that is as good as the best alpha is dominated by chance at most as often as the
    level says, though the best of three alphas is looked for."""
    random, found = np.random.default_rng(0), 0
    rows = table()
    line = (rows.teacher == "standard") & (rows.method == "fit")
    for _ in range(200):
        scores = {name: random.normal(0.5, 0.05, len(rows)) for name in ("worst", "average")}
        one = claims.domination(compared(changed(rows, line | True, **scores)), "group DRO")
        found += one.verdict == "holds"
    assert found / 200 < 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5


def test_estimates_are_student_s_t():
    values = np.array([0.0, 0.1, 0.2, 0.4])
    one, by_scipy = Estimate.of(values), stats.ttest_1samp(values, 0)
    assert (one.low, one.high) == pytest.approx(tuple(by_scipy.confidence_interval()))
    assert one.p == pytest.approx(by_scipy.pvalue) and one.mean == pytest.approx(0.175)
    assert Estimate.of([0.2, 0.2]).p == 0 and Estimate.of([0.0, 0.0]).p == 1
    alone = Estimate.of([0.3])
    assert alone.p == 1 and alone.verdict == "unclear" and str(alone) == "+0.300"


def test_holm_by_hand():
    """Three p: the smallest times 3, the next times 2, never below the one before."""
    family = {name: Estimate(1, 0, 2, p) for name, p in {"a": 0.02, "b": 0.015, "c": 0.6}.items()}
    raised = {name: one.p for name, one in holm(family).items()}
    assert raised == pytest.approx({"a": 0.045, "b": 0.045, "c": 0.6}) and list(raised) == [*family]
    assert Estimate(1, 0, 2, 0.06).verdict == "unclear"


def test_another_test_set_moves_a_worst_class_as_a_binomial_does():
    images = np.array([100, 100])
    low, high, bias = of_test_set([[0.5, 0.9]] * 3, images)
    reach = 1.96 * (0.5 * 0.5 / 100) ** 0.5
    assert (low, high) == pytest.approx((0.5 - reach, 0.5 + reach), abs=0.01)
    assert bias == pytest.approx(0, abs=0.004), "the other class is far away"
    *_, level = of_test_set([[0.5, 0.5]], images)
    assert level == pytest.approx(-0.05 * (1 / np.pi) ** 0.5, abs=0.003), "the mean of a minimum"
    more = of_test_set([[0.5, 0.9]] * 3, 100 * images)
    assert more[1] - more[0] == pytest.approx((high - low) / 10, rel=0.05)


def test_methods_are_the_names_of_the_spec():
    task = compared(table())
    assert list(task.methods) == list(METHODS)
    assert task.controls == [f"{OURS}, one-hot", f"group DRO{ADDED}"]
    assert task.baselines == [n for n in METHODS if n != OURS and n not in task.controls]
    assert list(task.lines) == list(LINES.values()) and task.teacher == "standard"


def test_what_is_not_a_comparison_is_refused():
    rows = table()
    with pytest.raises(ValueError, match=r"hold every run of the spec, got \d+ of \d+; is the"):
        compared(rows.iloc[1:])
    with pytest.raises(ValueError, match="name a method 'robust distillation' and frontiers"):
        Comparison(results.Results(SPEC.but(grid=GRID[:2]), rows, NAMES, ((4, 3, 2, 1),), TESTS))
    two = SPEC.but(grid=[*GRID, {"name": OURS, **METHODS[OURS], "temperature": 2}])
    with pytest.raises(ValueError, match=f"'{OURS}' must have one setting, with every seed, got"):
        Comparison(results.Results(two, table(spec=two), NAMES, ((4, 3, 2, 1),), TESTS))


def test_a_frontier_has_the_alphas_without_the_standard_student():
    task = compared(table())
    assert task.frontier("none").shape == (5, 3, 2)
    assert task.alphas("none").alpha.tolist()[:3] == [0.0, 0.5, 1.0]
    assert task.lines["none"].student.tolist()[:4] == ["standard", "balanced", "0.5", "robust"]


def test_areas_are_of_the_alphas_and_paired():
    shown = report.frontier_table(compared(table())).set_index("every alpha of")
    own = shown.loc["standard teacher, 1 epochs, T = 1"]
    assert own["area"] == f"{0.7 * 0.62 + 0.05 * 0.57:.3f}" and own["students a seed"] == 3
    assert own["minus standard teacher"] == ""
    lead = shown.loc["no teacher, 1 epochs, rate 0.1"]["minus standard teacher"]
    assert lead.startswith(f"{0.75 * 0.37 - 0.7 * 0.62 - 0.05 * 0.57:+.3f} [")


def test_the_figures_show_every_method_and_teacher():
    task = compared(table())
    ax = figures.leads(task)
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert sorted(names) == sorted(task.baselines)
    means = dict(zip(names, ax.lines[0].get_xdata(), strict=True))
    assert means["standard KD"] == pytest.approx(0.6 - 0.3)
    ax = figures.calibration(task)
    shown = {line.get_label(): line.get_xydata() for line in ax.lines}
    for network in ("cnn-8", "cnn-4"):
        assert shown[f"robust {network}"] == pytest.approx(
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


def test_no_method_is_outside_the_figure_though_one_seed_has_no_interval():
    rows = table()
    rows = changed(rows, rows.method == "group-dro", average=0.2)
    one = SPEC.but(seed=0)
    alone = results.Results(one, rows[rows.seed == 0], NAMES, ((4, 3, 2, 1),), TESTS)
    assert figures.methods(Comparison(alone)).get_xlim()[0] < 0.2
    plt.close("all")


def test_calibration_draws_a_teacher_as_every_figure_does():
    ax = figures.calibration(compared(table()))
    for line in ax.lines:
        teacher = line.get_label().split()[0]
        if teacher in plots.TEACHER_STYLES:
            style = plots.TEACHER_STYLES[teacher]
            assert (line.get_color(), line.get_marker()) == (style["color"], style["marker"])
    assert len([line for line in ax.lines if "cnn" in line.get_label()]) == 6
    plt.close("all")


def test_the_panel_takes_the_tradeoff_of_a_task():
    task = compared(table())
    panel = panels.TradeoffPanel(task.tradeoff)
    assert panel.alphas == [0.0, 0.5, 1.0] and panel.teachers == [*LINES.values()]
    panel.state = {"teacher": "standard", "alpha": 1.0}
    assert "worst 0.620" in panel.numbers.value


def test_a_study_of_two_tasks_is_judged_task_by_task(tmp_path):
    spec = SPEC.but(imbalance=[10, 50])
    first, second = spec.by_task()
    both = pd.concat([table(spec=first), table(ours=0.2, spec=second)])
    whole = results.Results(spec, both, NAMES, ((4, 3, 2, 1), (9, 3, 2, 1)), 2 * TESTS)
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
    for name in METHODS:
        assert f"| {name} |" in text
    for letter in "abcde":
        assert f"| ({letter}) " in text
    assert (page / "frontier-10-100.png").stat().st_size > 10_000
    assert "](frontier-10-100.png)" in text
    line = next(x for x in text.splitlines() if x.startswith("| standard KD | standard teacher"))
    assert "0.320 ± 0.007" in line, "sd 0.0158 / sqrt(5)"
    assert "| standard KD | +0.300 [+0.300, +0.300], p 0.000 |" in text


def test_the_page_says_which_held_out_labels_a_method_uses():
    task = compared(table())
    used = {name: report.heldout_use(rows) for name, rows in task.methods.items()}
    assert used == {
        "no distillation, standard": "not used",
        "no distillation, robust": "one-hot",
        "group DRO": "not used",
        "standard KD": "not used",
        "AdaAlpha [reading]": "one-hot",
        OURS: "teacher",
        f"{OURS}, one-hot": "one-hot",
        f"group DRO{ADDED}": "trained on",
    }


@pytest.mark.parametrize("method", baselines.NAMES)
def test_the_methods_that_ask_the_held_out_images_are_those_that_are_said_to(method, splits):
    """Those alone end otherwise where the held-out labels are others."""
    teacher = "none" if method in baselines.ON_LABELS else "standard"
    run = SPEC.but(grid=[], imbalance=1).cell(method=method, teacher=teacher, student="standard")
    images, labels = splits.heldout.images, splits.heldout.labels

    def trained(heldout):
        import dataclasses

        import torch

        others = dataclasses.replace(splits, heldout=heldout)
        net = run.create()
        taught = {} if run.teacher is None else {"teacher": run.teacher.create()}
        train = {**baselines.ON_LABELS, **baselines.WITH_A_TEACHER}[method]
        train(net, others, config=run.config, **taught)
        return torch.cat([value.flatten().double() for value in net.state_dict().values()])

    import torch

    from rdlite.data import Split

    moved = Split(images, torch.roll(labels, 5), splits.class_names)
    same = bool((trained(splits.heldout) == trained(moved)).all())
    shifts_after = method == "post-shifted"
    assert shifts_after or same == (method not in baselines.ON_HELDOUT)


def test_names_from_data_stay_text(page):
    source = (page / "report.html").read_text()
    assert "<script" not in source and source.count("<table") == source.count("</table>") == 6
    names = pd.DataFrame({"class": NAMES})
    for kind, content in {"table": names, "p": NAMES[2], "h2": NAMES[2]}.items():
        for write in (pages._html, pages.markdown):
            shown = write(kind, content)
            assert "<script" not in shown and "&lt;script" in shown
    assert r"$x\|y" in pages.markdown("table", names)


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
        "Robust distillation minus the method",
        "Controls",
        "Frontiers",
    ]
    shown = re.findall(r"<h\d>(.*?)</h\d>", (page / "report.html").read_text())
    assert shown == headings


def test_the_command_writes_the_page_and_names_a_study_that_is_not_there(tmp_path, capsys):
    assert cli.main(["report", str(tmp_path / "nothing"), "--out", str(tmp_path)]) == 2
    assert "nothing" in capsys.readouterr().err


def test_the_shipped_page_and_the_readme_are_what_the_shipped_table_says(tmp_path):
    shipped = results.read("comparison")
    assert shipped.spec == GridSpec.from_file(recipe("comparison"))
    assert len(shipped.table) == len(shipped.spec.runs()) and shipped.table.seed.nunique() >= 10
    report.write(shipped, tmp_path)
    for name in ("report.md", "report.html"):
        assert (tmp_path / name).read_text() == (results.SHIPPED / "comparison" / name).read_text()
    verdicts = report.verdict_table([Comparison(task) for task in shipped.tasks()])
    readme = (results.SHIPPED.parents[1] / "README.md").read_text()
    assert pages.markdown("table", verdicts) in readme


def test_every_method_of_the_shipped_comparison_has_the_setting_that_was_chosen_for_it():
    """By the selection images, on other seeds; frontiers and teachers have that of their teacher's
    robust student."""
    compared, chosen = results.read("comparison"), results.read("selection")
    assert not {*compared.table.seed} & {*chosen.table.seed}
    for task, selected in zip(compared.tasks(), chosen.tasks(), strict=True):
        assert task.spec.first["imbalance"] == selected.spec.first["imbalance"]
        best = choice.choose(selected).set_index("name")
        for name, runs in task.spec.named.items():
            taught = runs[0].teacher and runs[0].teacher.objective.name
            if name.startswith((LINE, "every teacher")):
                own = f"robust student, {taught} teacher" if taught else "no distillation, robust"
            else:
                own = name.removesuffix(ADDED)
            rows, wanted = task.rows(runs), best.loc[own].dropna()
            keys = [key for key in wanted.index if key in SETTINGS and key in rows]
            keys = [key for key in keys if not (LINE in name and key in ("teacher", "student"))]
            if name.startswith("every teacher"):  # one name, a setting a teacher
                rows, keys = rows[rows.teacher == taught], [k for k in keys if k != "teacher"]
            assert rows[keys].drop_duplicates().to_dict("records") == [wanted[keys].to_dict()], name
