"""How the demo's temperatures were chosen: on images that no run trains on or holds out.

    .venv/bin/python tests/benchmarks/choose_demo.py

From the table in data/results/selection, seeds that the demo does not use: robust students of the
demo's length, for each teacher the temperature with the largest mean worst class on the selection
images. No column of the test set is read.
"""

from rdlite.studies import GridSpec, recipe, results

SCORES = ["selection_worst", "selection_average"]

if __name__ == "__main__":
    epochs = GridSpec.from_file(recipe("demo")).first["epochs"]
    table = results.read("selection").tasks()[0].table
    table = table[(table.method == "fit") & (table.student == "robust") & (table.payoff == "risk")]
    table = table[(table.epochs == epochs) & (table.heldout_labels == "teacher")]
    cells = table.groupby(["teacher", "temperature"], sort=False)[SCORES].agg(["mean", "sem"])
    print(cells.sort_index().round(3).to_string())
    for teacher, worst in cells["selection_worst", "mean"].groupby("teacher"):
        print(f"{teacher}: temperature {worst.idxmax()[1]:g}")
