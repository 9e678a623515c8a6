import pytest
import torch
from scored import embed, evaluate, protocol, table

from gaitbench.errors import ShapeError, UsageError
from gaitbench.tasks import CrossmodalTask, EmbeddingSet, IdentityTask


def test_directions_are_written_probe_first() -> None:
    directions = CrossmodalTask().directions(("silhouette", "lidar"))
    assert [str(d) for d in directions] == [
        "silhouette->lidar",
        "lidar->silhouette",
        "silhouette->silhouette",
        "lidar->lidar",
    ]
    assert len(CrossmodalTask().directions(("a", "b", "c"))) == 9


def test_the_probe_comes_from_the_first_modality() -> None:
    """Spoil the lidar embeddings of the gallery only: lidar probes still find silhouettes."""
    proto, rows = protocol(), table()
    division = proto.divide(rows, needs_train=False)
    silhouette, lidar = embed(rows, noise=0.1, seed=1), embed(rows, noise=0.1, seed=2)
    lidar.embeddings[torch.from_numpy(division.gallery)] = 0
    sets = {"silhouette": silhouette, "lidar": lidar}
    evaluation = CrossmodalTask().evaluate(sets, proto, division, bootstrap=0)
    value = {d: evaluation.score("rank_1", "mean", d).value for d in ("lidar->silhouette", "silhouette->lidar")}
    assert value["lidar->silhouette"] > 0.8
    assert value["silhouette->lidar"] == 0
    assert evaluation.score("rank_1", "mean", "lidar->lidar").value == 0


def test_context_equals_the_identity_task() -> None:
    cross, alone = evaluate(CrossmodalTask()), evaluate(IdentityTask())
    for score in alone.scores:
        same = cross.score(score.metric, score.group, "silhouette->silhouette")
        assert same.model_dump(exclude={"direction"}) == score.model_dump(exclude={"direction"})


def test_one_modality_is_not_enough() -> None:
    with pytest.raises(UsageError, match="at least two modalities"):
        CrossmodalTask().directions(("silhouette",))


def test_one_space_needs_one_shape() -> None:
    rows, proto = table(), protocol()
    sets = {"silhouette": embed(rows), "lidar": EmbeddingSet(torch.zeros(len(rows), 4, 3), rows)}
    with pytest.raises(ShapeError, match=r"silhouette->lidar: probe embeddings are \[8, 3\] and .* \[4, 3\]"):
        CrossmodalTask().evaluate(sets, proto, proto.divide(rows, needs_train=False))
