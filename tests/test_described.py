"""Configurations that describe training sequences."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from gaitbench.cells.open_training import OpenTraining
from gaitbench.dataset import GaitDataset
from gaitbench.described import Describing, Description, describe
from gaitbench.errors import ModelError


class Plain(BaseModel):
    width: int = 4


class Views(BaseModel, Describing):
    views: tuple[str, ...] = ()
    fault: str = ""

    def described(self, data: GaitDataset) -> Description:
        views, index = np.unique(data.table.view, return_inverse=True)
        values = index.reshape(-1, 1).astype(np.int64)
        if self.fault == "class":
            return Description(Plain(), values)
        if self.fault == "length":
            values = values[:-1]
        if self.fault == "dtype":
            return Description(Views(), values / 2)
        return Description(Views(views=tuple(views.tolist())), values)


def test_what_is_not_described_stays_as_it_is(tiny_walkers: GaitDataset) -> None:
    config = Plain()
    assert describe(config, tiny_walkers) == (config, tiny_walkers)


def test_columns_take_the_place_of_the_attributes_for_batches_alone(tiny_walkers: GaitDataset) -> None:
    before = tiny_walkers.table.attributes.copy()
    fingerprint = tiny_walkers.fingerprint(["silhouette"])
    config, told = describe(Views(), tiny_walkers)
    assert [config.views[index] for (index,) in told.table.attributes.tolist()] == tiny_walkers.table.view.tolist()
    assert np.array_equal(tiny_walkers.table.attributes, before)
    assert told.fingerprint(["silhouette"]) == fingerprint
    assert told.bank("silhouette") is not None


@pytest.mark.parametrize(
    ("fault", "match"),
    [
        pytest.param("class", "gave a configuration of the class Plain", id="class"),
        pytest.param("length", r"must give values \[\d+, A\]", id="length"),
        pytest.param("dtype", "of whole numbers, got .* float64", id="dtype"),
    ],
)
def test_descriptions_of_something_else_are_refused(fault: str, match: str, tiny_walkers: GaitDataset) -> None:
    with pytest.raises(ModelError, match=match):
        describe(Views(fault=fault), tiny_walkers)


def test_a_training_sees_training_sequences_and_stores_what_was_told(tiny_walkers: GaitDataset, tmp_path: Any) -> None:
    seen: list[int] = []

    class Watched(Views):
        def described(self, data: GaitDataset) -> Description:
            seen.extend(range(len(data)))
            return Description(Watched(views=("told",)), np.zeros((len(data), 1), np.int64))

    resolved: Any = SimpleNamespace(
        cell=SimpleNamespace(training=SimpleNamespace(preset="quick", seed=0, device_type="cpu", is_compiled=False)),
        config_for=lambda *_: Watched(),
        model_spec=SimpleNamespace(name="watched"),
        recipe=SimpleNamespace(model_dump=lambda mode: {}, precision="32-true"),
        modalities=("silhouette",),
        plugin=SimpleNamespace(distribution="gaitbench", version="0"),
        package="gaitbench",
        rounding={},
        trained_on=SimpleNamespace(spec=SimpleNamespace(name="walkers")),
    )
    training = OpenTraining(resolved, tiny_walkers.take([0, 1]), tmp_path)
    assert seen == [0, 1]
    assert training.determines["model"] == ["watched", {"views": ["told"], "fault": ""}]
