"""Checkpoints: a training that is stopped or killed goes on where it was, bit for bit."""

from __future__ import annotations

import contextlib
import io
import pickle
import platform
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

import rdlite
from rdlite.guards import checks, files
from rdlite.training import devices
from rdlite.training.about import flat, hashed

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PARTS = ("about", "versions", "shares", "random", "state")  # of the file
SAME = 1e-4  # class shares that differ by less are the same


class Stopped(KeyboardInterrupt):
    """A training was asked to stop, and its checkpoint is written."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Where and when `rdlite.training.fit` keeps its state.

    The file is replaced in one step, and the one before it stays beside it, as ``.previous``. On
    SIGINT and SIGTERM the state is kept after the SGD step that is under way (after the round, if
    several processes train together), then `Stopped` is raised.

    Args:
        path: the file.
        every: rounds from one checkpoint to the next.
        resume: go on from the file if it is there.
        about: what was trained, in words and numbers; must be the same to go on.

    Raises:
        ValueError: ``every`` below 1.
    """

    path: str | Path
    every: int = 1
    resume: bool = False
    about: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks.integer("every", self.every, low=1)
        object.__setattr__(self, "path", Path(self.path).expanduser())

    def read(self) -> dict | None:
        """The state in the file, or in the one before it; None if there is neither.

        A warning says so where the file is damaged and the one before it is read.

        Raises:
            ValueError: neither is a checkpoint.
            OSError: it cannot be read.
        """
        there = [path for path in (self.path, self._previous) if path.exists()]
        if len(there) < 2:
            return _load(*there) if there else None
        try:
            return _load(self.path)
        except ValueError as error:
            kept = _load(self._previous)
            warnings.warn(f"{error}; {self._previous}, kept before it, is read", stacklevel=2)
            return kept

    def is_mine(self) -> bool:
        """Whether the file is of a training with the same ``about``."""
        kept = (self.read() or {"about": {}})["about"]
        own = {name: value for name, value in kept.items() if name.split(".")[0] in self.about}
        return own == flat(self.about)

    def write(self, state: dict) -> None:
        """Replace the file; only the first process does.

        Raises:
            OSError: the folder cannot be written, or the disk is full; both files are as they were.
        """
        if devices.rank() == 0:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            content = io.BytesIO()  # torch.save hides what the system says of a full disk
            torch.save(state, content)
            if not self.path.exists():  # the first one: could it be read again?
                _check_readable(content)
            with files.whole(self.path, previous=self._previous) as file:
                file.write_bytes(content.getbuffer())
        devices.wait()

    def remove(self) -> None:
        """Delete both files, if they are there."""
        if devices.rank() == 0:
            for path in (self.path, self._previous):
                path.unlink(missing_ok=True)
        devices.wait()

    @property
    def _previous(self) -> Path:
        return self.path.with_name(self.path.name + ".previous")


def _load(path: Path) -> dict:
    try:
        state, reason = _loaded(path), ""
    except OSError:
        raise
    except Exception as error:  # of what is no checkpoint, the unpickler may raise anything
        state, reason = None, f" ({_said(error)})"
    good = isinstance(state, dict) and set(PARTS) <= set(state)
    cure = "delete it to start again"
    checks.require(good, f"{path} is not a checkpoint of rdlite{reason}; {cure}")
    return state


def _loaded(file: Path | io.BytesIO) -> object:
    return torch.load(file, weights_only=True, map_location="cpu")


def _check_readable(content: io.BytesIO) -> None:
    try:
        _loaded(io.BytesIO(content.getbuffer()))
    except pickle.UnpicklingError as error:
        wanted = "hold tensors, numbers and text alone, in get_extra_state, too"
        cure = "; no pickle is loaded, so it could not go on"
        raise ValueError(f"model's state must {wanted}, got {_said(error)}{cure}") from None


def _said(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


class Keeper:
    """Takes the checkpoints of one training. Does nothing where there is no `Checkpoint`.

    Args:
        checkpoint: where and when, or None.
        about: what must be the same to go on, with the checkpoint's own.
        data: so must these, all on the device that trains; they are kept as a hash.
        shares: name -> (m,); these too, but for rounding, which differs from device to device.
        state: gives what to keep.
    """

    def __init__(
        self,
        checkpoint: Checkpoint | None,
        about: Mapping[str, object],
        data: Sequence[Tensor],
        shares: Mapping[str, Tensor],
        state: Callable[[], dict],
    ) -> None:
        self.checkpoint, self.state, self.asked = checkpoint, state, False
        self.device = data[0].device
        if checkpoint is not None:
            checks.instance("checkpoint", checkpoint, Checkpoint, "; use Checkpoint(path=...)")
            files.folder(checkpoint.path.parent, "checkpoint's folder")
            self.about = flat({**checkpoint.about, **about, "data": hashed(data)})
            self.shares = {name: value.double().cpu() for name, value in shares.items()}

    def restored(self) -> dict | None:
        """The state to go on from, or None to start.

        Raises:
            ValueError: a checkpoint of something else; the message names what differs.
        """
        if self.checkpoint is None or not self.checkpoint.resume:
            return None
        kept = self.checkpoint.read()
        if kept is None:
            return None
        before, missing = kept["about"], "nothing"
        pairs = {
            name: (before.get(name, missing), self.about.get(name, missing))
            for name in sorted(set(before) | set(self.about))
        }
        other = [f"{name} was {a!r}, is {b!r}" for name, (a, b) in pairs.items() if a != b]
        if not other:  # so there are as many classes
            other = [
                f"{name} had other class shares"
                for name, now in self.shares.items()
                if not torch.allclose(kept["shares"][name], now, rtol=0, atol=SAME)
            ]
        checks.require(
            not other,
            f"{self.checkpoint.path} is a checkpoint of another training: {'; '.join(other)}. "
            "Go on with the same settings, or start again in another place",
        )
        torch.set_rng_state(kept["random"])
        if self.device.type == "cuda" and "cuda" in kept:  # it may have been trained on a CPU
            torch.cuda.set_rng_state(kept["cuda"], self.device)
        return kept["state"]

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """SIGINT and SIGTERM ask for a checkpoint, until the block ends."""
        if self.checkpoint is None or threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ask(self, *_: object) -> None:
        self.asked = True

    def after_step(self) -> None:
        """Stop here if that was asked, unless other processes would wait for this one."""
        if self.asked and devices.size() == 1:
            self._keep()

    def after_round(self, finished: int, rounds: int) -> None:
        """Keep the state if it is time; stop if one of the processes was asked to."""
        if self.checkpoint is None:
            return
        self.asked = devices.mean(torch.tensor(float(self.asked))) > 0
        if self.asked or finished % self.checkpoint.every == 0 or finished == rounds:
            self._keep()

    def _keep(self) -> None:
        """Write the checkpoint; where a signal asked for it, stop."""
        versions = {"rdlite": rdlite.__version__, "torch": str(torch.__version__)}
        versions["python"] = platform.python_version()
        parts = (self.about, versions, self.shares, torch.get_rng_state(), self.state())
        kept = dict(zip(PARTS, parts, strict=True))
        if self.device.type == "cuda":  # layers such as dropout draw there
            kept["cuda"] = torch.cuda.get_rng_state(self.device)
        self.checkpoint.write(kept)
        if self.asked:
            raise Stopped(f"stopped; {self.checkpoint.path} is where it goes on")
