"""What a user can choose about the walkers: how many, how seen, how large, how difficult."""

from typing import Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from gaitbench.dataset import BuilderOptions
from gaitbench.dated import Dated

__all__ = ["CONDITIONS", "Background", "WalkersOptions"]

Background = Literal["plain", "textured", "changing"]
"""What is behind the walkers in colour pictures."""

CONDITIONS = (
    *("nm-01", "nm-02", "nm-03", "nm-04"),
    *("bg-01", "bg-02"),
    *("cl-01", "cl-02"),
    *("nt-01", "nt-02"),
    *("oc-01",),
    *("dn-01", "df-01"),
)
"""Normal, bag, coat, night, occlusion, near and far, with the number of the take."""


class WalkersOptions(Dated, BuilderOptions):
    """Size, sensors and difficulty of the walkers."""

    later_fields = frozenset({"background"})

    num_train_subjects: PositiveInt = 60
    """Training subjects; they come first: ``0001`` and up."""
    num_test_subjects: PositiveInt = 40
    """Test subjects; their numbers follow on."""
    conditions: tuple[str, ...] = CONDITIONS
    """What is recorded of everybody; a subset of :data:`CONDITIONS`."""
    views_deg: tuple[int, ...] = (0, 45, 90, 135, 180, 225, 270, 315)
    """Directions that the walker is seen from: 0 walks towards the sensor, 90 shows the left side, 180 the back."""
    seed: NonNegativeInt = 0
    """Another seed, other people."""

    num_frames: PositiveInt = 18
    """Camera frames per sequence."""
    camera_rate_hz: PositiveFloat = 15.0
    """Camera frames per second; the LiDAR turns half as fast and shares every second instant."""
    silhouette_px: int = Field(default=64, ge=16, le=512)
    """Rows and columns of silhouettes, depth images and parsings."""
    lidar_depth_px: int = Field(default=64, ge=16, le=512)
    """Rows and columns of projected LiDAR frames."""
    rgb_height_px: int = Field(default=128, ge=32, le=1024)
    """Rows of colour crops."""
    rgb_width_px: int = Field(default=64, ge=16, le=1024)
    """Columns of colour crops."""
    background: Background = "plain"
    """What is behind the walkers in colour pictures: faint wall and floor (``plain``); strong patterns and clutter that
    stand still (``textured``); these with people and vehicles that pass, a shaking camera and unsteady light
    (``changing``). Every other stream, and the walkers themselves, are the same in all three."""

    spread: NonNegativeFloat = 1.6
    """How different people are: factor on the standard deviations of body and motion that adults show. 1 is hard for
    small training sets, above 2 is easy and looks odd."""
    attribute_effect: NonNegativeFloat = 1.0
    """How visibly the 15 attributes change body and motion."""
    take_variation: NonNegativeFloat = 1.0
    """How different two walks of one person are."""

    range_m: tuple[PositiveFloat, PositiveFloat] = (5.0, 8.5)
    """Distance from the sensor to the middle of the walk, smallest and largest."""
    near_range_m: tuple[PositiveFloat, PositiveFloat] = (3.6, 4.4)
    """The same in condition ``dn``."""
    far_range_m: tuple[PositiveFloat, PositiveFloat] = (12.0, 15.0)
    """The same in condition ``df``."""
    lidar_step_deg: float = Field(default=0.35, ge=0.05, le=2.0)
    """Angle between neighbouring LiDAR beams, both ways."""
    lidar_noise_m: NonNegativeFloat = 0.03
    """Standard deviation of measured ranges."""
    lidar_dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Share of returns that are lost; a lost return is no point at all."""
    joint_bias_m: NonNegativeFloat = 0.03
    """Standard deviation of a joint's error that lasts for a sequence, as pose estimators have it."""
    joint_noise_m: NonNegativeFloat = 0.02
    """Standard deviation of a joint's error from frame to frame."""

    @field_validator("conditions")
    @classmethod
    def _check_conditions(cls, conditions: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [c for c in conditions if c not in CONDITIONS]:
            raise ValueError(f"unknown conditions {unknown}; choose from {', '.join(CONDITIONS)}")
        if not conditions or len(set(conditions)) != len(conditions):
            raise ValueError("conditions must be one or more different ones")
        return conditions

    @field_validator("views_deg")
    @classmethod
    def _check_views(cls, views_deg: tuple[int, ...]) -> tuple[int, ...]:
        if not views_deg or len(set(views_deg)) != len(views_deg):
            raise ValueError("views_deg must be one or more different angles")
        if bad := [v for v in views_deg if not 0 <= v < 360]:
            raise ValueError(f"views_deg must lie in 0..359, and {bad} do not")
        return views_deg

    @field_validator("range_m", "near_range_m", "far_range_m")
    @classmethod
    def _check_range(cls, range_m: tuple[float, float], info: ValidationInfo) -> tuple[float, float]:
        low, high = range_m
        if not 2.5 <= low <= high <= 60:
            raise ValueError(f"{info.field_name} must be 2.5 m <= smallest <= largest <= 60 m")
        return range_m

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.num_train_subjects + self.num_test_subjects > 9999:
            raise ValueError("more than 9999 subjects do not fit their four-digit names")
        return self
