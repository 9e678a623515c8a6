"""One question until it is answered: tries, one complaint where the answer is of no use, and the outcome."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from gaitbench.annotating.budget import Budget
from gaitbench.annotating.cache import Answer
from gaitbench.annotating.chains import Question
from gaitbench.annotating.chat import Failure, Reply
from gaitbench.annotating.endpoint import Endpoint
from gaitbench.annotating.fields import Values, read_values
from gaitbench.annotating.records import Status
from gaitbench.annotating.request import ChatRequest
from gaitbench.annotating.retry import Backoff, Clock, Stopped, ask_patiently
from gaitbench.annotating.tokens import estimate_answer, estimate_request

__all__ = ["Asker", "Outcome", "Talks"]

ANSWERS = 2
"""Answers that are asked for before a question is given up: the second one is told what was wrong with the first."""


_STATUS: dict[str, Status] = {
    "passing": "unreachable",
    "rejected": "rejected",
    "filtered": "refused",
    "stopping": "rejected",
}
"""Kind of a failure to what the record says."""


class Talks(Protocol):
    """What sends requests; :class:`gaitbench.annotating.chat.Chat` does."""

    endpoint: Endpoint

    def ask(self, request: ChatRequest) -> Reply | Failure:
        """Send a request, once."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a question ended."""

    answer: Answer | None = None
    """The usable answer."""
    status: Status = "ok"
    """Why there is none."""
    reason: str = ""
    """The same in words."""
    is_stopped: bool = False
    """Nothing was wrong: the budget is spent, or all is stopped."""
    is_stopping: bool = False
    """Nothing else will be answered either."""
    is_silent: bool = False
    """The endpoint gave no chat completion at all."""
    prompt_tokens: int = 0
    """Of all requests for it together."""
    completion_tokens: int = 0
    """Of all requests for it together."""
    num_requests: int = 0
    """Answers received."""


class Asker:
    """Asks the questions of a run.

    Args:
        chat: The endpoint.
        budget: Of the run.
        backoff: When to ask again.
        clock: To wait with.
        rng: Of the jitter.
        tell: Is told of every wait.
    """

    def __init__(
        self,
        chat: Talks,
        budget: Budget,
        *,
        backoff: Backoff,
        clock: Clock,
        rng: random.Random,
        tell: Callable[[str], None],
    ) -> None:
        self._chat = chat
        self._budget = budget
        self._backoff = backoff
        self._clock = clock
        self._rng = rng
        self._tell = tell

    def answer(self, question: Question) -> Outcome:
        """Ask until there is a usable answer, or no sense in asking further."""
        request = question.request
        sha256 = request.sha256(self._chat.endpoint.config)
        outcome = Outcome()
        for _ in range(ANSWERS):
            said = self._ask(request)
            if isinstance(said, Stopped):
                # An unusable answer before it does not count: the question is still open.
                return replace(outcome, is_stopped=True)
            if isinstance(said, Failure):
                return replace(
                    outcome,
                    status=_STATUS[said.kind],
                    reason=said.reason,
                    is_stopping=said.kind == "stopping",
                    is_silent=said.kind != "filtered",
                )
            outcome = replace(
                outcome,
                prompt_tokens=outcome.prompt_tokens + _or(said.prompt_tokens, estimate_request(request)),
                completion_tokens=outcome.completion_tokens + _or(said.completion_tokens, estimate_answer(said)),
                num_requests=outcome.num_requests + 1,
            )
            judged = judge(said, request, self._chat.endpoint.scrub)
            if isinstance(judged, dict):
                answer = Answer(
                    request_sha256=sha256,
                    values=judged,
                    answered_by=said.model,
                    answered_at=datetime.now(UTC).isoformat(timespec="seconds"),
                    prompt_tokens=outcome.prompt_tokens,
                    completion_tokens=outcome.completion_tokens,
                    num_requests=outcome.num_requests,
                )
                return replace(outcome, answer=answer, status="ok", reason="", is_silent=False)
            outcome = replace(outcome, status=judged[0], reason=judged[1], is_silent=bool(said.problem))
            request = replace(request, complaint=outcome.reason)
        return outcome

    def _ask(self, request: ChatRequest) -> Reply | Failure | Stopped:
        return ask_patiently(
            lambda: self._chat.ask(request),
            self._budget,
            estimate=lambda reply: estimate_request(request) + estimate_answer(reply),
            backoff=self._backoff,
            clock=self._clock,
            rng=self._rng,
            tell=self._tell,
        )


def judge(said: Reply, request: ChatRequest, scrub: Callable[[str], str]) -> Values | tuple[Status, str]:
    """The values of a reply; or why it is of no use."""
    if said.problem:
        return "invalid", said.problem
    if said.refusal:
        return "refused", f"the model declines: {said.refusal}"
    if said.finish_reason == "content_filter":
        return "refused", "a content filter held the answer back"
    found = read_values(said.content, request.fields, scrub=scrub)
    if isinstance(found, dict):
        return found
    if said.finish_reason == "length":
        return "truncated", "the answer was cut off at the limit of its length; be brief"
    return "invalid", scrub(found)


def _or(count: int | None, estimate: int) -> int:
    return estimate if count is None else count
