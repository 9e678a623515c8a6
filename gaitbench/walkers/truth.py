"""What a sequence shows before sensors and estimators err: one walk, one window, every modality in it.

Axes: T frames, H rows, W columns, V = 17 joints.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gaitbench.sequence import PointFrames, SequenceInfo
from gaitbench.walkers.camera import Window, look
from gaitbench.walkers.lidar import LIDAR_EVERY, scan
from gaitbench.walkers.options import WalkersOptions
from gaitbench.walkers.people import draw_person
from gaitbench.walkers.recording import Recording, record
from gaitbench.walkers.skeletons import clean_joints

__all__ = ["Truth", "project"]


class Truth(NamedTuple):
    """A sequence without errors; metres in the sensor's frame (x forward, y left, z up)."""

    mask: NDArray[np.uint8]
    """``[T, H, W]`` the person in the window of the silhouettes."""
    window: Window
    """Maps points of the sensor's frame to columns and rows of ``mask``, frame by frame."""
    joints: NDArray[np.float64]
    """``[T, 17, 3]``, order :data:`gaitbench.walkers.skeletons.COCO_JOINTS`."""
    cloud: PointFrames
    """LiDAR returns of every second instant, without noise and without losses."""

    def joint_pixels(self) -> NDArray[np.float64]:
        """Project the joints: ``[T, 17, 2]`` columns and rows; pixel (0, 0) covers 0 to 1."""
        return self.window.project(self.joints)

    def cloud_pixels(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Project the returns: ``[M, 2]`` columns and rows, and the camera frame ``[M]`` each belongs to."""
        frame = LIDAR_EVERY * np.repeat(np.arange(len(self.cloud.offsets) - 1), np.diff(self.cloud.offsets))
        window = Window(*(part[frame] for part in self.window))
        return window.project(self.cloud.points.astype(np.float64)), frame


def project(options: WalkersOptions, info: SequenceInfo) -> Truth:
    """Give the exact walk of a sequence and the window that its silhouettes are drawn in.

    Args:
        options: The dataset's.
        info: One of :meth:`gaitbench.walkers.builder.WalkersBuilder.sequences`.

    Example:
        >>> from gaitbench.walkers.builder import WalkersBuilder
        >>> builder = WalkersBuilder(WalkersOptions(num_train_subjects=1, num_test_subjects=1, num_frames=4))
        >>> truth = project(builder.options, builder.sequences()[2])
        >>> truth.mask.shape, truth.joint_pixels().shape
        ((4, 64, 64), (4, 17, 2))
    """

    def recorded(every: int) -> Recording:
        return record(options, [info], lambda subject_id: draw_person(options, subject_id), every=every)

    recording = recorded(1)
    view = look(recording, options.silhouette_px, mask_only=True)
    cloud = scan(options, recorded(LIDAR_EVERY), is_clean=True)[0]
    return Truth(view.mask.numpy(), view.window, clean_joints(recording)[0], cloud)
