from collections.abc import Mapping

import pytest

from gaitbench.errors import PluginError
from gaitbench.protocol import Division, Protocol
from gaitbench.tasks import CrossmodalTask, Direction, EmbeddingSet, Evaluation, IdentityTask
from gaitbench.testing import check_task


class NoVersion(IdentityTask):
    version = None  # type: ignore[assignment]


class NoDirection(CrossmodalTask):
    def directions(self, inputs: tuple[str, ...]) -> tuple[Direction, ...]:
        return ()


class OtherModality(CrossmodalTask):
    def directions(self, inputs: tuple[str, ...]) -> tuple[Direction, ...]:
        return (Direction("rgb", "silhouette"),)


class Percent(IdentityTask):
    def evaluate(
        self, embeddings: Mapping[str, EmbeddingSet], protocol: Protocol, division: Division, **options: object
    ) -> Evaluation:
        found = super().evaluate(embeddings, protocol, division, **options)  # type: ignore[arg-type]
        scores = tuple(score.model_copy(update={"value": score.value * 100}) for score in found.scores)
        return Evaluation(scores, found.tables)


class NoEvidence(IdentityTask):
    def evaluate(
        self, embeddings: Mapping[str, EmbeddingSet], protocol: Protocol, division: Division, **options: object
    ) -> Evaluation:
        return Evaluation(super().evaluate(embeddings, protocol, division, **options).scores, {})  # type: ignore[arg-type]


class ByPosition(IdentityTask):
    """Takes rows as they come."""

    def evaluate(
        self, embeddings: Mapping[str, EmbeddingSet], protocol: Protocol, division: Division, **options: object
    ) -> Evaluation:
        by_position = {
            name: EmbeddingSet(embeddings=each.embeddings, table=division.table) for name, each in embeddings.items()
        }
        return super().evaluate(by_position, protocol, division, **options)  # type: ignore[arg-type]


def test_fusions_may_be_among_what_a_task_is_given() -> None:
    check_task(CrossmodalTask(), modalities=("silhouette", "lidar-depth", "silhouette+lidar-depth"))


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (NoVersion, "version"),
        (NoDirection, "no direction"),
        (OtherModality, "compares rgb"),
        (Percent, r"fractions in \[0, 1\]"),
        (NoEvidence, "no table"),
        (ByPosition, "order of rows"),
    ],
)
def test_a_broken_task_is_told_what_is_wrong(cls: type[IdentityTask], message: str) -> None:
    with pytest.raises(PluginError, match=message):
        check_task(cls())
