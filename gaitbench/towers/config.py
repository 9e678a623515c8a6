"""Which encoder a model borrows, with which weights, and what a record says of it.

An image tower is named as timm names it (``vit_small_patch14_dinov2.lvd142m``) or, with a prefix, as open_clip does
(``open_clip:ViT-B-16``). A text tower is named as open_clip names it (``ViT-B-32``), or is ``hashing``.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, NonNegativeInt, field_validator, model_validator

from gaitbench.digest import file_digest

__all__ = ["HASHING", "Override", "TowerConfig", "TowerInfo"]

HASHING = "hashing"
"""Name of the text encoder that has learned nothing; see :mod:`gaitbench.towers.hashing`."""

Override = bool | int | float | str | tuple[int, ...] | None
"""One setting of an architecture."""

_NAME = re.compile(r"(open_clip:)?[A-Za-z0-9][A-Za-z0-9._-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")


class TowerConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """An encoder by name, with its weights.

    Example:
        >>> TowerConfig(architecture="ViT-B-32").weights
        'untrained'
        >>> TowerConfig(architecture="ViT-B-32", weights="pretrained", tag="openai", revision="main")
        Traceback (most recent call last):
        pydantic_core._pydantic_core.ValidationError: ... pretrained weights need the commit ...
    """

    architecture: str
    """Name in timm; in open_clip, for image towers with the prefix ``open_clip:``; or ``hashing``."""
    weights: Literal["pretrained", "file", "untrained"] = "untrained"
    """``pretrained``: from the hub, by name; ``file``: from :attr:`path`; ``untrained``: drawn at random."""
    tag: str = ""
    """Which of open_clip's pretrained weights (``openai``, ``laion2b_s34b_b79k``); timm has it in the name."""
    revision: str = ""
    """Commit of the hub's repository that pretrained weights are taken from: 40 hexadecimal digits."""
    path: Path | None = None
    """File of weights: ``.safetensors``, or a state dict of ``torch.save``, read with ``weights_only=True``."""
    sha256: str = ""
    """Hash of that file; where only the path is given, the file is hashed."""
    seed: NonNegativeInt = 0
    """Draws the weights of an untrained tower that stays so, and the buckets of the hashing encoder. A tower that is
    trained with its model starts like the model's own layers, from the seed of the run."""
    overrides: dict[str, Override] = {}
    """Settings of the architecture that are changed: arguments of timm's model, or fields of open_clip's ``text_cfg``
    or ``vision_cfg`` and its ``embed_dim``. A tower with fewer parameters than its name promises is told as reduced."""

    @field_validator("architecture")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        """No address of a repository or folder: those libraries would fetch it."""
        if not _NAME.fullmatch(value):
            raise ValueError(
                f"{value!r} is no name of an architecture: give one of timm (vit_small_patch14_dinov2.lvd142m) or of "
                "open_clip (ViT-B-32; image towers: open_clip:ViT-B-16), and weights of your own with weights='file'"
            )
        return value

    @model_validator(mode="before")
    @classmethod
    def _hash(cls, value: object) -> object:
        """Look up the hash of the file where it is missing."""
        if not isinstance(value, Mapping):
            return value
        fields = dict(value)
        if not fields.get("sha256") and isinstance(path := fields.get("path"), str | Path):
            try:
                fields["sha256"] = file_digest(Path(path))
            except OSError as error:
                raise ValueError(f"cannot read the weights of the tower, {path}: {error.strerror}") from error
        return fields

    @model_validator(mode="after")
    def _coherent(self) -> "TowerConfig":
        if (self.weights == "file") != (self.path is not None):
            raise ValueError("weights='file' and a path go together")
        if self.sha256 and self.path is None:
            raise ValueError("sha256 is the hash of a file, and no path is given")
        if self.weights == "pretrained":
            if not _COMMIT.fullmatch(self.revision):
                raise ValueError(
                    f"pretrained weights need the commit that they are taken from as revision, 40 hexadecimal digits, "
                    f"got {self.revision!r}; the repository's history on the hub lists them"
                )
            if self.overrides:
                raise ValueError(f"pretrained weights fit the architecture as it is, without {sorted(self.overrides)}")
        elif self.tag or self.revision:
            raise ValueError("tag and revision belong to weights='pretrained'")
        if self.architecture == HASHING and self.weights != "untrained":
            raise ValueError("the hashing encoder has no weights to load")
        return self


class TowerInfo(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What a record says of a tower.

    Example:
        >>> TowerInfo(role="image", architecture="vit_small_patch14_dinov2.lvd142m", weights="untrained",
        ...           source="seed 0", sha256="", num_parameters=22_056_576, is_frozen=True).says
        'image tower vit_small_patch14_dinov2.lvd142m (untrained, frozen)'
    """

    role: Literal["image", "text"]
    """What it reads."""
    architecture: str
    """As in :class:`TowerConfig`."""
    weights: Literal["pretrained", "file", "untrained", "trained-along", "hashing"]
    """Where the weights began. ``untrained``: drawn at random and left so. ``trained-along``: drawn at random and
    trained with the model. ``hashing``: there are none."""
    source: str
    """Repository, commit and file; or file and its hash; or seed."""
    sha256: str
    """Hash of architecture, overrides and the weights as they were before any training, whatever file they came in;
    empty for ``trained-along``."""
    num_parameters: NonNegativeInt
    """All of its parameters."""
    is_frozen: bool
    """True where training leaves it as it is."""
    is_reduced: bool = False
    """True where it has fewer parameters than its architecture, positions aside."""

    @property
    def is_stand_in(self) -> bool:
        """True where a reader of a table must know that this is not the published encoder."""
        return self.is_reduced or self.weights not in ("pretrained", "file")

    @property
    def says(self) -> str:
        """One line for a table."""
        if self.weights == "hashing":
            return f"{self.role} tower {self.architecture} (hashed words, nothing learned)"
        words: list[str] = [self.weights]
        if self.is_reduced:
            words.append(f"reduced to {self.num_parameters:,} parameters")
        if self.is_frozen:
            words.append("frozen")
        elif self.weights != "trained-along":
            words.append("fine-tuned")
        return f"{self.role} tower {self.architecture} ({', '.join(words)})"
