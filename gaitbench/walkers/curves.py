"""Normative joint-angle curves of level walking as short Fourier series.

Phase runs from 0 (heel strike) to 1 (next heel strike of the same foot). Angles are degrees; flexion, dorsiflexion and
forward are positive. A series is ``a0, a1..a5, b1..b5`` of ``a0 + sum_k a_k cos(2 pi k phase) + b_k sin(...)``.

Axes: C curves, K = 11 coefficients.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEG_CURVES", "NUM_COEFFICIENTS", "basis", "fit", "normative_limbs", "normative_trunk"]

NUM_HARMONICS = 5
NUM_COEFFICIENTS = 1 + 2 * NUM_HARMONICS

LEG_CURVES: dict[str, tuple[float, ...]] = {
    "hip": (30, 29, 25.5, 21, 15.5, 10, 4.5, -0.5, -5, -8.5, -10, -8, -1, 9, 20, 28.5, 33.5, 35, 34, 31.5),
    "knee": (5, 11, 16.5, 18, 16, 12.5, 9, 6, 4, 5, 9.5, 19, 34, 50, 59.5, 58, 47, 29, 12, 3.5),
    "ankle": (0, -6, -6, -2.5, 1.5, 4, 6, 8, 10, 11, 8, -2, -14.5, -18.5, -13, -7, -2.5, 0, 1.2, 1),
}
"""Angles every 5 % of the cycle, drawn through the normative key points of adults (peaks and zero crossings as in
Perry and Burnfield, "Gait Analysis", 2010, and Winter, "Biomechanics and Motor Control of Human Movement")."""


def basis(phase: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate the 11 basis functions: ``[...]`` phases in cycles to ``[..., 11]``.

    Example:
        >>> basis(np.zeros(1))[0].round(3)
        array([1., 1., 1., 1., 1., 1., 0., 0., 0., 0., 0.])
    """
    angle = 2 * np.pi * phase[..., None] * np.arange(1, NUM_HARMONICS + 1)
    return np.concatenate([np.ones_like(phase)[..., None], np.cos(angle), np.sin(angle)], axis=-1)


def fit(samples: tuple[float, ...]) -> NDArray[np.float64]:
    """Fit the series to equally spaced samples of one cycle: least squares, which is a truncated Fourier transform.

    Example:
        >>> knee = LEG_CURVES["knee"]
        >>> error = basis(np.arange(20) / 20) @ fit(knee) - np.array(knee)
        >>> bool(abs(error).max() < 1.0)
        True
    """
    spectrum = np.fft.rfft(np.asarray(samples, dtype=np.float64)) / len(samples)
    harmonics = 2 * spectrum[1 : NUM_HARMONICS + 1]
    return np.concatenate([spectrum[:1].real, harmonics.real, -harmonics.imag])


def wave(mean: float, amplitude: float, peak: float) -> NDArray[np.float64]:
    """Give the series of a cosine around ``mean`` that peaks at phase ``peak``."""
    series = np.zeros(NUM_COEFFICIENTS)
    series[0] = mean
    series[1] = amplitude * np.cos(2 * np.pi * peak)
    series[1 + NUM_HARMONICS] = amplitude * np.sin(2 * np.pi * peak)
    return series


def normative_limbs() -> NDArray[np.float64]:
    """Give the curves of one side, ``[5, 11]``: hip, knee, ankle, shoulder, elbow.

    Shoulder and elbow follow Murray, "Gait as a total pattern of movement", 1967: the arm is furthest back at heel
    strike of its own side.
    """
    legs = [fit(LEG_CURVES[name]) for name in ("hip", "knee", "ankle")]
    return np.stack([*legs, wave(-7, 16, 0.5), wave(26, 9, 0.55)])


def normative_trunk() -> NDArray[np.float64]:
    """Give the curves of the trunk over the right foot's cycle, ``[4, 11]``.

    Pelvic obliquity (left side up), pelvic rotation (right side forward), trunk sway (to the right) and thorax
    rotation (right side forward).
    """
    return np.stack([wave(0, -4, 0.13), wave(0, 5, 0.0), wave(0, 1.5, 0.3), wave(0, -4, 0.02)])


def shift(series: NDArray[np.float64], phase: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Delay series by a phase: ``[..., 11]`` and ``[...]`` to ``[..., 11]``."""
    angle = 2 * np.pi * np.asarray(phase)[..., None] * np.arange(1, NUM_HARMONICS + 1)
    cos, sin = series[..., 1 : 1 + NUM_HARMONICS], series[..., 1 + NUM_HARMONICS :]
    rotated = (cos * np.cos(angle) - sin * np.sin(angle), cos * np.sin(angle) + sin * np.cos(angle))
    return np.concatenate([series[..., :1], *rotated], axis=-1)
