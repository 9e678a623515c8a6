"""The text dictionary (GMTD): sentences on what each modality shows from eight directions, in several rounds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from gaitbench.annotating.cleaning import clean_text
from gaitbench.annotating.conversions import text_dictionary
from gaitbench.annotating.fields import MOST_CHARS
from gaitbench.annotating.files import annotation_digest, read_annotations
from gaitbench.errors import DatasetError

__all__ = ["MODALITIES", "SHIPPED", "Dictionary", "read_dictionary"]

MODALITIES = ("silhouette", "lidar-depth")
"""What the model compares: 2D first, then 3D."""

SHIPPED = Path(__file__).with_name("gmtd.json")
"""Our own 128 sentences: 2 modalities x 8 directions x 8 rounds, in the form that ``gaitbench annotate`` writes."""

_ADVICE = (
    f"gaitbench annotate DATASET --schema gmtd --modalities {' '.join(MODALITIES)} --model LLM --base-url URL "
    "writes one"
)


class Dictionary(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sentences of each modality; where only a file is named, it is read.

    The sentences become part of the configuration, so that a record tells what a model was led by, and rebuilds it on a
    machine that does not have the file. Given may be ``shipped``, a path, ``{"path": ..., "sha256": ...}`` for the file
    of that hash alone, or sentences of one's own: ``{"silhouette": [...], "lidar-depth": [...]}``.

    Example:
        >>> [len(Dictionary.model_validate("shipped").of(modality)) for modality in MODALITIES]
        [64, 64]
    """

    name: str = ""
    """Of the file, without its folder; empty for sentences of one's own."""
    sha256: str = Field("", pattern="^([0-9a-f]{64})?$")
    """Hash of the file."""
    asked: str = ""
    """The LLM that wrote it, as it was asked for."""
    sentences: dict[str, tuple[str, ...]]
    """Modality to its sentences, round by round."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: object) -> object:
        """Accept a word, a path, and sentences alone."""
        if value == "shipped":
            return _content(SHIPPED)
        if isinstance(value, str | Path):
            return _content(Path(value))
        if not isinstance(value, Mapping):
            return value
        if "path" in value:
            if unknown := sorted(value.keys() - {"path", "sha256"}):
                raise ValueError(f"beside its path, a dictionary has a sha256, and no {', '.join(unknown)}")
            content = _content(Path(str(value["path"])))
            if value.get("sha256", content["sha256"]) != content["sha256"]:
                raise ValueError(
                    f"{value['path']} is not the file that was configured: its sha256 is {content['sha256']}, not "
                    f"{value['sha256']}; restore it, or give the path alone"
                )
            return content
        return value if "sentences" in value else {"sentences": dict(value)}

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse other modalities than those compared, sentences that no file has, and banks of unequal size."""
        if set(self.sentences) != set(MODALITIES):
            raise ValueError(
                f"a dictionary has sentences of {' and '.join(MODALITIES)}, this one of "
                f"{', '.join(self.sentences) or 'nothing'}; {_ADVICE}"
            )
        for modality, sentences in self.sentences.items():
            for number, sentence in enumerate(sentences):
                if not any(character.isalnum() for character in sentence):
                    raise ValueError(f"sentence {number} of {modality} has no word in it: {sentence!r:.80}; write one")
                if len(sentence) > MOST_CHARS:
                    raise ValueError(
                        f"sentence {number} of {modality} has {len(sentence):,} characters; write at most {MOST_CHARS}"
                    )
                if (plain := clean_text(sentence)) != sentence:
                    raise ValueError(
                        f"sentence {number} of {modality} is no plain line of text, without controls, markup and "
                        f"surplus spaces: {sentence!r:.80}; write {plain!r:.80}"
                    )
        sizes = {modality: len(self.of(modality)) for modality in MODALITIES}
        if len(set(sizes.values())) > 1 or not all(sizes.values()):
            raise ValueError(f"both modalities need as many sentences, and some; there are {sizes}")
        one, other = (set(self.of(modality)) for modality in MODALITIES)
        if one == other:
            raise ValueError(
                f"{' and '.join(MODALITIES)} have the same sentences, which tell of neither what the other does not "
                "show; write sentences for each"
            )
        return self

    def of(self, modality: str) -> tuple[str, ...]:
        """The sentences of a modality."""
        return self.sentences[modality]

    @property
    def num_each(self) -> int:
        """Sentences of one modality."""
        return len(self.of(MODALITIES[0]))


def read_dictionary(path: Path | str) -> Dictionary:
    """Read a file of ``gaitbench annotate --schema gmtd``.

    Args:
        path: A ``.json`` or ``.parquet`` file; modalities that are not compared here are left aside.

    Raises:
        DatasetError: The file cannot be read, holds other annotations, lacks a round or a modality, contradicts itself,
            or has a sentence that says nothing.
    """
    path = Path(path)
    try:
        sha256 = annotation_digest(path)
    except OSError as error:
        raise DatasetError(f"cannot read the dictionary {path}: {error.strerror}; {_ADVICE}") from error
    try:
        annotations = read_annotations(path)
        found = text_dictionary(annotations, MODALITIES)
    except DatasetError as error:
        raise DatasetError(f"dictionary {path}: {error}; {_ADVICE}") from error
    if missing := [modality for modality in MODALITIES if not found.sentences.get(modality)]:
        there = ", ".join(annotations.header.modalities) or "nothing"
        raise DatasetError(f"dictionary {path} is about {there} and lacks {' and '.join(missing)}; {_ADVICE}")
    try:
        return Dictionary(
            name=path.name,
            sha256=sha256,
            asked=annotations.header.model,
            sentences={modality: found.of(modality) for modality in MODALITIES},
        )
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]["msg"]
        raise DatasetError(f"dictionary {path}: {problem.removeprefix('Value error, ')}; {_ADVICE}") from error


def _content(path: Path) -> dict[str, object]:
    try:
        return read_dictionary(path).model_dump()
    except DatasetError as error:
        # Pydantic tells of values alone.
        raise ValueError(str(error)) from error
