"""Arguments of the command line and of :func:`gaitbench.annotate`, as the classes that the rest works with."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from gaitbench.annotating.endpoint import DEFAULT_BASE_URL, AnswerFormat, EndpointConfig
from gaitbench.annotating.plan import Selected, Split
from gaitbench.annotating.schema import SchemaName
from gaitbench.annotating.sheet import SheetConfig
from gaitbench.errors import UsageError
from gaitbench.registry import nearest

__all__ = ["endpoint_config", "selected", "sheet_config"]

Config = TypeVar("Config", bound=BaseModel)


def selected(
    dataset: str | Path,
    schema: SchemaName,
    *,
    data: str | Path | None = None,
    options: Mapping[str, object] | None = None,
    split: Split = "all",
    views: Sequence[str] = (),
    modalities: Sequence[str] = (),
    rounds: int | None = None,
) -> Selected:
    """What of a dataset is asked about; see :func:`gaitbench.annotate`.

    Raises:
        UsageError: There is no such schema or split.
    """
    for what, word, known in (("schema", schema, get_args(SchemaName)), ("split", split, get_args(Split))):
        if word not in known:
            near = nearest(str(word), known)
            guess = f"did you mean {near!r}?" if near else f"there are {', '.join(known)}."
            raise UsageError(f"there is no {what} {word!r}; {guess}")
    return Selected(
        dataset=str(dataset),
        source=None if data is None else Path(data),
        options=dict(options or {}),
        split=split,
        views=tuple(views),
        modalities=tuple(dict.fromkeys(modalities)),
        num_rounds=rounds,
    )


def sheet_config(frames: int) -> SheetConfig:
    """What is on a contact sheet, but for the streams.

    Raises:
        UsageError: Too few frames, or too many.
    """
    return _made(SheetConfig, {"num_frames": frames}, {"num_frames": "--frames"})


def endpoint_config(
    model: str,
    base_url: str | None,
    *,
    answer_format: AnswerFormat = "json_schema",
    max_answer_tokens: int = 2000,
    timeout_s: float = 120.0,
    settings: Mapping[str, object] | None = None,
) -> EndpointConfig:
    """Who is asked.

    Args:
        model: As the endpoint calls it.
        base_url: None for ``OPENAI_BASE_URL``, or OpenAI's own.
        answer_format: How a JSON answer is asked for.
        max_answer_tokens: Longest answer.
        timeout_s: Longest wait.
        settings: Further fields of the requests.

    Raises:
        UsageError: A value that cannot mean anything.
    """
    fields = {
        "model": model,
        "base_url": base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL,
        "answer_format": answer_format,
        "max_answer_tokens": max_answer_tokens,
        "timeout_s": timeout_s,
        "settings": dict(settings or {}),
    }
    flags = {"model": "--model", "answer_format": "--answer-format", "max_answer_tokens": "--max-answer-tokens"}
    return _made(EndpointConfig, fields, {**flags, "timeout_s": "--timeout", "settings": "--set"})


def _made(cls: type[Config], fields: dict[str, Any], flags: Mapping[str, str]) -> Config:
    try:
        return cls(**fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name = str(first["loc"][0])
        raise UsageError(f"{flags.get(name, name)}: {first['msg']}.") from None
