"""`python -m rdlite train`: recipes, networks as plain data, and real processes that are killed."""

import json
import signal
from pathlib import Path

import pytest
from safetensors.torch import load_file
from test_data_cifar import small  # noqa: F401

from rdlite import __main__ as cli
from rdlite.distillation import predict
from rdlite.metrics import summary
from rdlite.studies import GridSpec, results, spec
from rdlite.studies import run as run_module
from rdlite.studies.store import Store
from rdlite.training.checkpoints import Checkpoint

SPEC = """\
imbalance = 10
head = 100
heldout = 20
size = 14
teacher_network = "cnn-8"
student_network = "cnn-4"
teacher = "standard"
student = ["standard", "robust"]
seed = 0
mix = 0.5
epochs = 4
rounds = 6
batch_size = 32
shift = 1
"""
RECIPES = sorted(spec.RECIPES.glob("*.toml"))


@pytest.fixture
def recipe(tmp_path):
    file = tmp_path / "small.toml"
    file.write_text(SPEC)
    return file


def train(recipe, store, *options):
    return cli.main(["train", str(recipe), "--device", "cpu", "--store", str(store), *options])


def contents(store, recipe):
    """Every card but for the time, and all weights as bytes."""
    cards, tensors = {}, {}
    students = GridSpec.from_file(recipe).runs()
    for run in {*students, *(run.teacher for run in students)}:
        cards[run.key] = json.loads(Store(store).card(run).read_text())
        cards[run.key]["result"].pop("seconds")
        tensors[run.key] = Store(store).weights(run).read_bytes()
    return cards, tensors


def test_every_network_is_exported_with_a_card(recipe, tmp_path, capsys):
    store = tmp_path / "store"
    assert train(recipe, store) == 0
    shown = capsys.readouterr().out
    assert "2 students of 1 teachers; 0 of these networks are in the store" in shown
    assert "The rest takes about" in shown and f"Written: {store}" in shown
    for run in GridSpec.from_file(recipe).runs():
        card = json.loads(Store(store).card(run).read_text())
        splits = run.splits()
        assert card["data"] == splits.fingerprint and card["label"] == run.label
        assert card["run"]["objective"]["alpha"] == run.objective.alpha
        net = run.create()
        net.load_state_dict(load_file(Store(store).weights(run)))
        scores = summary(predict(net, splits.test), splits.test.labels)
        assert card["result"]["worst"] == scores["worst"]
        assert card["result"]["per_class"] == scores["per_class"]
    assert not (store / "checkpoint.pt").exists()
    before = contents(store, recipe)
    assert train(recipe, store) == 0, "nothing is left to do"
    assert "3 of these networks are in the store" in capsys.readouterr().out
    assert contents(store, recipe) == before


@pytest.fixture
def stopped(recipe, tmp_path, monkeypatch, capsys):
    """A store whose first run was stopped in its second round."""
    store, rounds = tmp_path / "stopped", []

    def stop(_row, *_):
        rounds.append(1)
        if len(rounds) == 2:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr("rdlite.training.loop.hedge_step", lambda m, *_: (stop(m), m)[1])
        assert train(recipe, store) == 130
    assert "checkpoint.pt is where it goes on" in capsys.readouterr().err
    return store


def test_a_stopped_run_goes_on_only_when_asked(recipe, stopped, capsys):
    assert train(recipe, stopped) == 2
    message = capsys.readouterr().err
    assert "checkpoint.pt is of a run that was stopped: go on with it (--resume)" in message
    assert train(recipe, stopped, "--resume") == 0
    assert len(list(stopped.glob("*.safetensors"))) == 3


def test_killed_between_the_card_and_the_end_of_its_checkpoint_it_goes_on(
    recipe, tmp_path, monkeypatch
):
    """The checkpoint of a finished network is in the way of the next one, unless it is known."""
    store = tmp_path / "store"

    def killed(_self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "remove", killed)
        assert train(recipe, store) == 130
    assert (store / "checkpoint.pt").exists() and len(list(store.glob("*.json"))) == 1
    assert train(recipe, store, "--resume") == 0
    assert len(list(store.glob("*.json"))) >= 3 and not (store / "checkpoint.pt").exists()


def test_a_changed_recipe_is_refused_with_the_keys(recipe, stopped, capsys):
    recipe.write_text(SPEC.replace("epochs = 4", "epochs = 5").replace("cnn-8", "cnn-7"))
    assert train(recipe, stopped, "--resume") == 2
    message = capsys.readouterr().err
    assert "config.epochs was 4, is 5" in message
    assert "run.network was 'cnn-8', is 'cnn-7'" in message


def test_a_training_that_diverges_exits_1_and_says_where(recipe, tmp_path, capsys):
    recipe.write_text(SPEC + "learning_rate = 1e30\n")
    assert train(recipe, tmp_path / "store") == 1
    assert "not finite at step" in capsys.readouterr().err


def test_a_recipe_is_found_by_its_name_and_a_missing_one_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert spec.recipe("softness").name == "softness.toml"
    Path("softness").write_text("")  # a file of one's own comes first
    assert spec.recipe("softness") == Path("softness")
    assert cli.main(["train", "nothing"]) == 2
    message = capsys.readouterr().err
    assert "nothing" in message and "cifar10-lt" in message


@pytest.mark.parametrize("file", RECIPES, ids=[file.stem for file in RECIPES])
def test_every_recipe_is_a_grid(file):
    spec = GridSpec.from_file(file)
    assert len(spec.runs()) >= 4


@pytest.mark.parametrize(
    ("name", "dataset", "imbalance", "networks"),
    [
        ("cifar10-lt", "cifar10", 100, ("resnet-56", "resnet-32")),
        ("cifar100-lt", "cifar100", 100, ("resnet-56", "resnet-32")),
        ("cifar10", "cifar10", 1, ("resnet-56", "resnet-32")),
        ("cifar100", "cifar100", 1, ("resnet-56", "resnet-32")),
        ("tiny-imagenet", "tiny-imagenet", 1, ("resnet-18",)),
        ("tiny-imagenet-lt", "tiny-imagenet", 100, ("resnet-18",)),
    ],
)
def test_the_paper_scale_recipes_are_the_protocol_of_the_field(name, dataset, imbalance, networks):
    grid = GridSpec.from_file(spec.recipe(name))
    size = 64 if "tiny" in name else 32
    runs = grid.runs()
    assert {(run.dataset, run.imbalance, run.size) for run in runs} == {(dataset, imbalance, size)}
    assert {run.network for run in runs} == set(networks)
    assert {run.teacher.network for run in runs if run.teacher} == {networks[0]}
    config = runs[0].config
    assert (config.epochs, config.batch_size, config.schedule) == (200, 128, "cosine")
    assert (config.learning_rate, config.momentum, config.flip) == (0.1, 0.9, True)
    assert 1e-4 <= config.weight_decay <= 5e-4 and config.shift == (8 if "tiny" in name else 4)


@pytest.mark.slow
def test_a_paper_scale_recipe_trains_on_an_archive_of_the_official_layout(
    small,  # noqa: F811
    tmp_path,
    monkeypatch,
    capsys,
):
    """The shipped text but for a few numbers: another size of data, network and run."""
    name, root, *_ = small
    changes = {
        "imbalance = 100": "imbalance = 2",
        "head = 4500" if name == "cifar10" else "head = 450": "head = 6",
        "heldout = 500" if name == "cifar10" else "heldout = 50": "heldout = 2",
        '"resnet-56"\nstudent_network = ["resnet-56", "resnet-32"]': '"resnet-8"\n'
        'student_network = "resnet-8"\nteacher = "standard"\nstudent = "robust"',
        "epochs = 200": "epochs = 1",
    }
    text = spec.recipe(f"{name}-lt").read_text()
    for old, new in changes.items():
        assert text.count(old) >= 1
        text = text.replace(old, new)
    recipe = tmp_path / "shrunk.toml"
    recipe.write_text(text)
    monkeypatch.setenv("RDLITE_DATA", str(root))
    run_module._load.cache_clear()
    assert train(recipe, tmp_path / "store") == 0
    assert "taught by resnet-8 for standard" in capsys.readouterr().out
    table = results.read(tmp_path / "store").table
    assert len(table) == 1 and len(table.per_class[0]) == (10 if name == "cifar10" else 100)
    run_module._load.cache_clear()
