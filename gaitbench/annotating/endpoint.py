"""Where the model is, and the key to it.

Keys come from the environment alone. An address may not hold any: no user name, password or query. The key lives in
:class:`Endpoint`, whose text never shows it, and is taken out of whatever the endpoint says.
"""

import ipaddress
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, JsonValue, PositiveInt

from gaitbench.annotating.cleaning import clean_text
from gaitbench.errors import UsageError

__all__ = ["Endpoint", "EndpointConfig", "open_endpoint"]

DEFAULT_BASE_URL = "https://api.openai.com/v1"
DEFAULT_KEY_VARIABLE = "OPENAI_API_KEY"

AnswerFormat = Literal["json_schema", "json_object", "text"]

_OURS = frozenset({"model", "messages", "response_format", "stream", "stream_options", "n", "tools", "functions"})
"""Fields of a request that are not for settings."""

_SECRETS = frozenset({"key", "apikey", "authorization", "token", "accesstoken", "secret", "password"})
"""Names, without anything but letters, whose values nobody should write on a command line or into a file."""

_NESTED_SECRETS = _SECRETS - {"key", "token"}
"""The same inside a value, where those two have other meanings."""

SHORTEST_SECRET = 6
"""Letters of a key; shorter ones are what servers without keys are given."""


class EndpointConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A model behind an OpenAI-compatible endpoint, without any key."""

    model: str = Field(min_length=1)
    """As the endpoint calls it."""
    base_url: str = DEFAULT_BASE_URL
    """Address up to, and without, ``/chat/completions``."""
    answer_format: AnswerFormat = "json_schema"
    """How a JSON answer is asked for: by a schema, as any object, or by words alone, as the endpoint can."""
    max_answer_tokens: PositiveInt = 2000
    """Longest answer, thinking included; a second try may take twice that."""
    timeout_s: float = Field(default=120.0, gt=0, le=86_400)
    """Longest wait for an answer."""
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """Further fields of a request, such as ``temperature``."""

    @property
    def host(self) -> str:
        """Host and port, which is all that records tell of the address."""
        return urlsplit(self.base_url).netloc

    @property
    def is_local(self) -> bool:
        """True where what is sent stays on this machine or in a private network."""
        name = (urlsplit(self.base_url).hostname or "").lower()
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            # A number is an address in another spelling, which may be anywhere.
            is_number = re.fullmatch(r"\d+|0x[0-9a-f]*", name) is not None
            return name == "localhost" or name.endswith(".localhost") or ("." not in name and not is_number)
        return address.is_loopback or address.is_private or address.is_link_local

    def identity(self) -> list[JsonValue]:
        """What of it an answer depends on; not how long it may take or be."""
        return [self.base_url, self.model, self.answer_format, dict(self.settings)]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model, and the key to it."""

    config: EndpointConfig
    key: str = field(default="", repr=False)
    """Empty where none is needed."""

    def scrub(self, text: str) -> str:
        """Take the key out of a text, but for placeholders such as ``none``, which are words of other texts too."""
        return text.replace(self.key, "[key]") if len(self.key) >= SHORTEST_SECRET else text


def open_endpoint(config: EndpointConfig, key_variable: str | None = None, *, needs_key: bool = True) -> Endpoint:
    """Check an address and read the key.

    Args:
        config: The model; its address is normalised.
        key_variable: Environment variable of the key; empty for no key, None for ``OPENAI_API_KEY``, which an endpoint
            on this machine or in a private network need not have.
        needs_key: False when nothing will be asked.

    Raises:
        UsageError: The address is none or holds a secret, a setting is not for users, or the key is missing or cannot
            be one. No message shows any of them.
    """
    config = config.model_copy(update={"base_url": _checked_url(config.base_url)})
    if foreign := sorted(_OURS & config.settings.keys()):
        raise UsageError(f"--set cannot change {foreign[0]}, which annotate sends itself; leave it out.")
    secret = [name for name in config.settings if _letters(name) in _SECRETS]
    secret += [name for name in _names(list(config.settings.values())) if _letters(name) in _NESTED_SECRETS]
    if secret:
        raise UsageError(
            f"--set {clean_text(secret[0], 40)} would write a secret into every file; put a key into an environment "
            "variable (--api-key-env NAME)."
        )
    if odd := [name for name, value in config.settings.items() if not _is_json(value)]:
        raise UsageError(f"--set {clean_text(odd[0], 40)} holds NaN or infinity, which JSON does not have.")
    if not config.model.isprintable() or config.model != config.model.strip():
        raise UsageError(f"{config.model!r} is no name of a model; give it as the endpoint lists it.")
    if not needs_key or key_variable == "":
        return Endpoint(config)
    return Endpoint(config, _read_key(config, key_variable))


def _letters(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _names(value: JsonValue) -> Iterator[str]:
    """Names of all fields in a value, however deep."""
    if isinstance(value, dict):
        yield from value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _names(inner)


def _is_json(value: JsonValue) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def _checked_url(url: str) -> str:
    """The address in one spelling."""
    example = "write it as http://localhost:8000/v1"
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UsageError(f"the base URL cannot be read; {example}.") from None
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            "the base URL holds a user name or password, which would end up in the shell's history; take them out, "
            "and put a key into an environment variable (--api-key-env NAME)."
        )
    if parts.query or parts.fragment:
        raise UsageError(
            "the base URL holds a query, where keys are often put; leave out what begins with ? or #, and put a key "
            "into an environment variable (--api-key-env NAME)."
        )
    if (
        parts.scheme.lower() not in ("http", "https")
        or not host
        or not re.fullmatch(r"[\w.-]+|[\w.-]*:[\w.:%-]*", host)
    ):
        raise UsageError(f"the base URL is no http or https address; {example}.")
    if not re.fullmatch(r"[!-~]*", parts.path):
        raise UsageError(f"the base URL has spaces or letters that an address cannot have; {example}.")
    shown = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}[parts.scheme.lower()]
    place = shown if port in (None, default) else f"{shown}:{port}"
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    return f"{parts.scheme.lower()}://{place.lower()}{path}"


def _read_key(config: EndpointConfig, variable: str | None) -> str:
    name = DEFAULT_KEY_VARIABLE if variable is None else variable
    # What is no name may be the key itself, given by mistake: it is not repeated.
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,80}", name):
        raise UsageError("--api-key-env takes the name of an environment variable, such as OPENAI_API_KEY, not a key.")
    shown = name if re.fullmatch(r"[A-Z_][A-Z0-9_]*", name) else "that is named"
    key = os.environ.get(name, "").strip()
    if not key:
        if variable is None and config.is_local:
            return ""
        raise UsageError(
            f"the environment variable {shown} holds no key for {config.host}: set it, name another one "
            "(--api-key-env NAME), or say that none is needed (--api-key-env '')."
        )
    if not re.fullmatch(r"[!-~]+", key):
        raise UsageError(
            f"the environment variable {shown} holds spaces, line breaks or letters that a key cannot have; set it "
            "again."
        )
    return key
