"""Whether a model learns at all."""

import copy

import torch

from gaitbench.errors import ModelError
from gaitbench.model import GaitBatch, GaitModel
from gaitbench.recipe import Stage
from gaitbench.testing.synthetic import synthetic_batch

__all__ = ["check_learning"]


def check_learning(
    model: GaitModel,
    *,
    batch: GaitBatch | None = None,
    num_steps: int = 15,
    lr: float = 0.01,
    share: float = 0.8,
    stage: Stage | None = None,
) -> None:
    """Train a copy on one batch over and over; its loss must fall.

    Args:
        model: Small, trained by gradient.
        batch: With labels of two subjects or more; None for made-up clips.
        num_steps: Steps of Adam.
        lr: Its learning rate.
        share: Share of the first loss that one of the last three must fall below.
        stage: What the losses are told, with their weights; None for a default one.

    Raises:
        ModelError: The loss does not fall, or is not finite.
    """
    batch, stage = batch or synthetic_batch(model.inputs), stage or Stage()
    name = type(model).__name__
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        trained = copy.deepcopy(model).train()
        optimizer = torch.optim.Adam(trained.parameters(), lr=lr)
        history: list[float] = []
        for step in range(num_steps):
            batch.step = step
            losses = trained.losses(trained(batch), batch, stage)
            total = torch.stack([stage.loss_weights.get(key, 1.0) * loss for key, loss in losses.items()]).sum()
            optimizer.zero_grad()
            total.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            history.append(total.item())
    # Written so that NaN does not pass.
    if not min(history[-3:]) < share * history[0]:
        raise ModelError(
            f"{name}: in {num_steps} steps on one batch the loss goes from {history[0]:.3g} to {history[-1]:.3g}, not "
            f"below {share:g} of what it was; are labels, losses and gradients those of the model?"
        )
