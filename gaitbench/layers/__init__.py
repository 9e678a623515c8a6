"""The field's building blocks: set pooling, horizontal pyramids, per-part heads, residual trunks."""

from gaitbench.layers.bnneck import SeparateBNNeck
from gaitbench.layers.channels_last import channels_last
from gaitbench.layers.frame_wise import fold_frames, frame_wise, unfold_frames
from gaitbench.layers.horizontal_pyramid_pool import horizontal_pyramid_pool
from gaitbench.layers.init_parameters import init_parameters
from gaitbench.layers.padding_mask import clear_padding, padding_mask
from gaitbench.layers.points import farthest_points, gather_points, nearest_points
from gaitbench.layers.published_keys import rename_published
from gaitbench.layers.residual import ResidualBlock2d
from gaitbench.layers.residual_3d import ResidualBlock3d, ResidualBlockP3d, ResidualStage
from gaitbench.layers.resnet9 import ResNet9
from gaitbench.layers.separate_fc import SeparateFC
from gaitbench.layers.set_abstraction import PointMLP, SetAbstraction
from gaitbench.layers.set_pool import set_pool
from gaitbench.layers.skeleton_map import skeleton_map

__all__ = [
    "PointMLP",
    "ResNet9",
    "ResidualBlock2d",
    "ResidualBlock3d",
    "ResidualBlockP3d",
    "ResidualStage",
    "SeparateBNNeck",
    "SeparateFC",
    "SetAbstraction",
    "channels_last",
    "clear_padding",
    "farthest_points",
    "fold_frames",
    "frame_wise",
    "gather_points",
    "horizontal_pyramid_pool",
    "init_parameters",
    "nearest_points",
    "padding_mask",
    "rename_published",
    "set_pool",
    "skeleton_map",
    "unfold_frames",
]
