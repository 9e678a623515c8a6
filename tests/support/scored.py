"""A small dataset of made-up embeddings, its protocol, and records of its scores."""

import os
from pathlib import Path

import numpy as np
import torch

from gaitbench.protocol import Protocol, Selection
from gaitbench.results import (
    DataProvenance,
    Environment,
    ModelProvenance,
    RunRecord,
    TrainingSummary,
)
from gaitbench.table import SequenceTable
from gaitbench.tasks import CrossmodalTask, EmbeddingSet, Evaluation, IdentityTask, Task
from gaitbench.tasks.arrays import table_of_arrays

SHARED = Path(os.environ.get("GAITBENCH_SHARED", Path(__file__).parents[3] / "shared"))
"""Files that are not shipped with the package."""

SUBJECTS = [f"{i:03d}" for i in range(11, 21)]
CONDITIONS = ["nm-01", "nm-02", "nm-03", "bg-01", "cl-01"]
VIEWS = ["000", "045", "090", "180"]


def selection(*conditions: str) -> Selection:
    return Selection(conditions=conditions)


def protocol(**changes: object) -> Protocol:
    fields: dict[str, object] = {
        "name": "small",
        "dataset": "small",
        "title": "A small protocol",
        "source": "made up",
        "train": Selection(subjects=("001..010",)),
        "test_subjects": ("011..020",),
        "gallery": selection("nm-0[12]"),
        "probes": {"NM": selection("nm-03"), "BG": selection("bg-*"), "CL": selection("cl-01")},
        "exclude": ("identical_view",),
        "headline": "mean",
        "num_test_subjects": 10,
    }
    return Protocol.model_validate(fields | changes)


def table(*, drop: int = 0, seed: int = 0) -> SequenceTable:
    """All combinations of subject, condition and view, less some at random."""
    rows = [(s, c, v) for s in SUBJECTS for c in CONDITIONS for v in VIEWS]
    lost = np.random.default_rng(seed).permutation(len(rows))[:drop]
    rows = [row for i, row in enumerate(rows) if i not in lost]
    return table_of_arrays(*zip(*rows, strict=True))


def embed(table: SequenceTable, *, noise: float = 1.0, seed: int = 0, offset: float = 0.0) -> EmbeddingSet:
    """Subjects, views and conditions are directions; noise is added."""
    rng = np.random.default_rng(seed)
    directions = {
        word: np.random.default_rng(int.from_bytes(word.encode())).normal(size=(8, 3))
        for word in {*table.subject_id.tolist(), *table.view.tolist(), *table.condition.tolist()}
    }
    rows = zip(table.subject_id.tolist(), table.view.tolist(), table.condition.tolist(), strict=True)
    clean = np.stack([directions[s] + 0.7 * directions[v] + 0.3 * directions[c] for s, v, c in rows])
    noisy = clean + noise * rng.normal(size=clean.shape) + offset
    return EmbeddingSet(torch.from_numpy(noisy.astype(np.float32)), table)


def evaluate(task: Task, *, noise: float = 1.0, seed: int = 0, proto: Protocol | None = None) -> Evaluation:
    proto = proto or protocol()
    rows = table()
    sets = {"silhouette": embed(rows, noise=noise, seed=seed)}
    if isinstance(task, CrossmodalTask):
        sets["lidar"] = embed(rows, noise=1.5 * noise, seed=seed + 100, offset=0.2)
    division = proto.divide(rows, needs_train=False)
    return task.evaluate(sets, proto, division, seed=seed, bootstrap=100)


def record_of(
    evaluation: Evaluation,
    task: Task,
    *,
    proto: Protocol | None = None,
    model: str = "gei",
    seed: int = 0,
    **changes: object,
) -> RunRecord:
    fields: dict[str, object] = {
        "run_id": f"{task.name}-{model}-{seed}",
        "task": task.name,
        "task_version": task.version,
        "data": DataProvenance(
            name="small",
            version="1",
            fingerprint="0123456789abcdef",
            modalities=("silhouette",) if isinstance(task, IdentityTask) else ("silhouette", "lidar"),
            options={"seed": 3},
            protocol=(proto or protocol()).model_dump(mode="json"),
            num_train_subjects=10,
            num_train_sequences=200,
            num_test_subjects=10,
            num_probes=120,
            num_gallery=80,
        ),
        "model": ModelProvenance(
            name=model,
            preset="quick",
            fidelity="paper",
            plugin="gaitbench-made-up",
            plugin_version="1.0",
            config={"width": 8},
            num_parameters=1234,
            is_trivial=model == "nearest-raw",
        ),
        "training": TrainingSummary(recipe={}, seed=seed, precision="32-true", num_steps=1),
        "scores": evaluation.scores,
        "environment": Environment(
            started_utc="2026-01-01T00:00:00Z",
            finished_utc="2026-01-01T00:01:00Z",
            train_seconds=50.0 + seed,
            embed_seconds=1.0,
            score_seconds=1.0,
            hardware="made up",
            device="cpu",
            num_threads=1,
            python="3.11",
            packages={},
        ),
    }
    return RunRecord.model_validate(fields | changes)
