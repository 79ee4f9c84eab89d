"""The commands, ``python -m rdlite`` or ``rdlite``: demo, train, study, choose and report."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from typer import Argument, Option
from typer.main import get_command

if TYPE_CHECKING:
    from rdlite.studies.spec import GridSpec

app = typer.Typer(
    help="Robust distillation for worst-class performance (arXiv:2206.06479).",
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    add_completion=False,
)
TOML = "a TOML file, or a name in rdlite/recipes"
RESULTS = "a study's folder, or a name in data/results"
DEVICE = Option("auto", help="cpu, cuda; auto: what the file says, else a GPU if there is one")
DRY_RUN = Option(False, "--dry-run", help="only print the runs and the time")


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns 0, 1 if training diverged, 2 for bad input, 130 after Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else arguments
    commands = get_command(app)
    try:
        chosen = commands(arguments, standalone_mode=False)
        code = chosen() if callable(chosen) else chosen  # 0 after --help
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # who reads the output has seen enough, as head(1) has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except typer.TyperException as error:
        known = f"COMMAND is one of {', '.join(commands.commands)}, each has --help"
        words, code = f"{error.format_message()} (got {arguments}; {known})", 2
    except (ValueError, OSError) as error:
        words, code = error, 2
    except FloatingPointError as error:
        words, code = error, 1
    except KeyboardInterrupt as error:
        words, code = str(error) or "stopped", 130
    print(f"rdlite: {words}", file=sys.stderr)
    return code


def command(run: Callable[..., int]) -> Callable[..., Callable[[], int]]:
    """A command: typer reads its arguments, and `main` runs it and sees what it raises."""
    return app.command()(functools.wraps(run)(lambda **given: functools.partial(run, **given)))


@command
def demo(
    seeds: int = Option(3, help="how many runs of the grid"),
    imbalance: float = Option(100, help="largest over smallest class"),
    out: Path = Option("out/demo", help="folder for the results"),
    quick: bool = Option(False, "--quick", help="one seed, under 2 minutes"),
    device: str = DEVICE,
) -> int:
    """Train the teacher x student grid on long-tailed Fashion-MNIST."""
    from rdlite.guards import checks
    from rdlite.studies import GridSpec, demo, recipe

    checks.integer("--seeds", seeds, low=1)
    spec = GridSpec.from_file(recipe("demo")).but(imbalance=imbalance, seed=range(seeds))
    spec = spec.but(device=_device(device, spec))
    if quick:
        spec = spec.but(seed=0)
    table = demo.train_and_write(spec, out)
    return 0 if len(table) == len(spec.runs()) else 130


@command
def train(
    recipe: str = Argument(metavar="RECIPE", help=TOML),
    store: Path | None = Option(None, help="folder for the networks; by default out/RECIPE"),
    every: int = Option(1, help="rounds between two checkpoints"),
    resume: bool = Option(False, "--resume", help="go on with the run that was stopped"),
    device: str = DEVICE,
    dry_run: bool = DRY_RUN,
) -> int:
    """Train every run of a recipe, one after another. On one device, or under torchrun."""
    from rdlite.studies import GridSpec, grid, results, spec
    from rdlite.training import devices

    file = spec.recipe(recipe)
    wanted = GridSpec.from_file(file)
    with devices.group(_device(device, wanted)) as device:
        wanted = wanted.but(device=device)
        store = store or Path("out") / file.stem
        if dry_run or devices.rank() == 0:
            _print_cost(wanted, store, side_by_side=1, labels=dry_run)
        if dry_run:
            return 0
        table = grid.train(wanted, store, every=every, resume=resume)
        if devices.rank() == 0:
            shown = table[["teacher", "student", "seed", "average", "worst", "worst_class"]]
            print(shown.round(4).to_string(index=False))
            print("Written:", results.write(store, file, table))
    return 0


@command
def study(
    spec: str = Argument(metavar="SPEC", help=TOML),
    store: Path = Option(help="folder that keeps finished runs"),
    out: Path | None = Option(None, help="folder for the table; by default the store"),
    dask: str | None = Option(None, metavar="ADDRESS", help="scheduler of a Dask cluster"),
    device: str = DEVICE,
    dry_run: bool = DRY_RUN,
) -> int:
    """Train every run of a TOML file. A killed study goes on where it was."""
    from rdlite.guards import files
    from rdlite.studies import GridSpec, grid, results
    from rdlite.studies.spec import recipe

    file = recipe(spec)
    wanted = GridSpec.from_file(file)
    wanted = wanted.but(device=_device(device, wanted))
    if not dry_run:
        out = files.folder(out or store, "--out or --store")
    _print_cost(wanted, store, side_by_side=grid.processes(wanted.device), labels=dry_run)
    if dry_run:
        return 0
    try:
        table, trouble = grid.run_grid(wanted, executor=dask, store=store), None
    except grid.Diverged as error:
        table, trouble = error.table, error
    if not table.empty:
        print("Written:", results.write(out, file, table))
    if trouble:
        raise trouble
    runs = wanted.runs()
    if len(table) < len(runs):
        print(f"Stopped: {len(table)} of {len(runs)} students are finished; run it again to go on")
        return 130
    return 0


@command
def choose(results: str = Argument(metavar="RESULTS", help=RESULTS)) -> int:
    """Print the setting of each method that the selection images of a study choose."""
    from rdlite.studies.choice import choose
    from rdlite.studies.results import read

    for task in read(results).tasks():
        chosen = choose(task).round(4).to_string(index=False)
        print("imbalance {imbalance:g}, head {head}".format(**task.spec.first), chosen, sep="\n")
    return 0


@command
def report(
    results: str = Argument(metavar="RESULTS", help=RESULTS),
    out: Path = Option("out/report", help="folder for the page"),
    over: str = Option("", help="a column of numbers: methods along it, such as epochs"),
) -> int:
    """Show a study's tables as a page. Methods, frontiers, and which claims hold."""
    from rdlite.studies import report, sweep
    from rdlite.studies.results import read

    study = read(results)
    written = sweep.write(study, over, out) if over else report.write(study, out)
    print("Written:", ", ".join(map(str, written)))
    return 0


def _print_cost(spec: GridSpec, store: Path, *, side_by_side: int, labels: bool) -> None:
    import torch

    from rdlite.studies import cost
    from rdlite.studies.grid import networks
    from rdlite.studies.store import Store
    from rdlite.training import devices

    teachers, runs = networks(spec)
    for run in runs if labels else []:
        print(run.label)
    store = store.expanduser()
    kept = Store(store, spec.device) if store.exists() else None
    waiting = [run for run in teachers + runs if kept is None or not kept.done(run)]
    found = f"{len(teachers + runs) - len(waiting)} of these networks are in the store"
    print(f"{len(runs)} students of {len(teachers)} teachers; {found}")
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if side_by_side > 1 else threads)
    together = side_by_side * devices.size()
    duration = cost.words(cost.of_study(waiting, together, spec.device))
    torch.set_num_threads(threads)
    what = "1 process" if together == 1 else f"{together} processes"
    print(f"The rest takes about {duration} in {what} of this machine", flush=True)


def _device(name: str, spec: GridSpec) -> str:
    """``name``; ``auto`` is what the spec says, else a GPU if there is one.

    A device that is not there is a ValueError.
    """
    import torch

    from rdlite.guards import checks

    if name == "auto" and spec.device:
        name = spec.device
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    checks.device("--device", name)
    return name


if __name__ == "__main__":
    sys.exit(main())
