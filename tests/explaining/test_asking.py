"""What a model shows is checked before it is drawn."""

from collections.abc import Sequence

import pytest
import torch
from pydantic import BaseModel
from torch import Tensor

from gaitbench.errors import ModelError
from gaitbench.explaining import Explainable, Finding, Heatmap
from gaitbench.explaining.asking import explain_batch
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec

BATCH = GaitBatch(
    {"silhouette": torch.rand(2, 1, 5, 8, 6), "skeleton2d": torch.rand(2, 3, 5, 17)},
    {"silhouette": torch.tensor([5, 3]), "skeleton2d": torch.tensor([5, 3])},
)
GOOD = Heatmap("map", "silhouette", torch.rand(2, 5, 4, 3))


class Nothing(BaseModel):
    """No configuration."""


class Shown(Explainable, GaitModel):
    """Shows whatever it is given."""

    def __init__(self, *found: object) -> None:
        super().__init__(Nothing())
        self.found = found
        self.had_gradient: bool | None = None
        self.train()

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        return (InputSpec(modality="silhouette"),)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        raise NotImplementedError

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: object) -> dict[str, Tensor]:
        raise NotImplementedError

    def explain(self, batch: GaitBatch) -> Sequence[Heatmap | Finding]:
        self.had_gradient = torch.is_grad_enabled()
        return self.found  # type: ignore[return-value]


def test_a_sound_answer_passes() -> None:
    padded = torch.rand(2, 5, 1, 1)
    padded[1, 3:] = torch.nan
    model = Shown(GOOD, Heatmap("other", "silhouette", padded, (0, 2)), Finding("said", ("a", "b")))
    assert [found.title for found in explain_batch(model, BATCH)] == ["map", "other", "said"]
    assert (model.training, model.had_gradient) == (False, False)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([], "shows nothing"),
        ([GOOD, GOOD], "'map' is the title of two things"),
        ([GOOD, Finding("map", ("a", "b"))], "'map' is the title of two things"),
        ([GOOD._replace(modality="rgb")], r"over 'rgb', which is no raster of the batch \(silhouette\)"),
        ([GOOD._replace(modality="skeleton2d")], "over 'skeleton2d', which is no raster"),
        ([GOOD._replace(values=torch.rand(2, 4, 4, 3))], r"with N and T \[2, 5\], got \[2, 4, 4, 3\]"),
        ([GOOD._replace(values=torch.rand(2, 5, 4))], r"must be \[N, T, h, w\]"),
        ([GOOD._replace(values=torch.rand(2, 5, 0, 3))], r"must be \[N, T, h, w\]"),
        ([GOOD._replace(values=torch.full((2, 5, 4, 3), torch.nan))], "holds NaN or infinity"),
        ([GOOD._replace(limits=(1.0, 1.0))], r"limits \(1.0, 1.0\), which do not rise"),
        ([Finding("said", ("a",))], "has 1 sentences for 2 sequences"),
    ],
)
def test_what_cannot_be_drawn_is_refused(found: list[object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        explain_batch(Shown(*found), BATCH)
