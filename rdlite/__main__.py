"""Command line: ``python -m rdlite demo``, ``train``, ``study`` and ``report``."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rdlite.studies.spec import GridSpec


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns 0, 1 if training diverged, 2 for bad input, 130 after Ctrl-C."""
    try:
        options = _options(sys.argv[1:] if arguments is None else arguments)
        return options.command(options)
    except (ValueError, OSError) as error:
        print(f"rdlite: {error}", file=sys.stderr)
        return 2
    except FloatingPointError as error:
        print(f"rdlite: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        print(f"rdlite: {error or 'stopped'}", file=sys.stderr)
        return 130


def _options(arguments: list[str]) -> argparse.Namespace:
    """The parsed arguments; of a misspelt command or option the message suggests the nearest."""
    parser, commands = _parser()
    if arguments and not arguments[0].startswith("-") and arguments[0] not in commands:
        known = ", ".join(map(repr, commands))
        near = _nearest(arguments[0], commands)
        parser.error(f"COMMAND must be one of {known}, got {arguments[0]!r}{near}")
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        known = re.findall(r"--[a-z-]+", commands[arguments[0]].format_help())
        parser.error(f"unrecognized argument: {unknown[0]}{_nearest(unknown[0], known)}")
    return options


def _nearest(value: str, known: Iterable[str]) -> str:
    from rdlite.guards import checks  # imports torch, which --help should not wait for

    return checks.nearest(value, known)


def _parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser, and that of each command."""
    parser = argparse.ArgumentParser(
        prog="python -m rdlite",
        description="Robust distillation for worst-class performance (arXiv:2206.06479).",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(run: Callable[[argparse.Namespace], int], words: str) -> argparse.ArgumentParser:
        name, how = run.__name__.strip("_"), argparse.ArgumentDefaultsHelpFormatter
        made = commands.add_parser(name, help=words, formatter_class=how)
        made.set_defaults(command=run)
        return made

    demo = command(_demo, "train the teacher x student grid on Fashion-MNIST with a long tail")
    demo.add_argument("--seeds", type=int, default=3, help="how many runs of the grid")
    demo.add_argument("--imbalance", type=float, default=100, help="largest over smallest class")
    demo.add_argument("--out", type=Path, default=Path("out/demo"), help="folder for the results")
    demo.add_argument("--quick", action="store_true", help="one seed and 5 epochs, under 2 minutes")
    train = command(
        _train, "train every run of a recipe, one after another, on one device or under torchrun"
    )
    train.add_argument("recipe", metavar="RECIPE", help="a TOML file, or a name in rdlite/recipes")
    train.add_argument("--store", type=Path, help="folder for the networks; by default out/RECIPE")
    train.add_argument("--every", type=int, default=1, help="rounds between two checkpoints")
    train.add_argument("--resume", action="store_true", help="go on with the run that was stopped")
    study = command(_study, "train every run of a TOML file; a killed study goes on where it was")
    study.add_argument("spec", metavar="SPEC", help="a TOML file, or a name in rdlite/recipes")
    study.add_argument("--store", type=Path, required=True, help="folder that keeps finished runs")
    study.add_argument("--out", type=Path, help="folder for the table; by default the store")
    study.add_argument("--dask", metavar="ADDRESS", help="scheduler of a Dask cluster to train on")
    for one in (demo, train, study):
        one.add_argument("--device", default="auto", help="cpu, cuda; auto: a GPU if there is one")
    for one in (train, study):
        one.add_argument("--dry-run", action="store_true", help="only print the runs and the time")
    report = command(_report, "a study's tables as a page: methods, frontiers, which claims hold")
    report.add_argument("results", help="folder of a study's table, or a name in data/results")
    report.add_argument("--out", type=Path, default=Path("out/report"), help="folder for the page")
    return parser, commands.choices


def _report(options: argparse.Namespace) -> int:
    from rdlite.studies import report, results

    print("Written:", ", ".join(map(str, report.write(results.read(options.results), options.out))))
    return 0


def _train(options: argparse.Namespace) -> int:
    from rdlite.studies import results
    from rdlite.studies.grid import train
    from rdlite.studies.spec import GridSpec, recipe
    from rdlite.training import devices

    file = recipe(options.recipe)
    with devices.group(_device(options.device)) as device:
        spec = replace(GridSpec.from_file(file), device=device)
        store = options.store or Path("out") / file.stem
        if options.dry_run or devices.rank() == 0:
            _print_cost(spec, store, side_by_side=1, labels=options.dry_run)
        if options.dry_run:
            return 0
        table = train(spec, store, every=options.every, resume=options.resume)
        if devices.rank() == 0:
            shown = table[["teacher", "student", "seed", "average", "worst", "worst_class"]]
            print(shown.round(4).to_string(index=False))
            print("Written:", results.write(store, file, table))
    return 0


def _study(options: argparse.Namespace) -> int:
    from rdlite.guards import files
    from rdlite.studies import results
    from rdlite.studies.grid import Diverged, processes, run_grid
    from rdlite.studies.spec import GridSpec, recipe

    file = recipe(options.spec)
    spec = replace(GridSpec.from_file(file), device=_device(options.device))
    if options.dry_run:
        _print_cost(spec, options.store, side_by_side=processes(spec.device), labels=True)
        return 0
    out = files.folder(options.out or options.store, "--out or --store")
    try:
        table, trouble = run_grid(spec, executor=options.dask, store=options.store), None
    except Diverged as error:
        table, trouble = error.table, error
    if not table.empty:
        print("Written:", results.write(out, file, table))
    if trouble:
        raise trouble
    runs = spec.runs()
    if len(table) < len(runs):
        print(f"Stopped: {len(table)} of {len(runs)} students are finished; run it again to go on")
        return 130
    return 0


def _print_cost(spec: GridSpec, store: Path, *, side_by_side: int, labels: bool) -> None:
    import torch

    from rdlite.studies import cost
    from rdlite.studies.store import Store
    from rdlite.training import devices

    runs = spec.runs()
    for run in runs if labels else []:
        print(run.label)
    teachers = list(dict.fromkeys(run.teacher for run in runs if run.teacher))
    print(f"{len(runs)} students of {len(teachers)} teachers", end="")
    kept = Store(store, spec.device) if store.exists() else None
    waiting = [run for run in teachers + runs if kept is None or not kept.done(run)]
    print(f"; {len(teachers + runs) - len(waiting)} of these networks are in the store")
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if side_by_side > 1 else threads)
    together = side_by_side * devices.size()
    duration = cost.words(cost.of_study(waiting, together, spec.device))
    torch.set_num_threads(threads)
    what = "1 process" if together == 1 else f"{together} processes"
    print(f"The rest takes about {duration} in {what} of this machine", flush=True)


def _demo(options: argparse.Namespace) -> int:
    from rdlite.guards import checks
    from rdlite.studies import demo
    from rdlite.studies.spec import GridSpec

    checks.integer("--seeds", options.seeds, low=1)
    spec = GridSpec(
        imbalance=options.imbalance,
        seeds=tuple(range(options.seeds)),
        device=_device(options.device),
    )
    if options.quick:
        spec = replace(spec, seeds=(0,), config=replace(spec.config, epochs=5))
    table = demo.train_and_write(spec, options.out)
    return 0 if len(table) == len(spec.runs()) else 130


def _device(name: str) -> str:
    """``name``, with ``auto`` resolved; a device that is not there is a ValueError."""
    import torch

    from rdlite.guards import checks

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    checks.device("--device", name)
    return name


if __name__ == "__main__":
    sys.exit(main())
