"""Made-up attributes of the people of :mod:`scored`, and what is told of them."""

import dataclasses

import numpy as np
import torch
from scored import protocol, record_of, table
from torch import Tensor

from gaitbench.card import Attribute
from gaitbench.metrics.label_encoding import label_encoding
from gaitbench.model import Decision
from gaitbench.protocol import Protocol, Selection
from gaitbench.results import RunRecord
from gaitbench.table import SequenceTable
from gaitbench.tasks import AttributeTask, EmbeddingSet, Evaluation, TaskData

SCHEMA = (
    Attribute(name="tall", title="Tall", classes=("no", "yes")),
    Attribute(name="pace", title="Pace", classes=("slow", "middle", "fast", "running")),
    Attribute(name="hat", title="Hat", classes=("no", "yes")),
)
"""Nobody runs, so that a class is empty."""
NUM_CLASSES = (2, 4, 2)
NUM_TRAIN = np.array([3, 9, 8, 2, 1, 1, 7, 5])
"""Training sequences by class: most are tall, slow and without a hat."""


def labelled(*, unknown: float = 0.1, seed: int = 0) -> SequenceTable:
    """The table with labels: those of a person, some unknown."""
    rows = table()
    person = np.array([int(word) for word in rows.subject_id.tolist()])
    labels = np.stack([person % 2, person % 3, (person % 5 == 0)], axis=1).astype(np.int16)
    labels[np.random.default_rng(seed).random(labels.shape) < unknown] = -1
    return dataclasses.replace(rows, attributes=labels)


def logits_for(rows: SequenceTable, *, noise: float = 1.0, seed: int = 0) -> Tensor:
    """``[N, S, 1]``: above 0 for the true class, and noise."""
    true = label_encoding(NUM_CLASSES).of_classes(rows.attributes).value
    normal = torch.randn(true.shape, generator=torch.Generator().manual_seed(seed))
    return (2.0 * torch.from_numpy(true) - 1.0 + noise * normal)[..., None]


def task(decides: Decision = "threshold") -> AttributeTask:
    return AttributeTask(SCHEMA, num_train=NUM_TRAIN, decides=decides)


def tell(
    rows: SequenceTable | None = None,
    logits: Tensor | None = None,
    *,
    decides: Decision = "threshold",
    proto: Protocol | None = None,
    bootstrap: int = 50,
    noise: float = 1.0,
    seed: int = 0,
) -> Evaluation:
    """Evaluate what is told of everybody."""
    rows = labelled() if rows is None else rows
    proto = proto or protocol()
    logits = logits_for(rows, noise=noise, seed=seed) if logits is None else logits
    division = proto.divide(rows, needs_train=False, needs_matches=False)
    return task(decides).evaluate({"x": EmbeddingSet(logits, rows)}, proto, division, bootstrap=bootstrap, seed=3)


def record_told(evaluation: Evaluation, **about: object) -> RunRecord:
    """A record of it."""
    record = record_of(evaluation, task(), **about)
    return record.model_copy(update={"model": record.model.model_copy(update={"decides": "threshold"})})


def task_data(rows: SequenceTable) -> TaskData:
    """Those of the first people as training data."""
    learnt = rows.take(np.isin(rows.subject_id, ["011", "012", "013"]))
    return TaskData(attributes=SCHEMA, tested=SCHEMA, learnt=learnt)


ATTRIBUTE_PROTOCOL = protocol(
    name="told",
    tasks=("attribute",),
    gallery=Selection(),
    probes={"all": Selection()},
    averaging="probes",
    exclude=("same_sequence",),
    headline="all",
)
"""One for attributes alone."""
