"""One question to an endpoint, through the `openai` client: a reply, or why there is none.

Nothing is raised for what an endpoint does: exceptions of the client hold the request with its headers, so they end
here. Trying again is somebody else's work (:mod:`gaitbench.annotating.retry`).
"""

import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ValidationError

from gaitbench.annotating.cleaning import clean_text
from gaitbench.annotating.endpoint import Endpoint
from gaitbench.annotating.request import ChatRequest
from gaitbench.errors import UsageError

if TYPE_CHECKING:
    import httpx2

__all__ = ["Chat", "Failure", "Reply", "check_client"]

MOST_TOKENS = 10**8

_STOPPING = {
    401: "it refuses the key (401); check the environment variable that holds it",
    402: "the account has no credit left (402)",
    403: "it does not allow this (403); check what the key may do",
    404: "it knows no such model or address (404); check --model and --base-url, which mostly ends in /v1",
    405: "it takes no chat requests at this address (405); check --base-url, which mostly ends in /v1",
}
"""Statuses that every further request would meet too."""

_PASSING = {408, 409, 425, 429}
_NO_QUOTA = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
_FILTERED = (
    "content_filter",
    "content_policy_violation",
    "flagged_input",
    "moderation_blocked",
    "ResponsibleAIPolicyViolation",
)
"""By which endpoints say that a filter in front of the model holds a question back, mostly with status 400 or 403."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said. Everything in it is data of somebody else."""

    content: str
    refusal: str = ""
    """Why the model does not answer, where it says so in the field for it."""
    finish_reason: str = ""
    model: str = ""
    """Which model answered, by its own account."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    problem: str = ""
    """Why this is no chat completion at all."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no reply."""

    kind: Literal["passing", "rejected", "filtered", "stopping"]
    """``passing``: another try may help. ``rejected``: this request will never be answered. ``filtered``: the same, for
    what is in it. ``stopping``: none will."""
    reason: str
    retry_after_s: float | None = None
    """How long the endpoint asks to wait."""


def check_client() -> None:
    """Stop when the `openai` package cannot be imported.

    Raises:
        UsageError: It is missing, or too old.
    """
    try:
        import httpx2  # noqa: F401
        import openai
    except ImportError as error:
        raise UsageError(
            f"annotate speaks to endpoints through the openai package, which cannot be imported ({error}); install it "
            "with pip install 'gaitbench[annotate]'."
        ) from error
    if int(openai.__version__.partition(".")[0]) < 3:
        raise UsageError(
            f"annotate needs openai 3 or newer, and {openai.__version__} is installed; renew it with "
            "pip install --upgrade 'gaitbench[annotate]'."
        )


class Chat:
    """A client of one endpoint, for any number of threads.

    Args:
        endpoint: The model and the key to it.
        transport: What carries the requests, an ``httpx2`` transport; None for the network.
    """

    def __init__(self, endpoint: Endpoint, *, transport: "httpx2.BaseTransport | None" = None) -> None:
        import openai

        from gaitbench.annotating.bounded import bound

        self.endpoint = endpoint
        config = endpoint.config
        # Redirects would carry pictures of people to places that nobody named. Answers come uncompressed, so that
        # their size is known while they are read.
        headers: dict[str, Any] = {"Accept-Encoding": "identity"}
        if config.host != "api.openai.com":
            headers |= {"OpenAI-Organization": openai.omit, "OpenAI-Project": openai.omit}
        # Without a key nothing is sent in its place.
        self._headers: dict[str, Any] = {} if endpoint.key else {"Authorization": openai.omit}
        http = openai.DefaultHttpxClient(
            timeout=openai.Timeout(config.timeout_s, connect=min(15.0, config.timeout_s)),
            follow_redirects=False,
            event_hooks={"response": [bound(config.timeout_s)]},
            transport=transport,
        )
        self._client = openai.OpenAI(
            api_key=endpoint.key or "none",
            base_url=config.base_url,
            max_retries=0,
            default_headers=headers,
            http_client=http,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def ask(self, request: ChatRequest) -> Reply | Failure:
        """Send a request, once.

        Raises:
            DatasetError: The frames of a picture cannot be read.
        """
        import openai

        from gaitbench.annotating.bounded import OversizedAnswerError

        arguments = request.wire(self.endpoint.config)
        try:
            raw = self._client.chat.completions.with_raw_response.create(**arguments, extra_headers=self._headers)
            body = raw.http_response.content
        except openai.APITimeoutError:
            return Failure("passing", f"no answer within {self.endpoint.config.timeout_s:g} s")
        except openai.APIConnectionError as error:
            if isinstance(error.__cause__, OversizedAnswerError):
                return Reply("", problem=str(error.__cause__))
            return Failure("passing", self._words(_cause(error)))
        except openai.APIStatusError as error:
            return self._refused(error)
        except openai.OpenAIError as error:
            return Failure("rejected", self._words(f"{type(error).__name__}: {error}"))
        return self._read(body)

    def _words(self, text: str) -> str:
        """What somebody says, in one short line without the key."""
        return clean_text(self.endpoint.scrub(text), 300)

    def _read(self, body: bytes) -> Reply:
        try:
            found = _Completion.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            said = self._words(f"{where} {first['msg']}")
            return Reply("", problem=f"what came is no chat completion: {said}")
        usage = found.usage if isinstance(found.usage, dict) else {}
        told: dict[str, Any] = {
            "model": self._words(found.model)[:100] if isinstance(found.model, str) else "",
            "prompt_tokens": _count(usage.get("prompt_tokens")),
            "completion_tokens": _count(usage.get("completion_tokens")),
        }
        if not found.choices:
            return Reply("", problem="the answer has no choices", **told)
        choice = found.choices[0]
        return Reply(
            content=self.endpoint.scrub(choice.message.content or ""),
            refusal=self._words(choice.message.refusal or ""),
            finish_reason=choice.finish_reason or "",
            **told,
        )

    def _refused(self, error: Any) -> Failure:
        status, said = int(error.status_code), self._words(_message(error.body) or "no reason given")
        whole = error.response.text
        if status == 429 and any(word in whole for word in _NO_QUOTA):
            return Failure("stopping", f"the quota is used up: {said}")
        if 400 <= status < 500 and any(word in whole for word in _FILTERED):
            return Failure("filtered", f"a content filter holds the question back (status {status}): {said}")
        if status in _PASSING or status >= 500:
            return Failure("passing", f"status {status}: {said}", _retry_after_s(error.response.headers))
        if status in _STOPPING:
            return Failure("stopping", f"{_STOPPING[status]}: {said}")
        if 300 <= status < 400:
            return Failure("stopping", f"it redirects (status {status}), which is not followed; give the final address")
        return Failure("rejected", f"status {status}: {said}")


class _Turn(BaseModel, strict=True):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel, strict=True):
    message: _Turn
    finish_reason: str | None = None


class _Completion(BaseModel, strict=True):
    """As much of a chat completion as is read; whatever else there is may be anything."""

    choices: list[_Choice]
    model: Any = None
    usage: Any = None


def _count(value: object) -> int | None:
    """A number of tokens that can be believed."""
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def _message(body: object) -> str:
    """What an error says of itself; servers differ in where they put it."""
    for _ in range(3):
        if isinstance(body, str):
            return body
        if not isinstance(body, dict):
            return ""
        body = next((body[key] for key in ("message", "error", "detail") if body.get(key)), "")
    return ""


def _cause(error: BaseException) -> str:
    """The innermost reason of a failed connection."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _retry_after_s(headers: Any) -> float | None:
    """The wait that headers ask for, in either form that HTTP has, or in milliseconds as some servers say it."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = str(headers.get(name) or "").strip()
        try:
            seconds = float(text) * unit_s
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    try:
        when_s = parsedate_to_datetime(str(headers.get("retry-after") or "")).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0.0, when_s - time.time())
