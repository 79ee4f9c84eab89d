"""Nothing that is read can run code, leave its folder, or become markup; nobody else gets in."""

import ast
import dataclasses
import gzip
import io
import json
import os
import pickle
import re
import shlex
import socket
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from advisories import verdict
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.cbook import is_math_text
from matplotlib.text import Text
from test_data_archives import entry
from test_report import study as reported
from test_report import table as rows_of_a_study

from rdlite import __main__ as cli
from rdlite import data, plots
from rdlite.data.named import ARCHIVES
from rdlite.panels import ClassWeightPanel, PlanePanel, TeacherPanel, TradeoffPanel
from rdlite.panels.base import Panel, slider
from rdlite.studies import figures, report, results
from rdlite.studies.run import Run
from rdlite.studies.store import Store
from rdlite.training import TrainConfig
from rdlite.training.checkpoints import Checkpoint

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*ROOT.glob("rdlite/**/*.py"), *ROOT.glob("notebooks/*.py")])
NOTEBOOKS = sorted(ROOT.glob("notebooks/**/*.ipynb"))

# ---------------------------------------------------------------- no pickle, no code from data

FORBIDDEN = {  # the end of a call's dotted name
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "dill.load", "dill.loads", "joblib.load"),
    *("marshal.load", "marshal.loads", "shelve.open", "read_pickle", "cloudpickle.loads"),
    *("yaml.load", "yaml.unsafe_load", "os.system", "os.popen", "extractall", "extract"),
    *("eval", "exec", "compile", "__import__"),
}
NEEDS = {  # module -> what its ``load`` must be given
    "torch": ("weights_only", True),
    "np": ("allow_pickle", False),
    "numpy": ("allow_pickle", False),
}


def dotted(node):
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def dangers(text):
    """Calls in a source that could run what a file holds: (line, name)."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        given = {k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)}
        own = {"model.eval", "torch.compile", "re.compile"}  # of other meanings
        method = name.endswith(".eval") or name in own
        bad = any(name == end or name.endswith("." + end) for end in FORBIDDEN) and not method
        key, wanted = NEEDS.get(name.split(".")[0], (None, None))
        bad |= bool(key) and name.endswith(".load") and given.get(key) is not wanted
        bad |= given.get("shell") is True or given.get("allow_pickle") is True
        if bad:
            found.append((node.lineno, name))
    return found


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_source_loads_a_pickle_or_runs_text(file):
    assert dangers(file.read_text()) == []


def test_no_notebook_does_either():
    assert NOTEBOOKS
    for file in NOTEBOOKS:
        for cell in json.loads(file.read_text())["cells"]:
            if cell["cell_type"] == "code":
                code = re.sub(r"^[%!].*", "", "".join(cell["source"]), flags=re.MULTILINE)
                assert dangers(code) == [], file


@pytest.mark.parametrize(
    "code",
    [
        "pickle.load(f)",
        "import pickle as p\npickle.loads(b)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=trusted)",
        "np.load(path)",
        "numpy.load(path, allow_pickle=True)",
        "np.lib.npyio.load(path, allow_pickle=True)",
        "joblib.load(path)",
        "pd.read_pickle(path)",
        "yaml.load(text, yaml.Loader)",
        "eval(text)",
        "exec(text)",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
        "archive.extractall(folder)",
        "tarfile.open(path).extract(member)",
    ],
)
def test_the_search_finds_what_it_searches(code):
    assert dangers(code)


def test_the_search_lets_safe_calls_pass():
    safe = "torch.load(p, weights_only=True); np.load(p, allow_pickle=False); net.eval()\n"
    assert dangers(safe + "re.compile(x); archive.extractfile(m); torch.compile(net)") == []


class Evil:
    """Leaves a file in the present folder where it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch evil",)


EVIL = pickle.dumps(Evil())


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder that is the present one; at the end nothing was run in it."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not (tmp_path / "evil").exists()


def test_the_malicious_pickle_works_where_pickles_are_loaded(tmp_path, monkeypatch):
    """Otherwise the tests below would prove nothing."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(EVIL)
    assert (tmp_path / "evil").exists()


SPEC = """\
imbalance = 2
head = 20
heldout = 4
teacher_network = "linear"
student_network = "linear"
teacher = "none"
student = "standard"
seed = 0
epochs = 1
"""


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("packed", [False, True], ids=["bare", "in torch's zip"])
def test_a_malicious_checkpoint_is_refused_by_the_command(here, capsys, packed):
    """`test_checkpoints` refuses it in `fit`; here through --resume."""
    (here / "small.toml").write_text(SPEC)
    (here / "store").mkdir()
    file = here / "store" / "checkpoint.pt"
    torch.save({"state": Evil()}, file) if packed else file.write_bytes(EVIL)
    assert cli.main(["train", "small.toml", "--store", "store", "--resume"]) == 2
    assert "checkpoint.pt is not a checkpoint of rdlite" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.binary(max_size=60), st.sampled_from([b"", b"\x80\x02", b"PK\x03\x04", b"a"]))
def test_whatever_the_bytes_a_checkpoint_is_refused_in_words(tmp_path_factory, content, start):
    path = tmp_path_factory.mktemp("bytes") / "c.pt"
    path.write_bytes(start + content)
    with pytest.raises(ValueError, match=r"c\.pt is not a checkpoint of rdlite"):
        Checkpoint(path=path).read()


TINY = {"head": 20, "heldout": 4, "imbalance": 2, "size": 8, "network": "linear"}


@pytest.mark.parametrize("ending", [".safetensors", ".json"])
def test_malicious_weights_and_cards_are_refused(here, ending):
    store, run = Store(here / "store"), Run(**TINY, config=TrainConfig(epochs=1))
    for name in (".safetensors", ".json"):
        (store.folder / f"{run.key}{name}").write_bytes(EVIL)
    with pytest.raises(ValueError, match=rf"{run.key}\{ending} .*; delete it to train"):
        store.network(run) if ending == ".safetensors" else store.result(run)


@pytest.mark.parametrize("name", ["runs.csv", "about.json", "spec.toml"])
def test_a_malicious_result_file_is_refused(here, name):
    for file in (results.SHIPPED / "softness").iterdir():
        (here / file.name).write_bytes(file.read_bytes())
    (here / name).write_bytes(EVIL)
    with pytest.raises(ValueError, match=re.escape(name)):
        results.read(here)


# ---------------------------------------------------------------- archives stay in their folder


def tar_with(*strangers):
    """CIFAR-10's layout with strange members: (TarInfo, content)."""
    buffer = io.BytesIO()
    usual = [("cifar-10-batches-bin/batches.meta.txt", b"a\nb\n")]
    usual += [(f"cifar-10-batches-bin/data_batch_{i}.bin", bytes(3073)) for i in range(1, 6)]
    usual += [("cifar-10-batches-bin/test_batch.bin", bytes(3073))]
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for info, content in [*((tarfile.TarInfo(n), c) for n, c in usual), *strangers]:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def zip_with(*strangers):
    """Tiny ImageNet's layout with strange members: (ZipInfo or name, content)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("tiny-imagenet-200/wnids.txt", "n0\nn1\n")
        for info, content in strangers:
            archive.writestr(info, content)
    return buffer.getvalue()


def zip_link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


INSIDE = "cifar-10-batches-bin/"
STRANGE = {
    "a tar that goes up": ("cifar10", tar_with((tarfile.TarInfo("../out"), b"x"))),
    "a tar that goes up inside": ("cifar10", tar_with((tarfile.TarInfo(INSIDE + "../../o"), b"x"))),
    "an absolute tar": ("cifar10", tar_with((tarfile.TarInfo("/tmp/out"), b"x"))),
    "a tar with a link to a folder": (
        "cifar10",
        tar_with(link(INSIDE + "up", ".."), (tarfile.TarInfo(INSIDE + "up/out"), b"x")),
    ),
    "a tar whose batch is a link": ("cifar10", tar_with(link(INSIDE + "test_batch.bin", "/etc"))),
    "a tar whose batch is a hard link": (
        "cifar10",
        tar_with(link(INSIDE + "test_batch.bin", "../secret", tarfile.LNKTYPE)),
    ),
    "a zip that goes up": ("tiny-imagenet", zip_with(("../out", b"x"))),
    "an absolute zip": ("tiny-imagenet", zip_with(("/tmp/out", b"x"))),
    "a zip with backslashes": ("tiny-imagenet", zip_with(("a\\..\\..\\out", b"x"))),
    "a zip with a link": (
        "tiny-imagenet",
        zip_with((zip_link("tiny-imagenet-200/up"), ".."), ("tiny-imagenet-200/up/out", b"x")),
    ),
}


@pytest.mark.parametrize("what", STRANGE)
def test_an_archive_writes_nothing_outside_its_folder(tmp_path, monkeypatch, what):
    """In the layout of the official ones: refused, and around the data folder all is as it was."""
    name, content = STRANGE[what]
    root = tmp_path / "above" / "data"
    secret = root.parent / "secret"
    official = ARCHIVES[name]
    (root / official.file).parent.mkdir(parents=True)
    (root / official.file).write_bytes(content)
    secret.write_text("secret")
    own = entry("http://127.0.0.1:9/none", content, official.file, classes=official.classes)
    monkeypatch.setitem(ARCHIVES, name, dataclasses.replace(own, side=32, train=5, test=1))
    before = set(Path("/tmp").iterdir())
    with pytest.raises(OSError):
        data.load(name, root=root)
    around = {file for file in tmp_path.rglob("*") if root not in file.parents}
    assert around == {root.parent, root, secret} and secret.read_text() == "secret"
    assert Path("/tmp/out") not in set(Path("/tmp").iterdir()) - before
    decoded = [f for f in root.rglob("*") if f.is_file() and f != root / official.file]
    assert {file.name for file in decoded} <= {".lock"}, "nothing of it is kept"


def test_the_name_inside_a_gz_file_is_not_used(tmp_path, monkeypatch):
    """Fashion-MNIST: an archive that says it is another file unpacks to its own place."""
    from rdlite.data import fashion_mnist

    buffer = io.BytesIO()
    with gzip.GzipFile("../../out", "wb", fileobj=buffer) as packed:
        packed.write(b"pixels")
    file = tmp_path / "above" / "raw" / "labels.gz"
    file.parent.mkdir(parents=True)
    file.write_bytes(buffer.getvalue())
    md5 = entry("", buffer.getvalue()).md5
    fashion_mnist._unpack(file, md5, 6)
    assert sorted(f.name for f in tmp_path.rglob("*") if f.is_file()) == ["labels", "labels.gz"]


# ---------------------------------------------------------------- names stay text

SCRIPT = "<script>alert(1)</script>"
NAMES = (SCRIPT, '"><img src=x onerror=alert(1)>', "$x$ & $y$", "[a](javascript:alert(1))|*b*")
MARKUP = re.compile(r"<script|<img")


def html_of(widget):
    """The HTML of a widget and of all in it; labels that allow HTML count too."""
    found = []
    if isinstance(widget, (widgets.HTML, widgets.HTMLMath)):
        found.append(widget.value)
    if getattr(widget, "description_allow_html", False):
        found.append(widget.description)
    for child in getattr(widget, "children", ()):
        found += html_of(child)
    return found


def weight_panel():
    labels = torch.arange(4).repeat(5)
    logits = torch.eye(4)[labels] + 0.1 * torch.arange(4)
    grid = torch.tensor([[x, y] for y in range(-2, 3) for x in range(-2, 3)], dtype=torch.float64)
    regions = grid, torch.randn(25, 4, generator=torch.Generator().manual_seed(0)), grid[:4]
    return ClassWeightPanel(logits, labels, NAMES, [4, 3, 2, 1], regions=regions)


def tradeoff_panel():
    rows = rows_of_a_study()
    rows = rows[(rows.method == "fit") & (rows.student != "0.5") & ~rows.add_heldout]
    corners = rows[(rows.teacher == "standard")]
    every = [corners.assign(teacher=SCRIPT), corners]
    import pandas as pd

    return TradeoffPanel(dataclasses.replace(reported(pd.concat(every)), class_names=NAMES))


PANELS = {
    "weights": weight_panel,
    "tradeoff": tradeoff_panel,
    "plane": PlanePanel,
    "teacher": TeacherPanel,
}


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_shows_names_and_errors_as_text(name):
    panel = PANELS[name]()
    pages = html_of(panel)
    assert len(pages) >= 2 and not any(MARKUP.search(page) for page in pages)
    if name in ("weights", "tradeoff"):
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in panel.numbers.value
    assert 'role="alert"' not in panel.numbers.value
    for text in panel.figure().findobj(Text):
        assert not is_math_text(text.get_text()), text.get_text()
    panel.show_error(ValueError(f"no {SCRIPT}"))
    assert "&lt;script&gt;" in panel.numbers.value and "<script" not in panel.numbers.value


def test_a_hint_is_text_too():
    class Small(Panel):
        def compute(self, state):
            return state["x"]

        def describe(self, result):
            return "1"

        def draw(self, figure, result):
            return None

    pages = html_of(Small({"x": slider("x", [1, 2], 1)}, size=(100, 50), hint=SCRIPT))
    assert not any(MARKUP.search(page) for page in pages)
    assert "&lt;script&gt;" in pages[0]


@pytest.mark.parametrize("top", range(4))
def test_a_report_shows_class_names_as_text(tmp_path, top):
    """The class that gains most is named among the claims, in both pages."""
    names = tuple(np.roll(NAMES, -top))
    rows = rows_of_a_study()
    report.write(dataclasses.replace(reported(rows), class_names=names), tmp_path)
    page, text = ((tmp_path / f"report.{end}").read_text() for end in ("html", "md"))
    assert not re.search(r"<script|<img src=x|onerror=alert\(1\)>", page)
    assert page.count("<img ") == 1, "the figure"
    assert not re.search(r"<script|<img|[^\\]\]\(javascript", text)
    shown = {0: "&lt;script&gt;", 1: "&lt;img src=x", 2: "$x$ &amp; $y$", 3: "[a](javascript"}
    assert shown[top] in page.replace("&quot;&gt;", "")
    in_text = {0: "&lt;script>", 1: "&lt;img src=x", 2: "$x$ &amp; $y$", 3: r"[a\](javascript"}
    assert in_text[top] in text
    widths = {line.replace(r"\|", "").count("|") for line in text.splitlines() if "; most " in line}
    assert widths == {6}, "a bar in a name makes no column"


def test_titles_and_labels_of_figures_have_no_formula_from_names(splits):
    accuracies = {"$a$ and $b$": np.array([[0.1, 0.2, 0.3, 0.4]])}
    few = data.Split(splits.heldout.images[:4], torch.arange(4), NAMES)
    shares = {"p": torch.full((4,), 0.25)}
    logits, labels = torch.eye(4), torch.arange(4)
    axes = [
        plots.class_bars(accuracies, NAMES, [4, 3, 2, 1]),
        plots.class_curves(np.ones((3, 4)), NAMES, ylabel="risk"),
        plots.examples(few, 1),
        plots.shares_of_classes(shares, NAMES),
        plots.predictions_of_class({"p": logits}, labels, 2, NAMES),
        figures.estimates([1.0] * 4, {"e": torch.ones(5, 4)}, NAMES, [1, 2, 3, 4]),
    ]
    for ax in axes:
        texts = [text.get_text() for text in ax.figure.findobj(Text)]
        assert any("x" in text and "$" in text for text in texts), "the name is shown"
        assert [text for text in texts if is_math_text(text)] == []
        ax.figure.canvas.draw()
    plt.close("all")


# ---------------------------------------------------------------- JupyterLab

LISTEN = "0A"


def listening(port):
    """Local addresses, in /proc's hexadecimal, on which something listens at ``port``."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            address, at = local.split(":")
            if state == LISTEN and int(at, 16) == port:
                found.add(address)
    return found


def command_of(target):
    """The last line of a target of the Makefile, as words."""
    makefile = (ROOT / "Makefile").read_text()
    lines = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)[1].splitlines()
    return shlex.split(lines[-1].replace("$(BIN)/", "").replace("$(ARGS)", ""))


@pytest.fixture
def lab(tmp_path):
    """The server that `make lab` starts, without its browser; yields (port, token)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program, *words = command_of("lab")
    assert program == "jupyter"
    own = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    options = ["--no-browser", "--allow-root", f"--ServerApp.port={port}"]
    options += ["--ServerApp.port_retries=0"]
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyter", *words, *options],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            env=os.environ | own,
        )
        try:
            deadline = time.monotonic() + 120
            while not (found := list((tmp_path / "RUNTIME").glob("jpserver-*.json"))):
                assert time.monotonic() < deadline and server.poll() is None, "no JupyterLab"
                time.sleep(0.3)
            while not listening(port):
                time.sleep(0.3)
            yield port, json.loads(found[0].read_text())["token"]
        finally:
            server.terminate()
            server.wait(timeout=30)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def ask(url):
    """(status, where it leads) of an answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect)
    try:
        with opener.open(url, timeout=60) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Location", "")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux's /proc")
def test_make_lab_listens_on_this_machine_alone_and_asks_for_its_token(lab):
    port, token = lab
    assert len(token) >= 32
    assert listening(port) == {"0100007F"}, "127.0.0.1, and no other address"
    url = f"http://127.0.0.1:{port}"
    assert ask(f"{url}/api/contents")[0] == 403
    status, where = ask(f"{url}/lab")
    assert status == 302 and where.startswith("/login")
    assert ask(f"{url}/api/contents?token={token[:-1]}")[0] == 403
    assert ask(f"{url}/api/contents?token={token}")[0] == 200


def test_make_lab_turns_no_protection_off():
    line = " ".join(command_of("lab"))
    assert "--ServerApp.ip=127.0.0.1" in line
    assert not re.search(r"token|password|allow_origin|disable_check_xsrf|0\.0\.0\.0", line)


# ---------------------------------------------------------------- advisories on dependencies


def test_a_known_weakness_is_named_and_exits_1():
    found = {"id": "GHSA-0", "fix_versions": ["2.1"], "aliases": [], "description": ""}
    packages = [
        {"name": "good", "version": "1.0", "vulns": []},
        {"name": "weak", "version": "2.0", "vulns": [found]},
        {"name": "own", "skip_reason": "editable"},
    ]
    code, lines = verdict(json.dumps({"dependencies": packages}), "")
    assert code == 1 and "weak 2.0: GHSA-0, mended in 2.1" in lines
    assert lines[0] == "not asked about own: editable"
    assert lines[-1] == "advisories: 1 known weaknesses in 2 packages, 1 not asked about"
    code, lines = verdict(json.dumps({"dependencies": packages[:1]}), "")
    assert code == 0 and lines == [
        "advisories: 0 known weaknesses in 1 packages, 0 not asked about"
    ]


def test_advisories_on_nothing_that_could_be_asked_do_not_say_that_all_is_well():
    """What pip-audit calls "No known vulnerabilities found" behind an index without advisories."""
    packages = [{"name": "torch", "skip_reason": "Dependency not found"}] * 3
    code, lines = verdict(json.dumps({"dependencies": packages}), "No known vulnerabilities")
    assert code == 0
    assert lines == [
        "advisories: not done, nothing could be asked about any package (Dependency not found)"
    ]


@pytest.mark.parametrize("output", ["", "Traceback", "[]", "{}"])
def test_advisories_without_the_network_say_that_they_were_not_read(output):
    code, lines = verdict(output, "noise\nConnectionError: no route")
    assert code == 0
    assert lines == [
        "advisories: not done, the advisories cannot be read from here (ConnectionError: no route)"
    ]
