"""What a task is: which embeddings it asks for, and how it turns them into scores and their evidence.

Axes: N sequences, D embedding width, P parts.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from gaitbench.card import Attribute
from gaitbench.errors import IncompleteDataError, ModelError, ShapeError, UsageError
from gaitbench.model import Decision, GaitOutput
from gaitbench.protocol import Division, Protocol
from gaitbench.results import Score
from gaitbench.table import SequenceTable
from gaitbench.tasks.evidence import Matching, collect
from gaitbench.tasks.scores import BREAKDOWNS, scores_of

__all__ = ["BREAKDOWNS", "Direction", "EmbeddingSet", "Evaluation", "RankingMetric", "Task", "TaskData"]

RankingMetric = Callable[[Tensor, Tensor, Tensor], Tensor]
"""``(distance [Q, G], match [Q, G], valid [Q, G]) -> [Q]`` with NaN for an absent probe."""


class Direction(NamedTuple):
    """Which embeddings are asked about and which are searched."""

    probe: str
    """Modality of the probes; of those that were embedded from several, all joined by ``+``."""
    gallery: str
    """Modality of the gallery, likewise."""

    def __str__(self) -> str:
        return f"{self.probe}->{self.gallery}"


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingSet:
    """What a model made of the sequences in one modality."""

    embeddings: Tensor
    """``[N, D, P]`` float32 or float16 on the CPU."""
    table: SequenceTable
    """``[N]`` rows in the same order."""

    def check(self, name: str) -> None:
        """Stop when the embeddings cannot be scored.

        Args:
            name: Of the modality, for the message.

        Raises:
            ShapeError: Not ``[N, D, P]``, or not one embedding per row.
            ModelError: NaN or infinity; the message names the first sequence.
        """
        if self.embeddings.ndim != 3 or self.embeddings.shape[0] != len(self.table):
            raise ShapeError(
                f"{name} embeddings must be [N, D, P] with one row per sequence ({len(self.table)}), "
                f"got {list(self.embeddings.shape)}"
            )
        if not self.embeddings.is_floating_point():
            raise ShapeError(f"{name} embeddings must be floating point, got {self.embeddings.dtype}")
        if self.embeddings.numel() == 0 or all(bool(end.isfinite()) for end in self.embeddings.aminmax()):
            return
        is_bad = ~self.embeddings.isfinite().flatten(1).all(dim=1)
        if num_bad := int(is_bad.sum()):
            first = self.table.sequence_id[int(is_bad.nonzero()[0, 0])]
            raise ModelError(
                f"{name} embeddings of {num_bad} of {len(self.table)} sequences hold NaN or infinity (first: {first}); "
                "the model diverged or its input is broken"
            )

    def rows_of(self, sequence_ids: NDArray[np.str_], name: str) -> NDArray[np.int64]:
        """Find sequences by id.

        Args:
            sequence_ids: ``[n]``.
            name: Of the modality, for the message.

        Returns:
            ``[n]`` rows.

        Raises:
            IncompleteDataError: A sequence has no embedding, or an id occurs twice.
        """
        order = np.argsort(self.table.sequence_id, kind="stable")
        known = self.table.sequence_id[order]
        if (twice := known[1:][known[1:] == known[:-1]]).size:
            raise IncompleteDataError(f"sequence id {twice[0]} occurs twice among the {name} embeddings")
        at = np.searchsorted(known, sequence_ids)
        is_there = known[np.minimum(at, len(known) - 1)] == sequence_ids if len(known) else at < 0
        if not is_there.all():
            missing = sequence_ids[~is_there]
            raise IncompleteDataError(
                f"{len(missing)} of {len(sequence_ids)} sequences that the protocol needs have no {name} embedding "
                f"(first: {', '.join(missing[:3].tolist())})"
            )
        return order[at]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Scores and the tables they can be recomputed from."""

    scores: tuple[Score, ...]
    """Every number with its denominators."""
    tables: dict[str, pa.Table]
    """``probes``, ``verification`` and ``roc_subjects``; their columns are in :mod:`gaitbench.tasks.evidence`."""

    def score(self, metric: str, group: str, direction: str = "") -> Score:
        """Look one number up.

        Args:
            metric: Such as ``rank_1``.
            group: Probe group, ``mean``, or a breakdown such as ``NM/gap=45``.
            direction: Such as ``lidar->silhouette``; empty within one modality.

        Returns:
            The score.

        Raises:
            UsageError: There is no such score.
        """
        for score in self.scores:
            if (score.metric, score.group, score.direction) == (metric, group, direction):
                return score
        known = sorted({f"{s.metric} of {s.group}" for s in self.scores if s.direction == direction})
        raise UsageError(f"no score {metric} of {group} {direction!r}; there are {', '.join(known)}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaskData:
    """What a task may have to know of the data and of the model, besides the model's answers."""

    attributes: tuple[Attribute, ...]
    """Schema of the training data, which is what the model answers."""
    tested: tuple[Attribute, ...]
    """Schema of the test data."""
    learnt: SequenceTable
    """The training sequences."""
    decides: Decision = "argmax"
    """How the model's attribute logits become labels."""
    asked: SequenceTable | None = None
    """The test sequences, where they are known before training."""


class Task(ABC):
    """What is asked of a model, and how the answer is scored.

    By default the task looks at embeddings: within a direction every probe is compared with the gallery as the protocol
    says, and a task only chooses directions. A task that looks at something else scores it by itself.
    """

    name: ClassVar[str]
    """As on the command line."""
    version: ClassVar[int]
    """Raised when a number could change; a leaderboard never mixes versions."""
    looks_at: ClassVar[Literal["embedding", "attributes"]] = "embedding"
    """What of a model's output it scores. Nobody has to be found in a gallery where it is ``attributes``."""
    asks_about_fusions: ClassVar[bool] = False
    """True where sets of modalities that a model embeds as one are compared as well."""

    @abstractmethod
    def directions(self, inputs: tuple[str, ...]) -> tuple[Direction, ...]:
        """Which comparisons a model that reads these modalities is asked for.

        Args:
            inputs: Modalities of the model; where the task asks about them, behind these its fusions, such as
                ``silhouette+lidar``.

        Returns:
            Directions; what the leaderboard ranks comes first, context after it.

        Raises:
            UsageError: The task cannot be asked of such a model.
        """

    @abstractmethod
    def label(self, direction: Direction) -> str:
        """How a direction is written in the record; empty within one modality of the identity task."""

    def for_data(self, data: TaskData) -> "Task":  # noqa: ARG002
        """The task with all it must know of the data and the model; this default needs nothing.

        Raises:
            DatasetError: The task cannot be asked on such data.
        """
        return self

    def answer(self, output: GaitOutput) -> Tensor:
        """What of a model's output is kept of every sequence and scored.

        Returns:
            ``[N, D, P]``: the embedding.

        Raises:
            ModelError: The output has nothing of the kind.
        """
        return output.embedding

    def evaluate(
        self,
        embeddings: Mapping[str, EmbeddingSet],
        protocol: Protocol,
        division: Division,
        *,
        seed: int = 0,
        bootstrap: int = 1000,
        metrics: Mapping[str, RankingMetric] | None = None,
        device: torch.device | None = None,
    ) -> Evaluation:
        """Score embeddings under a protocol.

        Nothing depends on the order of rows or on how the work is cut into blocks.

        Args:
            embeddings: Modality to embeddings of at least the division's test rows, found by sequence id. What was
                embedded from several modalities jointly has the key ``"+".join(modalities)``.
            protocol: How to count.
            division: Who is probe and gallery.
            seed: Of the bootstrap.
            bootstrap: Resamples of subjects for the 95 % intervals; 0 gives none.
            metrics: Further metrics per probe, by name; names of built-in scores are passed over. They are averaged
                like AP: over the probes for which they are not NaN.
            device: Where to compare and count, the embeddings being moved there piece by piece; None for where they
                are.

        Returns:
            Scores and evidence.

        Raises:
            UsageError: The task cannot be asked of these modalities.
            IncompleteDataError: A sequence of the division has no embedding.
            ModelError: Embeddings hold NaN or infinity.
            ShapeError: Embeddings of probe and gallery do not fit together.
            PluginError: A further metric fails or breaks its contract.
        """
        for name, embedded in embeddings.items():
            embedded.check(name)
        directions = self.directions(tuple(embeddings))
        matchings = []
        for direction in directions:
            probe, gallery = embeddings[direction.probe], embeddings[direction.gallery]
            if probe.embeddings.shape[1:] != gallery.embeddings.shape[1:]:
                raise ShapeError(
                    f"{direction}: probe embeddings are {list(probe.embeddings.shape[1:])} and gallery embeddings "
                    f"{list(gallery.embeddings.shape[1:])}; one space needs one width and number of parts"
                )
            matchings.append(_matching(self.label(direction), direction, probe, gallery, division))
        with torch.inference_mode():
            tables = collect(matchings, protocol, metrics or {}, seed=seed, bootstrap=bootstrap, device=device)
        return Evaluation(scores_of(tables, protocol), tables)


def _matching(
    label: str, direction: Direction, probe: EmbeddingSet, gallery: EmbeddingSet, division: Division
) -> Matching:
    ids = division.table.sequence_id
    return Matching(
        label=label,
        probe=probe.embeddings,
        probe_table=probe.table,
        gallery=gallery.embeddings,
        gallery_table=gallery.table,
        probes={name: probe.rows_of(ids[rows], direction.probe) for name, rows in division.probes.items()},
        galleries={name: gallery.rows_of(ids[rows], direction.gallery) for name, rows in division.galleries.items()},
        impostors=gallery.rows_of(ids[division.impostors], direction.gallery),
    )
