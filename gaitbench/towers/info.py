"""What a tower says of itself once it is built."""

from typing import Literal

from torch import nn

from gaitbench.towers.config import TowerConfig, TowerInfo
from gaitbench.towers.weights import Published, tower_digest

__all__ = ["tower_info"]


def tower_info(
    role: Literal["image", "text"],
    config: TowerConfig,
    network: nn.Module,
    published: Published | None,
    is_frozen: bool,
    num_promised: tuple[int, int],
) -> TowerInfo:
    """Describe a tower.

    Args:
        role: What it reads.
        config: What it was built from.
        network: With its first weights, before any training.
        published: Where they come from; None for drawn ones.
        is_frozen: Whether training leaves them as they are.
        num_promised: How many parameters it has and its architecture has, counted alike.
    """
    is_drawn = config.weights == "untrained"
    if is_drawn:
        source = f"seed {config.seed}" if is_frozen else "seed of the run"
    else:
        source = "left out" if published is None else published.source
    return TowerInfo(
        role=role,
        architecture=config.architecture,
        weights="trained-along" if is_drawn and not is_frozen else config.weights,
        source=source,
        sha256=tower_digest(config, network.state_dict()) if published is not None or (is_drawn and is_frozen) else "",
        num_parameters=sum(weight.numel() for weight in network.parameters()),
        is_frozen=is_frozen,
        is_reduced=num_promised[0] < num_promised[1],
    )
