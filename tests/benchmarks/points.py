"""True probabilities or one-hot labels: what they do for the worst class, by training points.

    .venv/bin/python tests/benchmarks/points.py

Students in the plane as PlanePanel trains them, priors 20 : 4.5 : 1, by default with the standard
anchor. A pair has the same points, first weights and 400 held-out points; one student learns from
P(Y = y | x) at training and held-out points, its twin from one drawn label each; with
``--heldout-labels true`` both have the probabilities at the held-out points. Accuracies are the
true ones, on a grid, so no test set adds noise. About half a minute on one core.
"""

import argparse
from pathlib import Path

import pandas as pd
import torch

from rdlite.theory import GaussianMixture, train_students

OUT = Path(__file__).parents[2] / "data" / "results" / "points" / "points.csv"
MIXTURE = GaussianMixture.three_classes(20)
MODELS = [(labels, alpha) for labels in ("true", "one-hot") for alpha in (0.0, 1.0)]


def both_labels(points: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The points, and for each of `MODELS` what it learns from: (n, 2) and (4, n, 3)."""
    x, labels = MIXTURE.sample(points, seed)
    one_hot = torch.nn.functional.one_hot(labels, 3).double()
    return x, torch.stack([one_hot if kind == "one-hot" else MIXTURE.eta(x) for kind, _ in MODELS])


def run(points: int, seed: int, anchor: str, heldout_labels: str) -> list[dict]:
    """Four students of one seed; a row each."""
    grid, population = MIXTURE.on_grid(80)
    heldout, heldout_targets = both_labels(400, 1000 + seed)
    if heldout_labels == "true":
        heldout_targets = MIXTURE.eta(heldout)
    parts = *both_labels(points, seed), heldout, heldout_targets
    alphas = [alpha for _, alpha in MODELS]
    students = train_students(*parts, alphas, anchor=anchor, seed=seed)
    within = population.weights[:, None] * population.eta / population.prior
    rows = []
    for (labels, alpha), logits in zip(MODELS, students.logits(grid), strict=True):
        right = torch.nn.functional.one_hot(logits.argmax(1), 3)
        accuracy = (within * right).sum(0)  # (3,), true
        row = {"points": points, "seed": seed, "alpha": alpha, "labels": labels}
        rows.append(row | {"worst": float(accuracy.min()), "average": float(accuracy.mean())})
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, nargs="+", default=[150, 600, 2400])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--anchor", choices=["standard", "balanced"], default="standard")
    parser.add_argument("--heldout-labels", choices=["same", "true"], default="same")
    parser.add_argument("--out", type=Path, default=OUT, help="the CSV")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cells = [(points, seed) for points in options.points for seed in range(options.seeds)]
    how = options.anchor, options.heldout_labels
    table = pd.DataFrame([row for cell in cells for row in run(*cell, *how)])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    table.round(4).to_csv(options.out, index=False, lineterminator="\n")
    pairs = table.pivot(index=["points", "alpha", "seed"], columns="labels")
    for name in ("worst", "average"):
        scores = pairs[name].assign(difference=pairs[name]["true"] - pairs[name]["one-hot"])
        shown = scores.groupby(["points", "alpha"]).agg(["mean", "sem"])
        print(f"\n{name}, mean and standard error over {options.seeds} seeds")
        print(shown.round(3).to_string())
    print("Written:", options.out)
