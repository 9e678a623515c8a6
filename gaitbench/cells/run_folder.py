"""The folders of a training and of a run: what lies in them, who may write to them.

::

    OUT/trainings/DATASET/MODEL-PRESET-sSEED-HASH/
      training.json                everything that the hash covers
      checkpoint/                  training state, newest two
      train.jsonl                  a line per training step
      model.safetensors, .json     trained weights; what rebuilds the model
    OUT/TASK/DATASET/MODEL-PRESET-sSEED-HASH/
      plan.json                    the cell, and everything that the hash covers
      train.jsonl, model.*         those of its training (hard links where the file system has them)
      embeddings.safetensors, .json   embeddings of gallery and probes
      probes.parquet ...           tables that every score can be recomputed from
      record.json                  the result; a folder with a valid one is finished

DATASET is the one that is scored. Where it is not that of the training, the name says ``-from-DATASET`` too.
"""

import contextlib
import fcntl
import json
import logging
import os
import secrets
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gaitbench import atomic
from gaitbench.errors import OutputError

__all__ = ["RunFolder", "TrainingFolder", "check_output"]

_log = logging.getLogger("gaitbench")
_MIB = 1 << 20
_MIN_FREE_BYTES = 16 * _MIB
_CHECKPOINTS = "checkpoint"


def check_output(folder: Path, num_bytes: int = 0) -> None:
    """Make sure that a folder can be written, before anything slow begins.

    Args:
        folder: Created with its parents when missing. A small file is written to it and removed.
        num_bytes: What will be written at least; some room for tables and logs is added.

    Raises:
        OutputError: It is read-only, a file, or on a full disk.
    """
    atomic.make_folder(folder)
    probe = folder / f".probe-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        atomic.write_bytes(probe, b"\0" * 4096)
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
    needed = num_bytes + _MIN_FREE_BYTES
    with atomic.output_errors(folder):
        free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"{folder} has {free / _MIB:.0f} MiB free, the run needs about {needed / _MIB:.0f} MiB; free some space or "
            "choose another folder with --out"
        )


@dataclass(frozen=True)
class _Folder(ABC):
    """A folder that one process at a time works in."""

    path: Path

    @property
    @abstractmethod
    def mark(self) -> Path:
        """The file that is written last."""

    @property
    def train_log(self) -> Path:
        """A line per training step."""
        return self.path / "train.jsonl"

    @property
    def weights(self) -> Path:
        """Trained weights."""
        return self.path / "model.safetensors"

    @property
    def model_info(self) -> Path:
        """What rebuilds the model, beside its weights."""
        return self.path / "model.json"

    def adopt(self, other: "_Folder") -> None:
        """Take over the trained model of another folder, the file that makes it whole last.

        Raises:
            OutputError: A file cannot be written.
        """
        for mine, theirs in (
            (self.train_log, other.train_log),
            (self.weights, other.weights),
            (self.model_info, other.model_info),
        ):
            if theirs.exists():
                atomic.link(theirs, mine)

    def read_json(self, path: Path) -> dict[str, Any] | None:
        """Read a JSON object; None when the file is missing, or damaged, which a warning tells."""
        try:
            content = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _log.warning("%s is damaged and will be made again: %s", path, error)
            return None
        return content if isinstance(content, dict) else None

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes out; a second one says so and waits.

        The operating system releases the lock when its process ends, however it ends.

        Raises:
            OutputError: The folder cannot be written.
        """
        atomic.make_folder(self.path)
        with atomic.output_errors(self.path):
            file = (self.path / ".lock").open("a+")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                _log.warning("%s: process %s is at work here; waiting for it", self.path, file.read().strip() or "?")
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError as error:
                _log.warning("%s: cannot be locked (%s); run one process at a time", self.path, error)
            with atomic.output_errors(self.path):
                file.seek(0)
                file.truncate()
                file.write(str(os.getpid()))
                file.flush()
                atomic.remove_leftovers(self.path)
                atomic.remove_leftovers(self.path / _CHECKPOINTS)
            yield

    def clear(self) -> None:
        """Forget all results, what marks them as whole first, so that a half-cleared folder is not taken for one.

        Raises:
            OutputError: A file cannot be removed.
        """
        with atomic.output_errors(self.path):
            self.mark.unlink(missing_ok=True)
            if (self.path / _CHECKPOINTS).exists():
                shutil.rmtree(self.path / _CHECKPOINTS)
            for path in self.path.iterdir():
                if path.name != ".lock" and path.is_file():
                    path.unlink()


@dataclass(frozen=True)
class TrainingFolder(_Folder):
    """Paths of a training's files."""

    @property
    def mark(self) -> Path:
        """The file that is written last."""
        return self.model_info

    @property
    def about(self) -> Path:
        """Everything that the hash covers."""
        return self.path / "training.json"

    @property
    def checkpoints(self) -> Path:
        """Folder of training state."""
        return self.path / _CHECKPOINTS


@dataclass(frozen=True)
class RunFolder(_Folder):
    """Paths of a run's files."""

    @property
    def mark(self) -> Path:
        """The file that is written last."""
        return self.record

    @property
    def plan(self) -> Path:
        """The cell and what its hash covers."""
        return self.path / "plan.json"

    @property
    def embeddings(self) -> Path:
        """Embeddings of gallery and probes."""
        return self.path / "embeddings.safetensors"

    @property
    def embeddings_info(self) -> Path:
        """Hash of the embeddings, and what was measured while making them."""
        return self.path / "embeddings.json"

    @property
    def record(self) -> Path:
        """The result."""
        return self.path / "record.json"
