"""Which picture the teacher labels under augmentation: consistent, views or plain. Some minutes.

    OMP_NUM_THREADS=1 .venv/bin/python tests/benchmarks/teacher_views.py

Fashion-MNIST with a long tail, images moved by up to 2 of 14 pixels and mirrored; five seeds, the
standard and the robust student of one standard teacher. Numbers are of the test set, differences
are seed by seed.
"""

from __future__ import annotations

import tempfile

from rdlite.distillation import TEACHER_VIEWS
from rdlite.studies import run_grid
from rdlite.studies.spec import GridSpec

SPEC = GridSpec(
    imbalance=20,
    head=1000,
    heldout=200,
    size=14,
    teacher="standard",
    student=["standard", "robust"],
    seed=range(5),
    mix=0.5,
    epochs=16,
    batch_size=32,
    rounds=24,
    shift=2,
    flip=True,
)


def main() -> None:
    with tempfile.TemporaryDirectory() as store:
        tables = {
            view: run_grid(SPEC.but(teacher_view=view), store=store) for view in TEACHER_VIEWS
        }
    print(
        "student   teacher labels  worst class    average        minus consistent: worst, average"
    )
    for student in SPEC.shared["student"]:
        rows = {view: table[table.student == student] for view, table in tables.items()}
        base = rows["consistent"].set_index("seed")
        for view, own in rows.items():
            own = own.set_index("seed")
            numbers = [f"{own[c].mean():.3f} ± {own[c].sem():.3f}" for c in ("worst", "average")]
            apart = [own[c] - base[c] for c in ("worst", "average")]
            words = "" if view == "consistent" else "  ".join(
                f"{d.mean():+.3f} ± {d.sem():.3f}" for d in apart
            )  # fmt: skip
            print(f"{student:<9} {view:<15} {'  '.join(numbers)}  {words}".rstrip())


if __name__ == "__main__":
    main()
