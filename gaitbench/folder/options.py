"""What a user says about data of their own: how folders are named, what is in them, how frames are treated."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, PositiveFloat, PositiveInt, ValidationInfo, field_validator, model_validator

from gaitbench.dataset import BuilderOptions
from gaitbench.errors import UsageError
from gaitbench.streams.rgb import RgbStorage
from gaitbench.streams.silhouettes import Edges

__all__ = ["ALIGNED", "MODALITIES", "FolderOptions", "Words", "words_in"]

MODALITIES = ("silhouette", "rgb", "parsing", "depth", "lidar", "skeleton2d", "skeleton3d")
"""What folders can hold."""
ALIGNED = ("silhouette", "parsing")
"""What people are cut out of."""
_LEVELS = ("subject", "condition", "view", "modality")
_DEFAULT_PX = 64

Words = int | str | tuple[int | str, ...]
"""Words as somebody types them: one, several with commas between them, or a JSON list."""
_Value = TypeVar("_Value", int, float)
_Share = Annotated[float, Field(gt=0, lt=1)]


class FolderOptions(BuilderOptions):
    """Options of one's own data."""

    levels: str = "subject/condition/view"
    """What the folders are, from the top: subject once; view, modality and conditions where there are any. Names of
    several levels of conditions are joined: condition/condition makes nm-01 of nm/01."""
    modality: Words = ()
    """What the frames are: silhouette, rgb, parsing, depth, lidar, skeleton2d, skeleton3d. Several lie in folders of
    these names, inside each sequence's own. Without it, such folders are looked for; otherwise it is silhouette."""
    patterns: dict[str, str] = Field(default_factory=dict)
    """Where each modality lies inside the folder of a sequence: {"silhouette": "sil*.png", "rgb": "rgb/*.jpg"}."""
    height_px: PositiveInt | dict[str, PositiveInt] | None = None
    """Rows that frames are scaled to, for all modalities or by modality. Without it 64 for people that are cut out;
    other frames stay as they are, and must have one size."""
    width_px: PositiveInt | dict[str, PositiveInt] | None = None
    """Columns; without it as many as rows. People who are cut out are cut to their middle where it is less."""
    align: bool = True
    """Cut people out of silhouettes and part maps: one height, centred. False for frames that have been."""
    edges: Edges = "soft"
    """Silhouettes with grey edges (soft), or black and white in an eighth of the space (binary)."""
    rgb: RgbStorage = "raw"
    """Colours bit by bit (raw), or in a tenth of the space (jpeg)."""
    joints: Literal["coco", "keep"] = "coco"
    """coco makes the 17 joints of COCO of OpenPose's 18 or 25; keep leaves the joints as they are."""
    bin_values: Annotated[int, Field(ge=3, le=64)] = 4
    """Numbers per point of a .bin file, coordinates first: 4 with the intensity, as KITTI has them, 3 without."""
    frame_rate_hz: PositiveFloat | dict[str, PositiveFloat] = 25.0
    """Frames per second, for all modalities or by modality."""
    views_are_angles: bool = False
    """Views are named by their angle in degrees: 090, 45.5, -30."""
    attributes: str = ""
    """A CSV file, relative to the source: columns subject, condition, view or sequence say who is meant, every other
    one is an attribute with its class words."""
    attributes_sha256: str = ""
    """Hash of that file; filled in when the dataset is prepared."""
    train_subjects: Words = ()
    """Protocol: subjects to train on, as words, patterns or ranges (001..060); without it all who are not tested."""
    test_subjects: Words = ()
    """Protocol: subjects to test on; without it all who do not train."""
    train_fraction: _Share = 0.5
    """Protocol: where neither is named, the share of subjects that trains, drawn by a hash of their names."""
    gallery: Words = ()
    """Protocol: conditions that are searched; the others ask. Without it the first one by name, or, where there is one
    condition only, everything is compared with everything else."""
    exclude_identical_view: bool = False
    """Protocol: pairs of one view do not count."""
    averaging: Literal["probes", "view_pairs", "probe_views"] = "probes"
    """Protocol: plain mean over probes, or over cells of views."""

    @field_validator("levels")
    @classmethod
    def _check_levels(cls, levels: str) -> str:
        words = _split(levels)
        if unknown := [word for word in words if word not in _LEVELS]:
            raise ValueError(f"{unknown[0]!r} is no level; a level is one of {', '.join(_LEVELS)}")
        if words.count("subject") != 1 or words.count("view") > 1 or words.count("modality") > 1:
            raise ValueError("levels must have subject once, and view and modality once at most")
        return levels

    @field_validator("modality", "patterns", "height_px", "width_px", "frame_rate_hz")
    @classmethod
    def _check_modalities(cls, value: Any, info: ValidationInfo) -> Any:
        names = words_in(value) if info.field_name == "modality" else value if isinstance(value, dict) else ()
        if unknown := [name for name in names if name not in MODALITIES]:
            raise ValueError(f"there is no modality {unknown[0]!r} in folders; there are {', '.join(MODALITIES)}")
        return value

    @field_validator("patterns")
    @classmethod
    def _check_patterns(cls, patterns: dict[str, str]) -> dict[str, str]:
        for name, pattern in patterns.items():
            if any(part in ("", ".", "..") for part in pattern.removesuffix("/").split("/")):
                raise ValueError(f"the pattern {pattern!r} of {name} must be like 'sil*.png' or 'rgb/*.jpg'")
        return patterns

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.patterns and self.modality and set(self.patterns) != set(words_in(self.modality)):
            raise ValueError("modality and patterns name different modalities; patterns alone are enough")
        for name in filter(self.is_aligned, MODALITIES):
            height, width = _of(self.height_px, name) or _DEFAULT_PX, _of(self.width_px, name)
            if width is not None and width > height:
                raise ValueError(
                    f"{name} that is cut out is {height} x {height} and cut to its middle, so that width_px is that "
                    f"much at most, not {width}; give a greater height_px"
                )
        return self

    @property
    def level_words(self) -> tuple[str, ...]:
        """The levels, from the top."""
        return _split(self.levels)

    def is_aligned(self, modality: str) -> bool:
        """Whether people are cut out of this modality."""
        return self.align and modality in ALIGNED

    def size_px(self, modality: str) -> tuple[int, int] | None:
        """H and W that frames get; None where they stay as they are.

        Raises:
            UsageError: There is a width and no height.
        """
        height, width = _of(self.height_px, modality), _of(self.width_px, modality)
        if self.is_aligned(modality):
            height = height or _DEFAULT_PX
            return height, width or height
        if height is None and width is not None:
            raise UsageError(f"{modality} has width_px={width} and no height_px; give both options, or neither.")
        return None if height is None else (height, width or height)

    def rate_hz(self, modality: str) -> float:
        """Frames per second."""
        return _of(self.frame_rate_hz, modality) or 25.0


def words_in(words: Words) -> tuple[str, ...]:
    """Words one by one.

    Example:
        >>> words_in("nm-01, nm-02"), words_in(7), words_in(("a,b",))
        (('nm-01', 'nm-02'), ('7',), ('a,b',))
    """
    if isinstance(words, str):
        return tuple(word.strip() for word in words.split(",") if word.strip())
    return (str(words),) if isinstance(words, int) else tuple(map(str, words))


def _split(levels: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in levels.strip("/ ").split("/"))


def _of(value: "_Value | Mapping[str, _Value] | None", modality: str) -> "_Value | None":
    return value.get(modality) if isinstance(value, Mapping) else value
