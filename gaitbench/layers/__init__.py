"""The field's building blocks: set pooling, horizontal pyramids, per-part heads, residual trunks."""

from gaitbench.layers.bnneck import SeparateBNNeck
from gaitbench.layers.frame_wise import fold_frames, frame_wise, unfold_frames
from gaitbench.layers.horizontal_pyramid_pool import horizontal_pyramid_pool
from gaitbench.layers.init_parameters import init_parameters
from gaitbench.layers.published_keys import rename_published
from gaitbench.layers.residual import ResidualBlock2d
from gaitbench.layers.resnet9 import ResNet9
from gaitbench.layers.separate_fc import SeparateFC
from gaitbench.layers.set_pool import set_pool

__all__ = [
    "ResNet9",
    "ResidualBlock2d",
    "SeparateBNNeck",
    "SeparateFC",
    "fold_frames",
    "frame_wise",
    "horizontal_pyramid_pool",
    "init_parameters",
    "rename_published",
    "set_pool",
    "unfold_frames",
]
