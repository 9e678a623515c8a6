"""What of an image encoder's wide features a gait network gets to see: a few channels per pixel.

Axes: K pixels, C channels.
"""

from torch import nn

from gaitbench.layers.init_parameters import init_parameters

__all__ = ["appearance_branch", "denoising_branch"]


def denoising_branch(in_channels: int, hidden_channels: int, out_channels: int) -> nn.Sequential:
    """Assign pixels softly to a few classes, which keeps where things are and drops what they look like.

    Args:
        in_channels: C of the features.
        hidden_channels: Between the two linear maps.
        out_channels: Classes.

    Returns:
        Maps ``[K, C]`` to ``[K, out_channels]`` that add up to 1: batch norm, linear, batch norm, GELU, linear,
        softmax; the batch norms have no parameters.

    Source:
        Ye et al., "BigGait: Learning Gait Representation You Want by Large Vision Models", CVPR 2024, section
        "Denoising Branch".

    Example:
        >>> sum(weight.numel() for weight in denoising_branch(1536, 768, 16).parameters())
        1192720
    """
    branch = nn.Sequential(
        nn.BatchNorm1d(in_channels, affine=False),
        nn.Linear(in_channels, hidden_channels),
        nn.BatchNorm1d(hidden_channels, affine=False),
        nn.GELU(),
        nn.Linear(hidden_channels, out_channels),
        nn.Softmax(dim=1),
    )
    init_parameters(branch)
    return branch


def appearance_branch(in_channels: int, out_channels: int) -> nn.Sequential:
    """Keep what pixels look like, in a few channels in [0, 1].

    Args:
        in_channels: C of the features.
        out_channels: Channels kept.

    Returns:
        Maps ``[K, C]`` to ``[K, out_channels]``: batch norm, linear, batch norm, sigmoid; the batch norms have no
        parameters.

    Source:
        Ye et al., CVPR 2024, section "Appearance Branch".

    Example:
        >>> sum(weight.numel() for weight in appearance_branch(1536, 16).parameters())
        24592
    """
    branch = nn.Sequential(
        nn.BatchNorm1d(in_channels, affine=False),
        nn.Linear(in_channels, out_channels),
        nn.BatchNorm1d(out_channels, affine=False),
        nn.Sigmoid(),
    )
    init_parameters(branch)
    return branch
