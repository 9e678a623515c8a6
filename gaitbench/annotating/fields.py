"""What a model is asked, field by field: choices and sentences; and its answers, held against them.

A field's JSON schema, which goes to the model, and its check, which its answer goes through, are made of one pydantic
class, so that nothing outside the schema comes in.
"""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal, NoReturn, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model, model_validator

from gaitbench.annotating.cleaning import clean_text

__all__ = ["AnswerField", "Value", "Values", "answer_schema", "check_values", "read_values"]

Value = str | int | None
"""A choice, a sentence, or None where the model could not tell."""

Values = dict[str, Value]
"""Field to value."""

MOST_CHARS = 600
"""Longest sentence."""

MOST_ANSWER_CHARS = 1 << 16

MOST_CHOICES_SHOWN = 24
"""In the words about a value that is none of them."""


class AnswerField(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One thing that is asked."""

    name: str = Field(min_length=1)
    """Key in the answer."""
    title: str
    """As a reader sees it."""
    question: str = ""
    """What the model is told of it."""
    choices: tuple[str, ...] | tuple[int, ...] = ()
    """Values to choose from, in the order of their index; empty for a sentence."""
    unknown: str | int | None = None
    """The further value by which the model says that it cannot tell; None for a field that must be told."""
    certainty: Literal["stated", "derived", "open", "ours"] = "ours"
    """Where the field comes from: stated by its publication, derived from it, left open by it, or ours."""
    note: str = ""
    """What the publication leaves open, and what we take it for."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        every = (*self.choices, *(() if self.unknown is None else (self.unknown,)))
        if len(set(every)) != len(every):
            raise ValueError(f"field {self.name!r} has a choice twice: {list(every)}")
        if len({type(choice) for choice in every}) > 1:
            raise ValueError(f"field {self.name!r} mixes words and numbers: {list(every)}")
        if self.unknown is not None and not self.choices:
            raise ValueError(f"field {self.name!r} is a sentence and cannot be unknown")
        return self

    @property
    def answers(self) -> tuple[str | int, ...]:
        """All that the model may choose from."""
        return (*self.choices, *(() if self.unknown is None else (self.unknown,)))


def answer_schema(fields: Sequence[AnswerField]) -> dict[str, Any]:
    """The JSON schema of an answer, as strict structured outputs want it: every field required, no others.

    Example:
        >>> answer_schema([AnswerField(name="toe", title="Toe", choices=("in", "out"))])["properties"]
        {'toe': {'enum': ['in', 'out'], 'type': 'string'}}
    """
    return copy.deepcopy(_schema(tuple(fields)))


def read_values(
    content: str, fields: Sequence[AnswerField], *, scrub: Callable[[str], str] | None = None
) -> Values | str:
    """Read an answer.

    Args:
        content: What the model said: a JSON object, also in a Markdown fence.
        fields: What it was asked.
        scrub: Takes secrets out of sentences, and out of what is said of an answer.

    Returns:
        A value per field, in the order of the fields, sentences cleaned; or, in words, why the answer is of no use.

    Example:
        >>> toe = AnswerField(name="toe", title="Toe", choices=("in", "out"), unknown="unknown")
        >>> read_values('{"toe": "in"}', [toe]), read_values('{"toe": "unknown"}', [toe])
        ({'toe': 'in'}, {'toe': None})
        >>> read_values('{"toe": "up"}', [toe])
        "toe must be one of 'in', 'out', 'unknown', got 'up'"
    """
    scrub = scrub or str
    if not content.strip():
        return "the answer is empty"
    if len(content) > MOST_ANSWER_CHARS:
        return f"the answer has {len(content):,} characters; {MOST_ANSWER_CHARS:,} are read"
    try:
        data = _read_json(_without_fence(content))
    except (ValueError, RecursionError) as error:
        return f"the answer is no JSON: {clean_text(str(error), 120)}"
    if not isinstance(data, dict):
        return f"the answer is {_kind(data)}, not a JSON object"
    try:
        answer = _answer_class(tuple(fields)).model_validate(data)
    except ValidationError as error:
        return _explain(error, fields, scrub)
    values: Values = {}
    for i, field in enumerate(fields):
        value = getattr(answer, f"field_{i}")
        if field.choices:
            values[field.name] = None if value == field.unknown else value
            continue
        text = clean_text(scrub(value))
        if not text:
            return f"{field.name} is empty"
        if len(text) > MOST_CHARS:
            return f"{field.name} has {len(text)} characters; write at most {MOST_CHARS}"
        values[field.name] = text
    return values


def check_values(values: Mapping[str, object], fields: Sequence[AnswerField]) -> str:
    """Hold stored values against their fields.

    Returns:
        What is wrong; empty when nothing is.
    """
    if list(values) != [field.name for field in fields]:
        return f"the fields are {', '.join(values)}, not {', '.join(field.name for field in fields)}"
    for field in fields:
        value = values[field.name]
        if field.choices:
            is_right = _is_among(value, field.choices) or (value is None and field.unknown is not None)
        else:
            is_right = isinstance(value, str) and 0 < len(value) <= MOST_CHARS and clean_text(value) == value
        if not is_right:
            return f"{field.name} is {clean_text(repr(value), 60)}"
    return ""


@lru_cache(maxsize=64)
def _answer_class(fields: tuple[AnswerField, ...]) -> type[BaseModel]:
    """The pydantic class of an answer. Its attributes are numbered, since a field may have any name."""
    definitions: dict[str, Any] = {}
    for i, field in enumerate(fields):
        kind: Any = str
        if field.choices:
            kind = Annotated[Literal[field.answers], BeforeValidator(_exactly(field.answers))]
        definitions[f"field_{i}"] = (kind, Field(alias=field.name, description=field.question or None))
    return create_model("Answer", __config__=ConfigDict(extra="forbid", strict=True), **definitions)


@lru_cache(maxsize=64)
def _schema(fields: tuple[AnswerField, ...]) -> dict[str, Any]:
    schema = _answer_class(fields).model_json_schema(by_alias=True)
    schema.pop("title")
    for field in schema["properties"].values():
        field.pop("title", None)
        if "const" in field:  # pydantic's word for a single choice, which not every server knows
            field["enum"] = [field.pop("const")]
    return schema


def _exactly(choices: tuple[str | int, ...]) -> Callable[[object], object]:
    """A literal of pydantic takes 1.0 and true for 1; this one does not."""

    def check(value: object) -> object:
        if not _is_among(value, choices):
            raise ValueError("no choice")
        return value

    return check


def _is_among(value: object, choices: Sequence[str | int]) -> bool:
    return any(type(value) is type(choice) and value == choice for choice in choices)


def _without_fence(content: str) -> str:
    text = content.strip()
    if text.startswith("```") and text.endswith("```") and "\n" in text:
        return text[text.index("\n") : -3]
    return text


def _read_json(text: str) -> object:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no JSON")

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        whole = dict(pairs)
        if len(whole) != len(pairs):
            raise ValueError("a key stands there twice")
        return whole

    found: object = json.loads(text, parse_constant=refuse, object_pairs_hook=unique)
    return found


def _kind(value: object) -> str:
    if value is None:
        return "null"
    names = {
        list: "a list",
        str: "a text",
        bool: "a truth value",
        int: "a number",
        float: "a number",
        dict: "an object",
    }
    return names.get(type(value), type(value).__name__)


def _explain(error: ValidationError, fields: Sequence[AnswerField], scrub: Callable[[str], str]) -> str:
    """The first problem in words, and how many there are; scrubbed before it is cut, which would leave half a key."""
    problems = error.errors(include_url=False, include_context=False)
    first = problems[0]
    name = clean_text(scrub(str(first["loc"][0])), 60) if first["loc"] else "the answer"
    field = next((field for field in fields if field.name == first["loc"][0]), None) if first["loc"] else None
    if first["type"] == "extra_forbidden":
        words = f"{name} was not asked for"
    elif first["type"] == "missing":
        words = f"{name} is missing"
    elif field is not None and field.choices:
        wanted = ", ".join(repr(choice) for choice in field.answers[:MOST_CHOICES_SHOWN])
        wanted += ", ..." if len(field.answers) > MOST_CHOICES_SHOWN else ""
        got = repr(first["input"]) if isinstance(first["input"], str | int | float) else _kind(first["input"])
        words = f"{name} must be one of {wanted}, got {clean_text(scrub(got), 60)}"
    elif field is not None:
        words = f"{name} must be a text, got {_kind(first['input'])}"
    else:
        words = f"{name}: {clean_text(first['msg'], 120)}"
    return words if len(problems) == 1 else f"{words} (and {len(problems) - 1} other problems)"
