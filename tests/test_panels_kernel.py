"""The panels in a real kernel, moved from outside it: by cells, and by messages as a browser sends.

One notebook is made here and run by nbclient, a cell a panel. ``Lab`` is the front end: `run`
executes a cell more, `move` sends what a browser sends when a control is let go.
"""

import hashlib
import inspect
import json
import os
import struct

import nbclient
import numpy as np
import psutil
import pytest
from nbclient.util import run_sync
from nbformat import v4

from rdlite.panels import ClassWeightPanel, PlanePanel, TeacherPanel

pytestmark = pytest.mark.slow  # starts a kernel


def look(panel):
    """What a panel shows; the same function runs here and in the kernel."""
    return {
        "state": panel.state,
        "numbers": panel.numbers.value,
        "picture": hashlib.sha256(panel.picture.value).hexdigest(),
        "hidden": panel.picture.layout.display == "none",
    }


BEGIN = f"""\
import hashlib, json
import torch
from rdlite import panels
torch.set_num_threads(1)
{inspect.getsource(look)}"""
PANELS = {  # variable -> how a notebook makes it
    "plane": "panels.PlanePanel()",
    "teacher": "panels.TeacherPanel()",
    "weights": "panels.ClassWeightPanel.on_plane()",
}
MAKERS = {"plane": PlanePanel, "teacher": TeacherPanel, "weights": ClassWeightPanel.on_plane}
MOVES = [  # panel, control, the value that a cell sets, the one that the browser sets
    ("plane", "alpha", 0.3, 0.0),
    ("plane", "imbalance", 5, 1),
    ("teacher", "strength", 0.25, 1.5),
    ("teacher", "teacher", "noise", "rare"),
    ("weights", "left", 0.1, 0.001),
]


class Lab:
    """A running notebook, its widgets known by their id, as to a browser."""

    def __init__(self, client):
        self.client = client

    def run(self, source):
        """Execute one more cell; returns it."""
        cell = v4.new_code_cell(source)
        self.client.nb.cells.append(cell)
        self.client.execute_cell(cell, len(self.client.nb.cells) - 1)
        assert all(output.get("name") != "stderr" for output in cell.outputs)
        return cell

    def look(self, name):
        """What a panel of the kernel shows."""
        return json.loads(self.run(f"print(json.dumps(look({name})))").outputs[0].text)

    def model(self, widget):
        """The id of a widget, such as ``plane.picture``."""
        return self.run(f"print({widget}.model_id)").outputs[0].text.strip()

    def move(self, widget, state):
        """Change a widget's state as a browser does; returns what the kernel sends meanwhile."""
        return self.send(self.model(widget), state)

    def send(self, model, state):
        """`move`, where the id is known."""
        data = {"method": "update", "state": state, "buffer_paths": []}
        kernel = self.client.kc
        message = kernel.session.msg("comm_msg", {"comm_id": model, "data": data})
        kernel.shell_channel.send(message)
        received = []
        while True:
            answer = run_sync(kernel.get_iopub_msg)(timeout=60)
            if answer["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                received.append(answer)
                if answer["content"].get("execution_state") == "idle":
                    return received


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("notebook"))
    cells = [v4.new_code_cell(BEGIN)]
    cells += [v4.new_code_cell(f"{name} = {made}\n{name}") for name, made in PANELS.items()]
    client = nbclient.NotebookClient(
        v4.new_notebook(cells=cells),
        kernel_name="python3",
        timeout=120,
        resources={"metadata": {"path": folder}},
    )
    with client.setup_kernel(env={**os.environ, "OMP_NUM_THREADS": "1"}):
        for number, cell in enumerate(cells):
            client.execute_cell(cell, number)
        yield Lab(client)


@pytest.fixture(scope="module")
def here():
    """The same panels in this process: what the kernel should show."""
    return {name: make() for name, make in MAKERS.items()}


def updates(messages, model):
    """The new values that a browser receives for one widget, with their buffers."""
    own = [m for m in messages if m["content"].get("comm_id") == model]
    own = [m for m in own if m["content"]["data"]["method"] == "update"]
    return [(m["content"]["data"]["state"], [bytes(part) for part in m["buffers"]]) for m in own]


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_is_shown_as_a_widget_with_the_numbers_of_this_process(lab, here, name):
    cell = lab.client.nb.cells[1 + list(PANELS).index(name)]
    (output,) = cell.outputs
    assert output.data["text/plain"] == repr(here[name])
    view = output.data["application/vnd.jupyter.widget-view+json"]
    assert lab.client.widget_state[view["model_id"]]["_model_name"] == "VBoxModel"
    assert lab.look(name) == look(here[name])


@pytest.mark.parametrize(("name", "control", "value", "_"), MOVES)
def test_a_cell_moves_a_control_and_reset_goes_back(lab, here, name, control, value, _):
    panel, first = here[name], look(here[name])
    lab.run(f"{name}.controls[{control!r}].value = {value!r}")
    panel.state = {control: value}
    moved = lab.look(name)
    assert moved == look(panel)
    assert moved["state"] != first["state"]
    assert moved["numbers"] != first["numbers"] and moved["picture"] != first["picture"]
    assert panel.describe(panel.compute(moved["state"])) == moved["numbers"]
    lab.run(f"{name}.reset_button.click()")
    panel.reset()
    assert lab.look(name) == first == look(panel)


@pytest.mark.parametrize(("name", "control", "_", "value"), MOVES)
def test_a_browser_moves_a_control_and_receives_numbers_and_picture(
    lab, here, name, control, _, value
):
    first, panel = lab.look(name), here[name]
    values = [option for _, option in panel.controls[control].options]
    picture, numbers = lab.model(f"{name}.picture"), lab.model(f"{name}.numbers")
    messages = lab.move(f"{name}.controls[{control!r}]", {"index": values.index(value)})
    panel.state = {control: value}
    assert all(m["msg_type"] in ("status", "comm_msg") for m in messages)  # no error, no output
    ((state, (png,)),) = updates(messages, picture)
    assert state == {} and png == panel.picture.value
    assert struct.unpack(">II", png[16:24]) == panel.size
    assert updates(messages, numbers) == [({"value": panel.numbers.value}, [])]
    assert lab.look(name) == look(panel) != first

    lab.run(f"{name}.reset()")
    panel.reset()
    assert lab.look(name) == first


def test_a_click_on_reset_in_the_browser_goes_back(lab):
    first = lab.look("weights")
    lab.run("weights.state = {'left': 0.1}")
    assert lab.look("weights") != first
    data = {"method": "custom", "content": {"event": "click"}}
    kernel = lab.client.kc
    content = {"comm_id": lab.model("weights.reset_button"), "data": data}
    kernel.shell_channel.send(kernel.session.msg("comm_msg", content))
    assert lab.look("weights") == first


def test_an_error_is_shown_in_the_panel_of_the_kernel_and_goes_away(lab):
    first = lab.look("weights")
    lab.run("saved = weights.logits.clone(); weights.logits[4, 1] = torch.nan")
    messages = lab.move("weights.controls['top']", {"index": 5})
    assert all(m["msg_type"] in ("status", "comm_msg") for m in messages)
    broken = lab.look("weights")
    assert 'role="alert"' in broken["numbers"] and "logits must be finite" in broken["numbers"]
    assert broken["hidden"]
    lab.run("weights.logits = saved; weights.reset()")
    assert lab.look("weights") == first


def test_500_moves_leave_memory_and_figures_flat(lab, here):
    """Sliders at random, as messages of a browser; after a warm-up that fills what is remembered.

    A figure that stays open is about 1 MB and a picture 50 kB, so a leak in each of 500 moves would
    be 25 MB at the least. What an allocator keeps or gives back moves the memory by a few.
    """
    controls = [
        ("plane", "alpha"),
        ("teacher", "strength"),
        ("weights", "left"),
        ("weights", "top"),
    ]
    sliders = [
        (lab.model(f"{name}.controls[{control!r}]"), len(here[name].controls[control].options))
        for name, control in controls
    ]
    kernel = psutil.Process(int(lab.run("import os; print(os.getpid())").outputs[0].text))
    random = np.random.default_rng(0)

    def memory_after(moves):
        for _ in range(moves):
            model, values = sliders[random.integers(len(sliders))]
            messages = lab.send(model, {"index": int(random.integers(values))})
            assert all(m["msg_type"] in ("status", "comm_msg") for m in messages)
        figures = lab.run(
            "import gc, matplotlib.pyplot as plt; from matplotlib.figure import Figure\n"
            "gc.collect()\n"
            "print(plt.get_fignums(), sum(issubclass(type(x), Figure) for x in gc.get_objects()))"
        )
        return kernel.memory_info().rss / 1e6, figures.outputs[0].text

    before, figures = memory_after(200)
    after, figures_then = memory_after(500)
    assert figures_then == figures and figures.startswith("[] ")
    assert after - before < 10, f"{before:.0f} MB, then {after:.0f} MB"
    lab.run("for panel in (plane, teacher, weights): panel.reset()")


@pytest.mark.parametrize("name", PANELS)
def test_two_panels_of_a_kind_do_not_disturb_each_other(lab, name):
    """Nor does what one remembers show in the other."""
    lab.run(f"one, two = {PANELS[name]}, {PANELS[name]}")
    first = lab.look("two")
    moves = [
        (control, value) for panel, control, *values in MOVES if panel == name for value in values
    ]
    for control, value in moves:
        lab.run(f"one.state = {{{control!r}: {value!r}}}")
        assert lab.look("two") == first != lab.look("one")
    moved = lab.look("one")
    lab.run("two.state = one.state; one.reset()")
    assert lab.look("two") == moved and lab.look("one") == first


def test_nothing_is_left_open_in_the_kernel(lab):
    cell = lab.run("import matplotlib.pyplot as plt\nprint(plt.get_fignums())")
    assert cell.outputs[0].text == "[]\n"
