"""The hub's API: which endpoint, whether at all, and what its refusals mean.

Tokens are read by `huggingface_hub` alone, and never shown. ``HF_ENDPOINT``, ``HF_HUB_OFFLINE`` and ``HF_TOKEN`` are
respected as they are at the time of the call.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from gaitbench.errors import GaitbenchError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

__all__ = ["hub_api", "hub_endpoint", "hub_errors", "is_offline", "retried"]

T = TypeVar("T")

_TRANSPORTS = {"httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3", "aiohttp"}
_ATTEMPTS = 4
_FIRST_WAIT_S = 0.5


def hub_endpoint() -> str:
    """Address of the hub: ``HF_ENDPOINT``, or huggingface.co."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def is_offline() -> bool:
    """Tell whether the network must not be used: ``HF_HUB_OFFLINE``."""
    return os.environ.get("HF_HUB_OFFLINE", "").strip().upper() in {"1", "ON", "YES", "TRUE"}


def hub_api() -> "HfApi":
    """A client of the hub."""
    from huggingface_hub import HfApi

    return HfApi(endpoint=hub_endpoint(), library_name="gaitbench")


@contextlib.contextmanager
def hub_errors(doing: str, kind: type[GaitbenchError]) -> Iterator[None]:
    """Turn what `huggingface_hub` raises into an error with the next step.

    Args:
        doing: What is attempted, such as ``read ORG/NAME``.
        kind: Class of the error.

    Raises:
        GaitbenchError: Of this class; other exceptions pass.
    """
    if is_offline():
        raise kind(f"cannot {doing}: HF_HUB_OFFLINE is set; unset it, or use what was read before")
    try:
        yield
    except GaitbenchError:
        raise
    except Exception as error:
        if (reason := _reason(error)) is None:
            raise
        raise kind(f"cannot {doing}: {reason}") from error


def retried(call: Callable[[], T]) -> T:
    """Call, and call again after a pause when the hub is busy or the network fails.

    Raises:
        Exception: What the last attempt raised, or the first that trying again cannot mend.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return call()
        except Exception as error:
            if attempt == _ATTEMPTS - 1 or not _is_passing(error):
                raise
            time.sleep(_FIRST_WAIT_S * 2**attempt)
    raise AssertionError("unreachable")


def _status(error: BaseException) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is None and isinstance(error, RuntimeError) and error.__cause__ is not None:
        return _status(error.__cause__)  # an upload in a thread of huggingface_hub
    return status if isinstance(status, int) else None


def _is_transport(error: BaseException) -> bool:
    if isinstance(error, RuntimeError) and error.__cause__ is not None:
        return _is_transport(error.__cause__)
    roots = {cls.__module__.partition(".")[0] for cls in type(error).__mro__}
    return bool(roots & _TRANSPORTS) or isinstance(error, ConnectionError | TimeoutError)


def _is_passing(error: BaseException) -> bool:
    status = _status(error)
    if status is not None:
        return status == 429 or status >= 500
    return _is_transport(error)


def _reason(error: Exception) -> str | None:
    """What went wrong and what to do, or None for an error that is not the hub's. Headers are never part of it."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HFValidationError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
        RevisionNotFoundError,
    )

    status, place = _status(error), hub_endpoint()
    if isinstance(error, OfflineModeIsEnabled):
        return "huggingface_hub is in offline mode; unset HF_HUB_OFFLINE"
    if isinstance(error, HFValidationError):
        return f"{str(error).splitlines()[0]}; a repository is named ORG/NAME"
    if isinstance(error, LocalTokenNotFoundError):
        return "there is no token; set HF_TOKEN, or log in with `hf auth login`"
    if isinstance(error, GatedRepoError):
        return f"access must be asked for on its page at {place}; then set HF_TOKEN, or log in with `hf auth login`"
    if isinstance(error, RevisionNotFoundError):
        return "there is no such revision; give a branch, a tag or a commit of it after @"
    if isinstance(error, EntryNotFoundError):
        return f"a file is not there ({str(error).splitlines()[0]})"
    if status == 401:
        return (
            f"{place} asks who you are (401): the repository is private or does not exist, or the token is wrong; set "
            "HF_TOKEN, or log in with `hf auth login`"
        )
    if status == 403:
        return (
            f"the token is not allowed to (403); take one with the right to do so, of a member of the organisation "
            f"({place}/settings/tokens)"
        )
    if status == 404:
        return f"{place} has no such dataset repository (404), or it is private and the token does not show it"
    if status is not None:
        step = "try again later" if status == 429 or status >= 500 else "see the answer"
        return f"{place} answered {status} ({str(error).splitlines()[0]}); {step}"
    if _is_transport(error):
        return f"{place} cannot be reached ({type(error).__name__}); check the network, or HF_ENDPOINT"
    if isinstance(error, OSError | RuntimeError):
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}; try again"
    return None
