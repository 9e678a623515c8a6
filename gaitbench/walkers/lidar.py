"""The LiDAR: beams on a regular grid of angles, noise along the range, lost returns.

Axes: F frames, M points.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from gaitbench.sequence import PointFrames
from gaitbench.walkers.options import WalkersOptions
from gaitbench.walkers.randomness import stream
from gaitbench.walkers.rays import NO_HIT, bounds, decode, lidar_grid, render
from gaitbench.walkers.recording import Recording

__all__ = ["LIDAR_EVERY", "scan"]

LIDAR_EVERY = 2
"""The LiDAR measures at every second instant of the camera."""


def scan(options: WalkersOptions, recording: Recording, *, is_clean: bool = False) -> list[PointFrames]:
    """Measure the person in every frame of a recording.

    Args:
        options: Beam pattern and errors.
        recording: The walks, at the LiDAR's instants.
        is_clean: Leave noise and lost returns out.

    Returns:
        One item per sequence; points in the sensor's frame, frame by frame, rows from the top, columns to the right.
    """
    step = options.lidar_step_deg
    left, right, top, bottom = bounds(recording.solids, is_lidar=True)
    is_there = recording.solids.ra > 0
    # Beams sit at whole multiples of the step, so the pattern does not follow the walker.
    first_column = np.floor(np.where(is_there, left, np.inf).min(axis=1) / step)
    first_row = np.floor(np.where(is_there, top, np.inf).min(axis=1) / step)
    width = int((np.ceil(np.where(is_there, right, -np.inf).max(axis=1) / step) - first_column).max()) + 1
    height = int((np.ceil(np.where(is_there, bottom, -np.inf).max(axis=1) / step) - first_row).max()) + 1
    grid = lidar_grid(-first_column * step, -first_row * step, step, height, width)
    code = render(recording.solids, grid)
    place = torch.nonzero(code.flatten() != NO_HIT)[:, 0]
    frame, row, column = np.unravel_index(place.numpy(), code.shape)
    planar_range = decode(code.flatten()[place])[0].numpy()
    forward, sideways, up = grid.forward[frame, column], grid.left[frame, column], grid.up[frame, row]
    direction = np.stack([forward, sideways, up], axis=-1)
    sequence = frame // recording.num_frames
    is_seen = ~_hidden(recording, sequence, direction)
    frame, sequence = frame[is_seen], sequence[is_seen]
    direction, planar_range = direction[is_seen], planar_range[is_seen]

    edges = np.searchsorted(sequence, np.arange(len(recording.infos) + 1))
    result = []
    for index in range(len(recording.infos)):
        part = slice(edges[index], edges[index + 1])
        beams, distance, instant = direction[part], planar_range[part], frame[part] - index * recording.num_frames
        if not is_clean:
            distance, kept = _disturb(options, recording, index, distance, beams)
            beams, distance, instant = beams[kept], distance[kept], instant[kept]
        points = (beams * distance[:, None]).astype(np.float32)
        offsets = np.searchsorted(instant, np.arange(recording.num_frames + 1)).astype(np.int64)
        result.append(PointFrames(points, offsets))
    return result


def _disturb(
    options: WalkersOptions,
    recording: Recording,
    index: int,
    distance: NDArray[np.float64],
    beams: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Add range noise and lose returns; gives the ranges and which remain."""
    info = recording.infos[index]
    rng = stream(options.seed, info.subject_id, info.condition, info.view, "lidar")
    slant = np.linalg.norm(beams, axis=-1)
    noisy = distance + options.lidar_noise_m * rng.standard_normal(len(distance)) / slant
    return noisy, rng.random(len(distance)) >= options.lidar_dropout


def _hidden(recording: Recording, sequence: NDArray[np.int64], direction: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which beams end at the occluder."""
    chosen = recording.occluder.pick(sequence)
    return chosen.hides(direction[:, 1] / direction[:, 0], direction[:, 2] / direction[:, 0])
