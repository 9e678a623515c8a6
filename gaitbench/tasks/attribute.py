"""Attribute recognition: what is told of a walker, class by class, against the labels of a dataset's schema.

Axes: N sequences, A attributes, S classes of all attributes, one after the other.
"""

from collections import Counter
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gaitbench.card import Attribute
from gaitbench.errors import DatasetError, ModelError, ShapeError, UsageError
from gaitbench.model import Decision, GaitOutput
from gaitbench.protocol import Division, Protocol
from gaitbench.tasks.attribute_evidence import EVERYBODY, AnswerSheet, condition_groups
from gaitbench.tasks.attribute_scores import scores_of_answers
from gaitbench.tasks.base import Direction, EmbeddingSet, Evaluation, RankingMetric, Task, TaskData
from gaitbench.tasks.scores import Bootstrap

__all__ = ["AttributeTask", "check_schema"]


class AttributeTask(Task):
    """Every test sequence is asked for the class of each attribute that the dataset's card declares.

    Both label vectors are scored, a label per class and binary attributes as one label. Unknown labels (-1) are left
    out and counted. The groups are all test sequences, ``all``, and beside them the protocol's probe groups, or, where
    it has no others, the conditions (:func:`gaitbench.tasks.attribute_evidence.condition_groups`); who is gallery does
    not matter.

    Args:
        attributes: The schema; :meth:`for_data` takes it from the data.
        num_train: ``[S]`` training sequences of each class, whose largest is what the majority row tells; None without
            training data.
        decides: How logits become labels, which is the model's to say.

    Source:
        RA-GAR: Wang et al., AAAI 2025, 39(7):7591-7599 (task and attributes). Which of the encodings and rules for
        empty cases it uses is not printed; docs/attributes.md.

    Example:
        >>> AttributeTask().directions(("silhouette",))
        (Direction(probe='silhouette', gallery='silhouette'),)
    """

    name: ClassVar[str] = "attribute"
    version: ClassVar[int] = 1
    looks_at = "attributes"

    def __init__(
        self,
        attributes: tuple[Attribute, ...] = (),
        *,
        num_train: NDArray[np.int64] | None = None,
        decides: Decision = "argmax",
    ) -> None:
        self.attributes = attributes
        self.num_train = num_train
        self.decides = decides

    @property
    def num_classes(self) -> tuple[int, ...]:
        """``[A]`` classes of each attribute."""
        return tuple(len(attribute.classes) for attribute in self.attributes)

    def directions(self, inputs: tuple[str, ...]) -> tuple[Direction, ...]:
        """One; several modalities are read jointly."""
        if not inputs:
            raise UsageError(f"{self.name} needs a model that reads at least one modality")
        joint = "+".join(inputs)
        return (Direction(joint, joint),)

    def label(self, direction: Direction) -> str:  # noqa: ARG002
        """Empty: nothing is searched."""
        return ""

    def for_data(self, data: TaskData) -> "AttributeTask":
        """The task with the schema and the counts of the training data.

        Raises:
            DatasetError: The training data declare no attributes, the training or the test data know none of them, or
                the test data have another schema.
        """
        check_schema(data.attributes)
        if _shape(data.tested) != _shape(data.attributes):
            raise DatasetError(
                f"the training data have the attributes {_say(data.attributes)}, the test data {_say(data.tested)}: a "
                "model tells those that it has learnt; test on data of the same schema"
            )
        label = _labels(data.learnt.attributes, data.attributes, "training")
        counts = [
            np.bincount(column[column >= 0], minlength=len(attribute.classes))
            for column, attribute in zip(label.T, data.attributes, strict=True)
        ]
        num_train = np.concatenate(counts).astype(np.int64)
        if not num_train.any():
            raise DatasetError(
                "not one training sequence has a known attribute, so there is nothing to learn; complete the labels, "
                "or divide the data otherwise"
            )
        if data.asked is not None:
            _check_known(_labels(data.asked.attributes, data.tested, "test"))
        return type(self)(data.attributes, num_train=num_train, decides=data.decides)

    def answer(self, output: GaitOutput) -> Tensor:
        """The logits of all classes of all attributes, ``[N, S, 1]``, in the order of the schema.

        Raises:
            ModelError: The output lacks an attribute, or has not a logit for each of its classes.
        """
        if missing := [a.name for a in self.attributes if a.name not in output.attributes]:
            told = ", ".join(output.attributes) or "nothing"
            raise ModelError(
                f"the model tells {told}, and not {', '.join(missing)}: forward must return "
                "GaitOutput.attributes with logits [N, classes] for every attribute of its config's `attributes`"
            )
        for attribute in self.attributes:
            logits = output.attributes[attribute.name]
            if logits.shape != (len(output.embedding), len(attribute.classes)):
                raise ModelError(
                    f"the logits of {attribute.name} must be [{len(output.embedding)}, {len(attribute.classes)}], one "
                    f"for each class, got {list(logits.shape)}"
                )
        return torch.cat([output.attributes[attribute.name] for attribute in self.attributes], dim=1)[..., None]

    def evaluate(
        self,
        embeddings: Mapping[str, EmbeddingSet],
        protocol: Protocol,
        division: Division,
        *,
        seed: int = 0,
        bootstrap: int = 1000,
        metrics: Mapping[str, RankingMetric] | None = None,
        device: torch.device | None = None,  # noqa: ARG002
    ) -> Evaluation:
        """Score answers against the labels of the division's table.

        Nothing depends on the order of rows.

        Args:
            embeddings: ``"+".join(modalities)`` to what :meth:`answer` gave for at least the division's test rows,
                ``[N, S, 1]``, found by sequence id.
            protocol: Whose probe groups are broken down by.
            division: Who is tested.
            seed: Of the bootstrap.
            bootstrap: Resamples of subjects for the 95 % intervals; 0 gives none.
            metrics: None: further metrics look at distances, and here are none.
            device: Not used.

        Returns:
            Scores (:mod:`gaitbench.tasks.attribute_scores`) and evidence (:mod:`gaitbench.tasks.attribute_evidence`).

        Raises:
            UsageError: Further metrics are asked for.
            DatasetError: No schema is known, or no label of the test sequences.
            IncompleteDataError: A test sequence has no answer.
            ModelError: Answers hold NaN or infinity.
            ShapeError: There is not one logit for each class.
        """
        if metrics:
            raise UsageError(
                f"{', '.join(metrics)}: further metrics are computed from distances, and the task {self.name} has none"
            )
        check_schema(self.attributes)
        (key,) = embeddings
        answers = embeddings[key]
        answers.check(key)
        if answers.embeddings.shape[1:] != (sum(self.num_classes), 1):
            raise ShapeError(
                f"answers must be logits [N, {sum(self.num_classes)}, 1], one for each class of "
                f"{_say(self.attributes)}; got {list(answers.embeddings.shape)}"
            )
        tested = division.test[np.argsort(division.table.sequence_id[division.test], kind="stable")]
        table = division.table.take(tested)
        label = _labels(table.attributes, self.attributes, "test")
        _check_known(label)
        logits = answers.embeddings[torch.from_numpy(answers.rows_of(table.sequence_id, key)), :, 0].float()
        decided = _decided(logits, self.num_classes, self.decides)
        sheet = AnswerSheet(
            attributes=self.attributes,
            num_train=np.zeros(sum(self.num_classes), dtype=np.int64) if self.num_train is None else self.num_train,
            decides=self.decides,
            bootstrap=Bootstrap(seed, bootstrap),
            sequence=table.sequence_id,
            subject=table.subject_id,
            condition=table.condition,
            view=table.view,
            groups={name: np.isin(tested, rows) for name, rows in division.probes.items() if name != EVERYBODY}
            or condition_groups(table.condition, label),
            label=label,
            prediction=decided.prediction,
            positive=decided.positive,
            score=decided.score,
        )
        tables = sheet.tables(protocol.name, protocol.version)
        return Evaluation(scores_of_answers(tables), tables)


def check_schema(attributes: tuple[Attribute, ...]) -> None:
    """Stop where a schema cannot be asked about.

    Raises:
        DatasetError: There is none, a name occurs twice, or an attribute has fewer than two classes.
    """
    if not attributes:
        raise DatasetError(
            "the data declare no attributes, so nothing can be told of anybody; choose data with an attribute schema "
            "(walkers have one, --option attributes=FILE gives one to your own folder), or another task"
        )
    if twice := [name for name, num in Counter(a.name for a in attributes).items() if num > 1]:
        raise DatasetError(f"the data declare the attribute {twice[0]!r} twice; correct the card")
    if poor := [a for a in attributes if len(set(a.classes)) < max(2, len(a.classes))]:
        raise DatasetError(
            f"the attribute {poor[0].name!r} must have two or more different classes, it has {list(poor[0].classes)}; "
            "correct the card, or leave the attribute out"
        )


def _check_known(label: NDArray[np.int64]) -> None:
    if not (label >= 0).any():
        raise DatasetError(
            "not one test sequence has a known attribute, so nothing can be scored; complete the labels, or divide the "
            "data otherwise"
        )


class _Decided(NamedTuple):
    prediction: NDArray[np.int64]
    """``[N, A]``."""
    positive: NDArray[np.bool_]
    """``[N, S]``."""
    score: NDArray[np.float32]
    """``[N, A]``."""


def _decided(logits: Tensor, num_classes: tuple[int, ...], decides: Decision) -> _Decided:
    """What logits ``[N, S]`` tell."""
    prediction, positive, score = [], [], []
    for part in torch.split(logits, list(num_classes), dim=1):
        # Of equal logits numpy takes the first one on every machine; torch leaves it open.
        chosen = part.numpy().argmax(axis=1)
        is_chosen = np.arange(part.shape[1]) == chosen[:, None]
        sure = part.sigmoid() if decides == "threshold" else part.softmax(dim=1)
        prediction.append(chosen)
        positive.append((part > 0).numpy() if decides == "threshold" else is_chosen)
        score.append(sure.numpy()[is_chosen])
    return _Decided(
        np.stack(prediction, axis=1).astype(np.int64),
        np.concatenate(positive, axis=1),
        np.round(np.stack(score, axis=1), 3).astype(np.float32),
    )


def _labels(label: NDArray[np.int16], attributes: tuple[Attribute, ...], part: str) -> NDArray[np.int64]:
    """``[N, A]`` labels that fit the schema.

    Raises:
        DatasetError: They do not.
    """
    known: NDArray[np.int64] = label.astype(np.int64)
    counts = np.array([len(attribute.classes) for attribute in attributes])
    if known.shape[1] != len(counts):
        raise DatasetError(
            f"the {part} sequences have {known.shape[1]} labels each, the schema has {len(counts)} attributes; prepare "
            "the dataset again"
        )
    if (is_wrong := (known < -1) | (known >= counts)).any():
        row, column = np.argwhere(is_wrong)[0].tolist()
        raise DatasetError(
            f"a {part} sequence has class {known[row, column]} of {attributes[column].name}, which has "
            f"{counts[column]} classes; prepare the dataset again"
        )
    return known


def _shape(attributes: tuple[Attribute, ...]) -> list[tuple[str, tuple[str, ...]]]:
    return [(attribute.name, attribute.classes) for attribute in attributes]


def _say(attributes: tuple[Attribute, ...]) -> str:
    shown = [f"{attribute.name} ({len(attribute.classes)} classes)" for attribute in attributes]
    return (", ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "")) or "none"
