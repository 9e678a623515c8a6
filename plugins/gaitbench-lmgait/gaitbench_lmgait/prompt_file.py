"""Sentences that an LLM wrote, from a file of ``gaitbench annotate DATASET --schema prompts``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, model_validator

from gaitbench.errors import DatasetError

__all__ = ["PromptFile"]


class PromptFile(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What a file of prompts says; where only its path is given, the file is read.

    The sentences become part of the configuration, so that a record tells what a model was led by, and rebuilds it on a
    machine that does not have the file. With ``{"path": ..., "sha256": ...}`` the file must be the one of that hash.
    """

    name: str
    """Of the file, without its folder."""
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """Hash of the file."""
    asked: str
    """The LLM, as it was asked for."""
    rounds: tuple[tuple[str, ...], ...] = Field(min_length=1)
    """Sentences of each round; all rounds mean the same in other words."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: object) -> object:
        """Accept a path."""
        if isinstance(value, str | Path):
            return _content(Path(value))
        if isinstance(value, Mapping) and "path" in value:
            if unknown := sorted(value.keys() - {"path", "sha256"}):
                raise ValueError(f"beside its path, a file of prompts has a sha256, and no {', '.join(unknown)}")
            content = _content(Path(str(value["path"])))
            if value.get("sha256", content["sha256"]) != content["sha256"]:
                raise ValueError(
                    f"{value['path']} is not the file that was configured: its sha256 is {content['sha256']}, not "
                    f"{value['sha256']}; restore it, or give the path alone"
                )
            return content
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse rounds that say nothing."""
        if any(not sentence.strip() for sentences in self.rounds for sentence in sentences) or not all(self.rounds):
            raise ValueError("a round without a sentence, or an empty sentence; give the path of the file again")
        return self

    @property
    def sentences(self) -> tuple[str, ...]:
        """All sentences, each once."""
        return tuple(dict.fromkeys(sentence for sentences in self.rounds for sentence in sentences))


def _content(path: Path) -> dict[str, object]:
    """Read a file, or say what to do.

    Raises:
        ValueError: It cannot be read, holds other annotations, or rounds of it are missing.
    """
    from gaitbench.annotating.conversions import check_schema
    from gaitbench.annotating.files import annotation_digest, read_annotations

    advice = "gaitbench annotate DATASET --schema prompts --model LLM --base-url URL writes one"
    try:
        sha256 = annotation_digest(path)
        annotations = read_annotations(path)
    except OSError as error:
        raise ValueError(f"cannot read the file of prompts {path}: {error.strerror}; {advice}") from error
    except DatasetError as error:
        raise ValueError(f"{error}; {advice}") from error
    header = annotations.header
    try:
        check_schema(annotations, "prompts")
    except DatasetError as error:
        raise ValueError(f"{path}: {error}; {advice}") from error
    rounds = [record.sentences for record in annotations if record.is_ok]
    if not rounds or len(rounds) < header.num_rounds:
        raise ValueError(
            f"{path} has {len(rounds)} of {header.num_rounds} rounds; run the same gaitbench annotate again to "
            "complete it, or give sentences of your own (prompts)"
        )
    return {"name": path.name, "sha256": sha256, "asked": header.model, "rounds": rounds}
