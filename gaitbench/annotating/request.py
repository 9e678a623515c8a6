"""A question as it goes to an endpoint, and the hash by which its answer is found again."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gaitbench.annotating.endpoint import EndpointConfig
from gaitbench.annotating.fields import AnswerField, answer_schema
from gaitbench.annotating.sheet import Picture
from gaitbench.digest import json_digest

__all__ = ["ChatRequest", "Message"]

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    """Who speaks."""
    text: str
    """What is said."""
    picture: Picture | None = None
    """What is shown with it."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A conversation that waits for its next turn.

    Attributes:
        schema_name: Of the schema that asks.
        messages: The turns so far; the last one is the user's.
        fields: What the answer must hold.
        complaint: Why an earlier answer was of no use; empty the first time.
    """

    schema_name: str
    messages: tuple[Message, ...]
    fields: tuple[AnswerField, ...]
    complaint: str = ""

    def sha256(self, endpoint: EndpointConfig) -> str:
        """Hash of everything that an answer depends on: endpoint, model, settings, messages, pictures, schema.

        A complaint is left out: an answer that was asked for twice is still the answer to the question.
        """
        messages = [
            [turn.role, turn.text, None if turn.picture is None else turn.picture.sha256] for turn in self.messages
        ]
        return json_digest([endpoint.identity(), self.schema_name, messages, answer_schema(self.fields)])

    def wire(self, endpoint: EndpointConfig) -> dict[str, Any]:
        """The arguments of ``chat.completions.create``; pictures are drawn now.

        Raises:
            DatasetError: A picture's frames cannot be read.
        """
        messages = [_wire_message(turn) for turn in self.messages]
        if self.complaint:
            # In the last turn rather than a new one, as the templates of some models want turns to alternate.
            again = f"An earlier answer could not be used: {self.complaint}. Answer again, only in the form asked for."
            messages[-1]["content"] = _with_text(messages[-1]["content"], again)
        arguments: dict[str, Any] = {"model": endpoint.model, "messages": messages}
        settings = dict(endpoint.settings)
        if not settings.keys() & {"max_tokens", "max_completion_tokens"}:
            factor = 2 if self.complaint else 1
            arguments["max_completion_tokens"] = factor * endpoint.max_answer_tokens
        if (form := _response_format(endpoint, self.schema_name, self.fields)) is not None:
            arguments["response_format"] = form
        if settings:
            arguments["extra_body"] = settings
        return arguments


def _wire_message(turn: Message) -> dict[str, Any]:
    if turn.picture is None:
        return {"role": turn.role, "content": turn.text}
    data = base64.b64encode(turn.picture.draw()).decode()
    shown = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}", "detail": "high"}}
    return {"role": turn.role, "content": [{"type": "text", "text": turn.text}, shown]}


def _with_text(content: str | Sequence[Mapping[str, Any]], text: str) -> object:
    if isinstance(content, str):
        return f"{content}\n\n{text}"
    return [*content, {"type": "text", "text": text}]


def _response_format(endpoint: EndpointConfig, name: str, fields: Sequence[AnswerField]) -> dict[str, Any] | None:
    match endpoint.answer_format:
        case "json_schema":
            schema = {"name": name, "strict": True, "schema": answer_schema(fields)}
            return {"type": "json_schema", "json_schema": schema}
        case "json_object":
            return {"type": "json_object"}
        case "text":
            return None
