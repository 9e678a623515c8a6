"""Annotations as typed records: what a model said of each sequence, and where it comes from.

Annotations lie beside a dataset and never change it. What a model could not tell is None.
"""

from collections.abc import Iterator
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    NonNegativeInt,
    PositiveInt,
    StrictInt,
    StrictStr,
    model_validator,
)
from pydantic_core import PydanticSerializationError

from gaitbench.annotating.cleaning import clean_text
from gaitbench.annotating.fields import AnswerField, check_values
from gaitbench.annotating.schema import SchemaName
from gaitbench.annotating.sheet import SheetConfig

__all__ = ["Annotation", "AnnotationHeader", "Annotations", "Status"]

Status = Literal["ok", "refused", "truncated", "invalid", "rejected", "unreachable", "no-frames"]
"""``ok``: the values hold. ``refused``: the model or its filter declines. ``truncated``: the answer was cut off.
``invalid``: empty, no JSON, or outside the schema. ``rejected``: the endpoint refuses the request. ``unreachable``: no
answer after several tries. ``no-frames``: there was nothing to show."""


class Annotation(BaseModel):
    """What a model said of one sequence."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    sequence_id: str
    """The sequence; in text schemas what the sentences are filed under, such as ``silhouette/round-1``."""
    status: Status
    """Whether the values can be used."""
    reason: str = ""
    """Why not."""
    values: dict[str, StrictStr | StrictInt | None] = Field(default_factory=dict)
    """Field to value, None where the model could not tell; empty unless ``ok``."""
    sentences: tuple[str, ...] = ()
    """The values in sentences, for a text encoder."""
    request_sha256: str = ""
    """Hash of the question, picture included; empty where nothing was asked."""
    answered_by: str = ""
    """The model, by its own account."""
    answered_at: str = ""
    """When, in UTC."""
    prompt_tokens: NonNegativeInt = 0
    """Of all requests for it together."""
    completion_tokens: NonNegativeInt = 0
    """Of all requests for it together."""
    num_requests: NonNegativeInt = 0
    """Answers that it took, unusable ones among them."""

    @property
    def is_ok(self) -> bool:
        """True when the values can be used."""
        return self.status == "ok"


class AnnotationHeader(BaseModel):
    """What all annotations of a file have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    format_version: Literal[1] = 1
    """Of the file."""
    schema_name: SchemaName
    """What was asked."""
    schema_version: PositiveInt
    """Raised when questions, fields or sentences change."""
    prompt_sha256: str
    """Hash of all that the model was told."""
    fields: tuple[AnswerField, ...]
    """What was asked of each sequence; empty in text schemas, whose rounds differ."""
    dataset: str
    """Its name."""
    dataset_version: str
    """Its version; empty in text schemas, which look at no frames."""
    sheet: SheetConfig | None = None
    """What was shown; None in text schemas."""
    modalities: tuple[str, ...] = ()
    """What a dictionary is about."""
    num_rounds: NonNegativeInt = 0
    """Rounds of a text schema."""
    model: str
    """As it was asked for."""
    endpoint_host: str
    """Host and port of the endpoint."""
    answer_format: str
    """How the answers were asked for."""
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """Further fields of the requests."""
    written_by: str
    """Version of gaitbench."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse text that no file can hold."""
        for name in type(self).model_fields:
            try:
                self.model_dump_json(include={name})
            except PydanticSerializationError:
                raise ValueError(f"{name} is no text in UTF-8: {getattr(self, name)!r:.80}") from None
        return self

    def differences(self, other: Self) -> list[str]:
        """Names of the fields in which two files cannot be one; the version of gaitbench is none of them."""
        names = [name for name in type(self).model_fields if name != "written_by"]
        return [name for name in names if getattr(self, name) != getattr(other, name)]


class Annotations(BaseModel):
    """A file of annotations; iterating gives the records, with a name it gives the record of a sequence."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    header: AnnotationHeader
    """What they have in common."""
    records: tuple[Annotation, ...]
    """One per sequence, each id once."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        seen: set[str] = set()
        for record in self.records:
            if record.sequence_id in seen:
                raise ValueError(f"{record.sequence_id!r} stands there twice")
            seen.add(record.sequence_id)
            if problem := self._problem(record):
                raise ValueError(f"{record.sequence_id!r}: {problem}")
        return self

    def _problem(self, record: Annotation) -> str:
        if any(clean_text(text) != text for text in (record.reason, record.answered_by, *record.sentences)):
            return "a text has control characters or markup"
        if not record.is_ok:
            return f"it has values and is {record.status}" if record.values else ""
        # The rounds of a text schema differ in their fields, all of which are sentences.
        sentences = tuple(AnswerField(name=name, title=name) for name in record.values)
        return check_values(record.values, self.header.fields or sentences) or ("" if record.values else "it is empty")

    def __iter__(self) -> Iterator[Annotation]:  # type: ignore[override]
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, sequence_id: str) -> Annotation:
        return self._by_id[sequence_id]

    def get(self, sequence_id: str) -> Annotation | None:
        """The record of a sequence; None where there is none."""
        return self._by_id.get(sequence_id)

    def __contains__(self, sequence_id: object) -> bool:
        return sequence_id in self._by_id

    def model_post_init(self, context: Any) -> None:
        """Index the records."""
        del context
        object.__setattr__(self, "_by_id", {record.sequence_id: record for record in self.records})

    _by_id: dict[str, Annotation] = {}
