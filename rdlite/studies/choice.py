"""Which setting of each method counts: one rule for all, on images that nothing else has used.

A method is a name in the spec, see `rdlite.studies.spec.GridSpec`, which has as many settings as
the runs of that name differ in.
"""

from __future__ import annotations

import pandas as pd

from rdlite.guards import checks
from rdlite.studies.results import Results
from rdlite.studies.table import SETTINGS

SCORES = ["selection_worst", "selection_average"]  # nothing else decides


def choose(study: Results) -> pd.DataFrame:
    """The setting of every method that the selection images choose: a row a method.

    The rule: the largest mean over the seeds of the worst class of the selection images; among
    equals the largest mean average there, then what the spec names first.

    Args:
        study: of one task, see `rdlite.studies.results.Results.tasks`.

    Returns:
        Columns name, settings (how many there were), what varies within a name, and `SCORES`.

    Raises:
        ValueError: a study without selection images, one of several tasks, or one that is not
            finished.

    >>> from rdlite.studies import results
    >>> chosen = choose(results.read("selection").tasks()[0]).set_index("name")
    >>> bool((chosen.settings == 9).all())
    True
    """
    checks.instance("study", study, Results, "; see rdlite.studies.results.read")
    _ = study.class_counts  # of one task
    good = set(SCORES) <= set(study.table)
    wanted, cure = "have selection images", "; train it with the key selection"
    checks.expect(good, "study", wanted, "none", cure)
    varied: dict[str, None] = {}
    found = []
    for name, runs in study.spec.named.items():
        rows = study.rows(runs)
        keys = [one for one in SETTINGS if one in rows]
        varied |= {one: None for one in keys if rows[one].nunique(dropna=False) > 1}
        means = rows.groupby(keys, sort=False, dropna=False)[SCORES].mean().round(9)
        best = means.reset_index().sort_values(SCORES, ascending=False, kind="stable").iloc[0]
        found.append({"name": name, "settings": len(means)} | best.to_dict())
    return pd.DataFrame(found)[["name", "settings", *varied, *SCORES]]
