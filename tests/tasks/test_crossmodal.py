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
    assert [str(d) for d in CrossmodalTask().directions(("a", "b", "a"))] == ["a->b", "b->a", "a->a", "b->b"]


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


@pytest.mark.parametrize("inputs", [("silhouette",), ("silhouette", "silhouette+lidar")])
def test_one_modality_is_not_enough(inputs: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="at least two modalities"):
        CrossmodalTask().directions(inputs)


def test_a_fusion_is_asked_against_itself_and_every_modality_behind_all_others() -> None:
    directions = [str(d) for d in CrossmodalTask().directions(("a", "b", "c", "a+b"))]
    assert directions[:9] == [str(d) for d in CrossmodalTask().directions(("a", "b", "c"))]
    assert directions[9:] == ["a+b->a+b", "a+b->a", "a->a+b", "a+b->b", "b->a+b", "a+b->c", "c->a+b"]


def test_fusions_change_no_other_score_and_are_counted_alike() -> None:
    proto, rows = protocol(), table()
    division = proto.divide(rows, needs_train=False)
    silhouette, lidar = (embed(rows, noise=1.5, seed=seed) for seed in (1, 2))
    both = EmbeddingSet((silhouette.embeddings + lidar.embeddings) / 2, rows)
    sets = {"silhouette": silhouette, "lidar": lidar}
    without, fused = (
        CrossmodalTask().evaluate(asked, proto, division, bootstrap=20) for asked in (sets, sets | {"a+b": both})
    )
    assert fused.scores[: len(without.scores)] == without.scores
    found = {s.direction: s for s in fused.scores if (s.metric, s.group) == ("rank_1", "mean")}
    assert len(found) == 9
    assert len({(s.num_probes, s.num_counted, s.num_excluded, s.chance) for s in found.values()}) == 1
    # Two looks at somebody are better than one, on either side.
    assert found["a+b->a+b"].value > max(found["silhouette->silhouette"].value, found["lidar->lidar"].value)
    assert found["a+b->lidar"].value > found["silhouette->lidar"].value


def test_the_probe_is_the_fusion_only_where_it_is_written_first() -> None:
    """Spoil the fusion in the gallery only: fused probes still find single modalities."""
    proto, rows = protocol(), table()
    division = proto.divide(rows, needs_train=False)
    sets = {name: embed(rows, noise=0.1, seed=seed) for seed, name in enumerate(("silhouette", "lidar", "a+b"))}
    sets["a+b"].embeddings[torch.from_numpy(division.gallery)] = 0
    evaluation = CrossmodalTask().evaluate(sets, proto, division, bootstrap=0)
    assert evaluation.score("rank_1", "mean", "a+b->lidar").value > 0.8
    assert evaluation.score("rank_1", "mean", "lidar->a+b").value == 0
    assert evaluation.score("rank_1", "mean", "a+b->a+b").value == 0


def test_one_space_needs_one_shape() -> None:
    rows, proto = table(), protocol()
    sets = {"silhouette": embed(rows), "lidar": EmbeddingSet(torch.zeros(len(rows), 4, 3), rows)}
    with pytest.raises(ShapeError, match=r"silhouette->lidar: probe embeddings are \[8, 3\] and .* \[4, 3\]"):
        CrossmodalTask().evaluate(sets, proto, proto.divide(rows, needs_train=False))
