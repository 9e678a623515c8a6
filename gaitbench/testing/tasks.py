"""The contract of a task: sensible directions, and scores that do not depend on how the data is laid out."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from gaitbench.card import Attribute
from gaitbench.errors import PluginError
from gaitbench.protocol import Protocol, Selection
from gaitbench.results import Score
from gaitbench.tasks import EmbeddingSet, Evaluation, Task, TaskData
from gaitbench.testing.synthetic import synthetic_embeddings, synthetic_table

__all__ = ["PROTOCOL", "check_task"]

PROTOCOL = Protocol(
    name="synthetic",
    dataset="synthetic",
    title="Protocol of the synthetic table",
    source="gaitbench.testing",
    train=Selection(subjects=("0001..0002",)),
    test_subjects=("0003..0006",),
    gallery=Selection(conditions=("nm-01",)),
    probes={"NM": Selection(conditions=("nm-02",)), "BG": Selection(conditions=("bg-01",))},
    exclude=("identical_view",),
    headline="mean",
)
"""Fits :func:`gaitbench.testing.synthetic_table`."""


def check_task(task: Task, *, modalities: Sequence[str] = ("silhouette", "lidar-depth")) -> None:
    """Try a task against its contract.

    Checked: a name, a version, directions among the modalities it is given; scores in [0, 1] with denominators that
    add up; the same scores whatever the order of rows; embeddings that tell everybody apart score better than chance
    and better than embeddings without information. Of a task that looks at attributes: right answers score 1, and the
    answers of nobody in particular no more than others.

    Args:
        task: An instance.
        modalities: What a model that does this task reads; one or several.

    Raises:
        PluginError: What is wrong, and what the contract asks for.
    """
    name = type(task).__name__
    if not isinstance(getattr(task, "name", None), str) or not isinstance(getattr(task, "version", None), int):
        raise PluginError(f"task {name} needs a class attribute name (text) and version (whole number).")
    asked = _usable(task, tuple(modalities), name)
    if task.looks_at == "attributes":
        _check_attributes(task, asked, name)
        return
    good, bad = (_evaluate(task, asked, noise=noise) for noise in (0.05, 50.0))
    _check_scores(name, good)
    shuffled = _evaluate(task, asked, noise=0.05, shuffle=True)
    if [_values(score) for score in good.scores] != [_values(score) for score in shuffled.scores]:
        raise PluginError(f"task {name}: the order of rows changes its scores; find rows by sequence id.")
    ranked = [
        (better.value, worse.value, better.chance or 0.0, f"{better.group} {better.direction}".strip())
        for better, worse in zip(good.scores, bad.scores, strict=True)
        if better.metric == "rank_1" and better.group in PROTOCOL.probes
    ]
    for better_value, worse_value, chance, where in ranked:
        if not better_value > max(worse_value, chance):
            raise PluginError(
                f"task {name}: rank_1 of {where} is {better_value:.3f} for embeddings that tell everybody apart and "
                f"{worse_value:.3f} for noise (chance {chance:.3f}); are probes and gallery the right rows?"
            )


_ATTRIBUTES = (
    Attribute(name="tall", title="Tall", classes=("no", "yes")),
    Attribute(name="pace", title="Pace", classes=("slow", "middle", "fast")),
)


def _check_attributes(task: Task, asked: Sequence[str], name: str) -> None:
    table = synthetic_table()
    subject = np.array([int(word) for word in table.subject_id.tolist()])
    labels = np.stack([subject % 2, subject % 3], axis=1).astype(np.int16)
    table = dataclasses.replace(table, attributes=labels)
    division = PROTOCOL.divide(table, needs_matches=False)
    about = TaskData(attributes=_ATTRIBUTES, tested=_ATTRIBUTES, learnt=table.take(division.train))
    known = task.for_data(about)
    right = torch.cat([torch.eye(len(a.classes))[labels[:, i]] for i, a in enumerate(_ATTRIBUTES)], dim=1)

    def evaluate(logits: torch.Tensor, order: NDArray[np.int64]) -> Evaluation:
        told = EmbeddingSet(logits[torch.from_numpy(order), :, None], table.take(order))
        return known.evaluate(dict.fromkeys(asked, told), PROTOCOL, division, seed=0, bootstrap=50)

    rows = np.arange(len(table))
    good, shuffled = evaluate(right, rows), evaluate(right, np.random.default_rng(1).permutation(len(table)))
    _check_scores(name, good)
    if [_values(score) for score in good.scores] != [_values(score) for score in shuffled.scores]:
        raise PluginError(f"task {name}: the order of rows changes its scores; find rows by sequence id.")
    if wrong := [score for score in good.scores if not math.isnan(score.value) and score.value < 1]:
        raise PluginError(f"task {name}: right answers score {wrong[0].value:.3f} in {wrong[0].metric}, not 1.")
    noise = evaluate(torch.randn(right.shape, generator=torch.Generator().manual_seed(0)), rows)
    if not any(score.value < 1 for score in noise.scores):
        raise PluginError(f"task {name}: answers without information score as well as right ones.")


def _usable(task: Task, modalities: tuple[str, ...], name: str) -> tuple[str, ...]:
    """What the task compares: each modality by itself, or all of them joined by ``+``."""
    directions = task.directions(modalities)
    if not directions:
        raise PluginError(f"task {name} gives no direction for {', '.join(modalities)}.")
    compared = tuple(dict.fromkeys(modality for direction in directions for modality in direction))
    allowed = (*modalities, "+".join(modalities))
    if strange := [modality for modality in compared if modality not in allowed]:
        raise PluginError(f"task {name} compares {', '.join(strange)}; it was given {', '.join(modalities)}.")
    return compared


def _evaluate(task: Task, modalities: Sequence[str], *, noise: float, shuffle: bool = False) -> Evaluation:
    table = synthetic_table()
    order = np.random.default_rng(1).permutation(len(table)) if shuffle else np.arange(len(table))
    sets = {}
    for seed, modality in enumerate(modalities):
        embedded = synthetic_embeddings(table, noise=noise, seed=0)
        # One space for all modalities: the same subjects, with noise of their own.
        generator = torch.Generator().manual_seed(seed)
        own = embedded.embeddings + 0.01 * torch.randn(embedded.embeddings.shape, generator=generator)
        sets[modality] = EmbeddingSet(embeddings=own[torch.from_numpy(order)], table=table.take(order))
    return task.evaluate(sets, PROTOCOL, PROTOCOL.divide(table), seed=0, bootstrap=50)


def _check_scores(name: str, evaluation: Evaluation) -> None:
    if not evaluation.scores:
        raise PluginError(f"task {name} gives no score.")
    if not evaluation.tables:
        raise PluginError(f"task {name} gives no table that its scores could be recomputed from.")
    for score in evaluation.scores:
        label = f"task {name}: {score.metric} of {score.group} {score.direction}".rstrip()
        if not (math.isnan(score.value) or 0 <= score.value <= 1):
            raise PluginError(f"{label} is {score.value}; scores are fractions in [0, 1].")
        if not 0 <= score.num_counted <= score.num_probes or not 0 <= score.num_absent <= score.num_probes:
            raise PluginError(
                f"{label}: {score.num_counted} counted and {score.num_absent} absent of {score.num_probes} probes."
            )


def _values(score: Score) -> str:
    # As text, because NaN is not equal to itself.
    return repr((score.metric, score.group, score.direction, round(score.value, 9), score.num_counted))
