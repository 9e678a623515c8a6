"""What a run would ask, before anything is sent: how many requests, an example, and roughly how many tokens."""

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from gaitbench.annotating.cache import AnswerCache
from gaitbench.annotating.chains import Chain, Question
from gaitbench.annotating.cleaning import without_controls
from gaitbench.annotating.endpoint import EndpointConfig
from gaitbench.annotating.fields import AnswerField, Value, answer_schema
from gaitbench.annotating.plan import Plan
from gaitbench.annotating.records import Annotation
from gaitbench.annotating.tokens import estimate_picture, estimate_request, expected_answer
from gaitbench.atomic import write_bytes
from gaitbench.digest import canonical_json

__all__ = ["Estimate", "estimate_plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a run would ask; ``str()`` gives the text.

    Attributes:
        path: Where the annotations would go.
        host: Where the requests would go.
        num_asked_for: Sequences, or entries of a text schema.
        num_known: Of these, answered in the file or the cache.
        num_requests: For the others, when every answer is usable at once.
        num_tokens: Roughly, of these requests and their answers.
        example: A request, word for word, with the size of its picture; empty when nothing is left to ask.
        sheet: Where the example's contact sheet was written.
    """

    path: Path
    host: str
    num_asked_for: int
    num_known: int
    num_requests: int
    num_tokens: int
    example: str
    sheet: Path | None = None

    def __str__(self) -> str:
        """A few lines, and the example."""
        lines = [
            f"{self.num_requests} requests to {self.host}, about {self.num_tokens:,} tokens; nothing was sent",
            f"  {self.num_asked_for} asked for, {self.num_known} of them answered in {self.path} or the cache",
        ]
        if self.sheet is not None:
            lines.append(f"  contact sheet of the example: {self.sheet}")
        if self.example:
            lines += ["", "An example:", self.example]
        return "\n".join(lines)


def estimate_plan(
    plan: Plan,
    path: Path,
    endpoint: EndpointConfig,
    *,
    cache: AnswerCache,
    known: dict[str, Annotation],
    sheet: Path | None = None,
) -> Estimate:
    """Count what is not known yet, and show one request.

    Args:
        plan: What to ask.
        path: The file.
        endpoint: Where.
        cache: Of answers.
        known: Records of the file.
        sheet: PNG file to draw the example's contact sheet into; None for none.

    Raises:
        OutputError: The sheet cannot be written.
        DatasetError: The example's frames cannot be read.
    """
    num_known = num_requests = num_tokens = 0
    example, png, picture_tokens = "", None, 0
    for chain in plan.chains:
        num_answered, question = _advance(chain, endpoint, cache, known)
        num_known += num_answered
        while question is not None:
            if not example:
                png = next((turn.picture.draw() for turn in question.request.messages if turn.picture), None)
                picture_tokens = estimate_picture(*_size(png)) if png else 0
                example = _as_text(question, png)
            num_requests += 1
            num_tokens += estimate_request(question.request, picture_tokens) + expected_answer(question.request)
            chain.answered(_made_up(question.request.fields))
            question = chain.question()
    if sheet is not None and png is not None:
        write_bytes(sheet, png)
    return Estimate(
        path=path,
        host=endpoint.host,
        num_asked_for=len(plan.entries),
        num_known=num_known,
        num_requests=num_requests,
        num_tokens=num_tokens,
        example=example,
        sheet=sheet if png is not None else None,
    )


def _advance(
    chain: Chain, endpoint: EndpointConfig, cache: AnswerCache, known: dict[str, Annotation]
) -> tuple[int, Question | None]:
    """Go over what is known; gives how much that is, and the first question that is not."""
    num_answered = 0
    while (question := chain.question()) is not None:
        sha256 = question.request.sha256(endpoint)
        record = known.get(question.entry)
        if record is not None and record.is_ok and record.request_sha256 == sha256:
            chain.answered(record.values)
        elif (answer := cache.get(sha256, question.request.fields)) is not None:
            chain.answered(answer.values)
        else:
            return num_answered, question
        num_answered += 1
    return num_answered, None


def _made_up(fields: tuple[AnswerField, ...]) -> dict[str, Value]:
    """An answer of the usual length, for the length of the rounds after it."""
    return {field.name: field.choices[0] if field.choices else "x" * 160 for field in fields}


def _size(png: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(png)) as image:
        return image.size


def _as_text(question: Question, png: bytes | None) -> str:
    parts = []
    for turn in question.request.messages:
        parts.append(f"--- {turn.role}\n{without_controls(turn.text)}")
        if turn.picture is not None and png is not None:
            width, height = _size(png)
            parts.append(f"[PNG, {width} x {height} pixels, {len(png) / 1e3:.0f} kB]")
    parts.append(f"--- the answer's schema\n{canonical_json(answer_schema(question.request.fields))}")
    return "\n".join(parts)
