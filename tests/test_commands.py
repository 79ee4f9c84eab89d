"""The commands as a user types them: help, defaults and options, and nothing heavy before work."""

import os
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from rdlite import __main__ as cli

COMMON = {"device": "auto", "dry_run": False}
PARSED = [
    (["demo"], {"seeds": 3, "imbalance": 100, "out": Path("out/demo"), "quick": False}),
    (["demo", "--imbalance=7", "--quick"], {"imbalance": 7, "quick": True}),
    (["demo", "--out", "here", "--device", "cpu"], {"out": Path("here"), "device": "cpu"}),
    (["train", "small"], {**COMMON, "recipe": "small", "store": None, "every": 1, "resume": False}),
    (["train", "--resume", "small", "--every", "3", "--store", "kept"],
     {"recipe": "small", "store": Path("kept"), "every": 3, "resume": True}),
    (["study", "small", "--store", "kept"],
     {**COMMON, "spec": "small", "store": Path("kept"), "out": None, "dask": None}),
    (["study", "small", "--store", "kept", "--dask", "tcp://here:1", "--dry-run", "--out", "out"],
     {"dask": "tcp://here:1", "dry_run": True, "out": Path("out")}),
    (["choose", "selection"], {"results": "selection"}),
    (["report", "comparison"], {"results": "comparison", "out": Path("out/report")}),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "values"), PARSED, ids=[" ".join(row[0]) for row in PARSED])
def test_a_command_gets_its_options_and_defaults(arguments, values):
    given = cli.get_command(cli.app)(arguments, standalone_mode=False).keywords
    assert {name: given[name] for name in values} == values


OPTIONS = {
    "demo": {"--seeds", "--imbalance", "--out", "--quick", "--device"},
    "train": {"RECIPE", "--store", "--every", "--resume", "--device", "--dry-run"},
    "study": {"SPEC", "--store", "--out", "--dask", "--device", "--dry-run"},
    "choose": {"RESULTS"},
    "report": {"RESULTS", "--out"},
}


@pytest.mark.parametrize("command", OPTIONS)
@pytest.mark.parametrize("help", ["--help", "-h"])
def test_help_lists_every_option_in_plain_text(command, help, capsys):
    assert cli.main([command, help]) == 0
    shown = capsys.readouterr().out
    listed = {line.split()[0].strip(",") for line in shown.splitlines() if line.startswith("  ")}
    assert OPTIONS[command] <= listed
    assert shown.isascii(), "no boxes, no colours"


def test_help_lists_every_command_and_waits_for_no_heavy_library():
    code = (
        "import sys; from rdlite.__main__ import main; code = main(['--help'])\n"
        "print('heavy:', {'torch', 'pandas', 'matplotlib', 'joblib', 'rich'} & set(sys.modules))\n"
        "sys.exit(code)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "heavy: set()" in shown.stdout
    listed = [line.split()[0] for line in shown.stdout.splitlines() if line.startswith("  ")]
    assert [name for name in listed if name in OPTIONS] == list(OPTIONS)


def test_the_installed_command_is_the_same_function():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert EntryPoint("rdlite", project["scripts"]["rdlite"], "console_scripts").load() is cli.main


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ValueError("bad"), 2, "bad"),
        (OSError("no disk"), 2, "no disk"),
        (FloatingPointError("NaN"), 1, "NaN"),
        (KeyboardInterrupt("stopped at 3"), 130, "stopped at 3"),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
)
def test_what_a_command_raises_becomes_its_exit_code_and_one_line(
    error, code, words, monkeypatch, capsys
):
    def stop(*_):
        raise error

    monkeypatch.setattr("rdlite.studies.report.write", stop)
    assert cli.main(["report", "comparison"]) == code
    assert capsys.readouterr().err == f"rdlite: {words}\n"


def test_a_reader_that_has_seen_enough_is_no_error():
    """As in ``rdlite choose selection | head -1``, on a pipe that is closed at once."""
    end, ours = os.pipe()
    os.close(end)
    command = [sys.executable, "-m", "rdlite", "choose", "selection"]
    shown = subprocess.run(command, stdout=ours, stderr=subprocess.PIPE, check=True)
    os.close(ours)
    assert shown.stderr == b""
