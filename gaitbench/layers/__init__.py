"""The field's building blocks: set pooling, horizontal pyramids, per-part heads, residual trunks."""

from gaitbench.layers.attend import attend, split_heads
from gaitbench.layers.attention_fusion import AttentionFusion
from gaitbench.layers.attribute_head import AttributeHead
from gaitbench.layers.block_stages import Stages, StageSizes, Stem
from gaitbench.layers.bnneck import SeparateBNNeck
from gaitbench.layers.bounded_scale import bounded_scale, hold_scale
from gaitbench.layers.channels_last import channels_last
from gaitbench.layers.check_strips import check_strips
from gaitbench.layers.feature_branches import appearance_branch, denoising_branch
from gaitbench.layers.fit_frame import FrameForm, fit_frame, image_area
from gaitbench.layers.frame_wise import fold_frames, frame_wise, unfold_frames
from gaitbench.layers.horizontal_pyramid_pool import horizontal_pyramid_pool
from gaitbench.layers.init_parameters import init_parameters
from gaitbench.layers.label_shares import LabelShares
from gaitbench.layers.mask_head import MaskHead
from gaitbench.layers.mask_morphology import MaskUse, choose_foreground, clean_mask, dilate, erode
from gaitbench.layers.on_pixels import on_vectors, pick_pixels, put_pixels
from gaitbench.layers.padding_mask import clear_padding, padding_mask
from gaitbench.layers.points import farthest_points, gather_points, nearest_points
from gaitbench.layers.published_keys import rename_published
from gaitbench.layers.real_frames import RealFrames
from gaitbench.layers.residual import ResidualBlock2d
from gaitbench.layers.residual_3d import ResidualBlock3d, ResidualBlockP3d, ResidualStage
from gaitbench.layers.resnet9 import ResNet9
from gaitbench.layers.separate_fc import SeparateFC
from gaitbench.layers.set_abstraction import PointMLP, SetAbstraction
from gaitbench.layers.set_pool import set_pool
from gaitbench.layers.skeleton_map import skeleton_map
from gaitbench.layers.two_stream_trunk import TwoStreamTrunk
from gaitbench.layers.widen import widen

__all__ = [
    "AttentionFusion",
    "AttributeHead",
    "FrameForm",
    "LabelShares",
    "MaskHead",
    "MaskUse",
    "PointMLP",
    "RealFrames",
    "ResNet9",
    "ResidualBlock2d",
    "ResidualBlock3d",
    "ResidualBlockP3d",
    "ResidualStage",
    "SeparateBNNeck",
    "SeparateFC",
    "SetAbstraction",
    "StageSizes",
    "Stages",
    "Stem",
    "TwoStreamTrunk",
    "appearance_branch",
    "attend",
    "bounded_scale",
    "channels_last",
    "check_strips",
    "choose_foreground",
    "clean_mask",
    "clear_padding",
    "denoising_branch",
    "dilate",
    "erode",
    "farthest_points",
    "fit_frame",
    "fold_frames",
    "frame_wise",
    "gather_points",
    "hold_scale",
    "horizontal_pyramid_pool",
    "image_area",
    "init_parameters",
    "nearest_points",
    "on_vectors",
    "padding_mask",
    "pick_pixels",
    "put_pixels",
    "rename_published",
    "set_pool",
    "skeleton_map",
    "split_heads",
    "unfold_frames",
    "widen",
]
