"""The contract of a modality: a sensible description whose frames survive storage."""

import numpy as np

from gaitbench.card import StreamInfo
from gaitbench.errors import PluginError
from gaitbench.modality import Modality
from gaitbench.sequence import PointFrames
from gaitbench.spec_rules import check_spec
from gaitbench.specs import ModalitySpec
from gaitbench.storage.codec import pack, unpack
from gaitbench.testing.synthetic import synthetic_frames

__all__ = ["check_modality"]

_SHAPES = {"raster": (64, 44), "joints": (17,), "points": ()}


def check_modality(modality: Modality) -> None:
    """Try a modality against its contract.

    Checked: fields that agree with one another, and frames that come back from storage as they went in, bit for bit
    where the codec promises it.

    Raises:
        PluginError: What is wrong, and what the contract asks for.
        DatasetError: Its frames cannot be stored.
    """
    check_spec(ModalitySpec(name=modality.name, title=modality.title, modality=modality), "this plugin")
    sizes = _SHAPES[modality.kind]
    shape = (modality.channels, *sizes) if modality.kind == "raster" else (*sizes, modality.channels)
    info = StreamInfo(frame_shape=shape, frame_rate_hz=25)
    frames = synthetic_frames(modality, info)
    restored = unpack(pack(frames, modality, info, "synthetic"), modality, info)
    if isinstance(frames, PointFrames) or isinstance(restored, PointFrames):
        assert isinstance(frames, PointFrames)
        assert isinstance(restored, PointFrames)
        is_same = np.array_equal(frames.offsets, restored.offsets) and np.allclose(
            frames.points, restored.points, atol=0.02
        )
    elif modality.codec == "jpeg":
        is_same = frames.shape == restored.shape and frames.dtype == restored.dtype
    else:
        is_same = np.array_equal(frames, restored)
    if not is_same:
        raise PluginError(
            f"modality {modality.name!r}: frames stored as {modality.codec} do not come back as they went in."
        )
