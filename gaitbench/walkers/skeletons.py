"""Skeletons in COCO's 17 joints, with the errors of pose estimators.

A joint's error has a part that lasts for a sequence: bone lengths from clean joints would tell everybody apart.

Axes: B sequences, T frames, V = 17 joints (:data:`COCO_JOINTS`).
"""

import numpy as np
from numpy.typing import NDArray

from gaitbench.walkers.motion import INDEX
from gaitbench.walkers.options import WalkersOptions
from gaitbench.walkers.randomness import stream
from gaitbench.walkers.recording import Recording

__all__ = ["COCO_JOINTS", "FOCAL_PX", "IMAGE_PX", "clean_joints", "estimate_2d", "estimate_3d"]

Array = NDArray[np.float64]

COCO_JOINTS = (
    *("nose", "left eye", "right eye", "left ear", "right ear"),
    *("left shoulder", "right shoulder", "left elbow", "right elbow", "left wrist", "right wrist"),
    *("left hip", "right hip", "left knee", "right knee", "left ankle", "right ankle"),
)
"""Order of the joints."""

FOCAL_PX = 1000.0
IMAGE_PX = (1280, 960)
"""Width and height of the camera image that 2D joints are pixels of; the optical axis meets its middle."""

FACE = {"nose": (0.42, 0.0, 0.46), "left eye": (0.36, 0.13, 0.56), "left ear": (-0.04, 0.33, 0.50)}
"""Forward, left and up of the face's points in head lengths from the chin's height at the neck."""


def clean_joints(recording: Recording) -> Array:
    """Give the true joints in the sensor's frame, ``[B, T, 17, 3]`` metres."""
    base = recording.joints[:, :, INDEX["head_base"]]
    length = np.linalg.norm(recording.joints[:, :, INDEX["head_top"]] - base, axis=-1)[..., None]
    columns = []
    for name in COCO_JOINTS:
        side, _, part = name.rpartition(" ")
        if name == "nose" or part in ("eye", "ear"):
            forward, left, up = FACE["nose" if name == "nose" else f"left {part}"]
            offset = np.array([forward, -left if side == "right" else left, up])
            columns.append(base + length * np.einsum("btij,j->bti", recording.head_axes, offset))
        else:
            columns.append(recording.joints[:, :, INDEX[f"{part}_{side}"]])
    return np.stack(columns, axis=2)


def estimate_3d(options: WalkersOptions, recording: Recording) -> list[NDArray[np.float32]]:
    """Give 3D joints as estimated, one ``[T, 17, 3]`` per sequence, metres in the sensor's frame."""
    true = clean_joints(recording)
    result = []
    for info, joints in zip(recording.infos, true, strict=True):
        rng = stream(options.seed, info.subject_id, info.condition, info.view, "skeleton3d")
        bias = options.joint_bias_m * rng.standard_normal((1, *joints.shape[1:]))
        noise = options.joint_noise_m * rng.standard_normal(joints.shape)
        result.append((joints + bias + noise).astype(np.float32))
    return result


def estimate_2d(options: WalkersOptions, recording: Recording) -> list[NDArray[np.float32]]:
    """Give 2D joints as estimated, one ``[T, 17, 3]`` per sequence: x right, y down in pixels, confidence in [0, 1].

    Errors are larger, and confidences smaller, for joints on the far side of the body, behind an occluder, and at
    night.
    """
    true = clean_joints(recording)
    left, up = true[..., 1] / true[..., 0], true[..., 2] / true[..., 0]
    hidden = recording.occluder.hides(left, up)
    middle = true[..., 5:, 0].mean(axis=-1, keepdims=True)
    behind = np.clip((true[..., 0] - middle) / 0.25, 0, 1)
    result = []
    for index, info in enumerate(recording.infos):
        rng = stream(options.seed, info.subject_id, info.condition, info.view, "skeleton2d")
        is_night = info.condition.startswith("nt")
        doubt = 0.35 * behind[index] + 1.6 * hidden[index] + 0.7 * is_night
        metre_px = (FOCAL_PX / true[index, ..., 0])[..., None]
        shape = true[index].shape[:-1]
        bias = options.joint_bias_m * rng.standard_normal((1, shape[1], 2))
        noise = options.joint_noise_m * rng.standard_normal((*shape, 2))
        pixels = np.stack([IMAGE_PX[0] / 2 - FOCAL_PX * left[index], IMAGE_PX[1] / 2 - FOCAL_PX * up[index]], axis=-1)
        pixels = pixels + (1 + doubt[..., None]) * (bias + noise) * metre_px
        confidence = np.clip(0.93 - 0.3 * doubt + 0.05 * rng.standard_normal(shape), 0.05, 1.0)
        result.append(np.concatenate([pixels, confidence[..., None]], axis=-1).astype(np.float32))
    return result
