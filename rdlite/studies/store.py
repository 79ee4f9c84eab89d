"""The store that keeps what came out of every run: each is trained once in a store."""

from __future__ import annotations

import contextlib
import json
import platform
import time
from dataclasses import asdict
from pathlib import Path

import safetensors.torch
import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_model
from torch import nn

import rdlite
from rdlite.guards import files
from rdlite.studies.run import Run, plain
from rdlite.studies.table import measure
from rdlite.training import devices
from rdlite.training.checkpoints import Checkpoint


class Store:
    """A folder of finished runs: a card each, and the weights of each teacher.

    A card is a small JSON file: what was trained, on what data, what came out, by which versions.
    Weights are in safetensors' format. Files appear whole or not at all, and a run that one process
    is training is left alone by the others, so that a killed study goes on where it was and two
    processes share the work.

    Args:
        folder: made if it is not there.
        device: where the networks are trained.
    """

    def __init__(self, folder: str | Path, device: str = "cpu") -> None:
        self.folder, self.device = files.folder(folder, "store"), device

    def result(self, run: Run) -> dict | None:
        """What `measure` said, seconds and `processor`; None if it is not finished.

        Raises:
            ValueError: the card is damaged.
        """
        file = self.card(run)
        if not file.exists():
            return None
        try:
            return json.loads(file.read_text(encoding="utf-8"))["result"]
        except (ValueError, KeyError, TypeError):
            raise ValueError(
                f"{file} is not a card of rdlite; delete it to train this run again"
            ) from None

    def card(self, run: Run) -> Path:
        """Where the description and the numbers of ``run`` are, or will be."""
        return self.folder / f"{run.key}.json"

    def weights(self, run: Run) -> Path:
        """Where the weights of ``run`` are, if they were kept."""
        return self.folder / f"{run.key}.safetensors"

    def network(self, run: Run) -> nn.Module:
        """The trained network of ``run``, trained now if it has to be."""
        self.finish(run, weights=True)
        net = run.create(self.device)
        try:
            load_model(net, self.weights(run), device=self.device)
        except (SafetensorError, RuntimeError) as error:
            raise ValueError(
                f"{self.weights(run)} does not hold the weights of {run.label!r} "
                f"({str(error).splitlines()[0]}); delete it to train this run again"
            ) from None
        return net

    def finish(
        self,
        run: Run,
        *,
        weights: bool = False,
        wait: bool = True,
        checkpoint: Checkpoint | None = None,
        progress: bool = False,
    ) -> bool:
        """Train and measure ``run``, its teacher first, unless that is done.

        Args:
            run: what to train.
            weights: keep the network as well.
            wait: wait for another process that is training it.
            checkpoint, progress: see `rdlite.training.fit`, for ``run`` itself.

        Returns:
            Whether it is finished; False only if another process has it and ``wait`` is False.

        Raises:
            FloatingPointError: training diverged; the message names the run, which may be the
                teacher, and the step.
            OSError: the folder cannot be written, or the disk is full; the other runs are intact.
        """
        if devices.of_first(self.done(run, weights)):
            return True
        lock = FileLock(self.folder / f"{run.key}.lock", timeout=-1 if wait else 0)
        try:  # the system takes the lock back from a killed process
            with lock if devices.rank() == 0 else contextlib.nullcontext():
                if not devices.of_first(self.done(run, weights)):
                    teacher = None if run.teacher is None else self.network(run.teacher)
                    how = {"device": self.device, "checkpoint": checkpoint, "progress": progress}
                    started = time.perf_counter()
                    net, history = run.train(teacher, **how)
                    if devices.rank() == 0:
                        result = measure(run, net, history, teacher)
                        result["seconds"] = time.perf_counter() - started
                        self._write(run, result, net if weights else None)
                    devices.wait()
        except Timeout:
            return False
        return True

    def _write(self, run: Run, result: dict, net: nn.Module | None) -> None:
        if net is not None:
            tensors = {name: value.contiguous() for name, value in net.state_dict().items()}
            with files.whole(self.weights(run)) as file:
                file.write_bytes(safetensors.torch.save(tensors))
        card = {
            "label": run.label,
            "run": asdict(run),
            "data": run.splits(self.device).fingerprint,
            "rdlite": rdlite.__version__,
            "torch": torch.__version__,
            "result": result | {"processor": processor(self.device)},
        }
        with files.whole(self.card(run)) as file:
            file.write_text(json.dumps(card, indent=1, default=plain), encoding="utf-8")

    def done(self, run: Run, weights: bool = False) -> bool:
        """Whether ``run`` is finished, and its network kept if that is asked for."""
        return self.card(run).exists() and (not weights or self.weights(run).exists())


def processor(device: str = "cpu") -> str:
    """The type of what computes: rounding, and so a result, differs from one to another.

    Of a CPU it is the instructions that torch uses, such as ``"x86_64 AVX2"``.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
