"""One request against a server that does what servers do."""

import gzip
import json
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest
from chat_server import Answer, ChatServer, Reply, completion, error

from gaitbench.annotating.chat import Chat, Failure, check_client
from gaitbench.annotating.chat import Reply as Said
from gaitbench.annotating.endpoint import Endpoint, EndpointConfig
from gaitbench.annotating.fields import AnswerField
from gaitbench.annotating.request import ChatRequest, Message
from gaitbench.annotating.sheet import Picture
from gaitbench.errors import UsageError

FIELDS = (AnswerField(name="toe", title="Toe", choices=("in", "out")),)
REQUEST = ChatRequest("gdf", (Message("system", "be brief"), Message("user", "which?")), FIELDS)


@pytest.fixture
def ask(chat: ChatServer) -> Iterator[object]:
    opened: list[Chat] = []

    def once(*script: Answer, key: str = "", request: ChatRequest = REQUEST, **config: object) -> Said | Failure:
        chat.script.extend(script)
        made = EndpointConfig(**{"model": "m-1", "base_url": chat.base_url, **config})
        opened.append(Chat(Endpoint(made, key)))
        return opened[-1].ask(request)

    yield once
    for client in opened:
        client.close()


def test_a_reply(ask: object, chat: ChatServer) -> None:
    found = ask({"toe": "in"})
    assert found == Said('{"toe": "in"}', "", "stop", "fake-1", 80, 20)
    (asked,) = chat.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.body == {
        "model": "m-1",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "which?"}],
        "max_completion_tokens": 2000,
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "gdf",
                "strict": True,
                "schema": {
                    "type": "object",
                    "properties": {"toe": {"enum": ["in", "out"], "type": "string"}},
                    "required": ["toe"],
                    "additionalProperties": False,
                },
            },
        },
    }


def test_pictures_go_as_data(ask: object, chat: ChatServer) -> None:
    shown = Message("user", "which?", Picture("0" * 64, lambda: b"\x89PNG"))
    ask({"toe": "in"}, request=ChatRequest("gdf", (shown,), FIELDS))
    assert chat.asked[0].pictures == ["data:image/png;base64,iVBORw=="]


def test_settings_and_forms(ask: object, chat: ChatServer) -> None:
    ask({}, settings={"temperature": 0, "max_tokens": 50, "seed": 1}, answer_format="json_object")
    ask({}, answer_format="text", max_answer_tokens=70)
    one, other = (asked.body for asked in chat.asked)
    assert (one["temperature"], one["max_tokens"], one["seed"]) == (0, 50, 1)
    assert "max_completion_tokens" not in one
    assert one["response_format"] == {"type": "json_object"}
    assert "response_format" not in other
    assert other["max_completion_tokens"] == 70


def test_a_complaint_stands_in_the_last_turn(ask: object, chat: ChatServer) -> None:
    from dataclasses import replace

    shown = (Message("user", "which?", Picture("0" * 64, lambda: b"\x89PNG")),)
    ask({}, {}, request=replace(REQUEST, complaint="toe is missing"))
    ask({}, request=replace(REQUEST, messages=shown, complaint="toe is missing"))
    for asked in chat.asked:
        assert [turn["role"] for turn in asked.body["messages"]][-1] == "user"
        assert "An earlier answer could not be used: toe is missing." in asked.text
        assert asked.body["max_completion_tokens"] == 4000


def test_the_complaint_does_not_change_what_an_answer_is_filed_under() -> None:
    from dataclasses import replace

    config = EndpointConfig(model="m")
    assert replace(REQUEST, complaint="x").sha256(config) == REQUEST.sha256(config)
    for changed in (
        replace(REQUEST, schema_name="attributes"),
        replace(REQUEST, messages=REQUEST.messages[1:]),
        replace(REQUEST, messages=(Message("user", "which?", Picture("1", bytes)),)),
        replace(REQUEST, fields=(AnswerField(name="toe", title="Toe", choices=("in",)),)),
    ):
        assert changed.sha256(config) != REQUEST.sha256(config)


def test_the_key_goes_into_one_header(ask: object, chat: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-admin")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    ask({}, key="sk-1")
    ask({})
    with_key, without = (asked.headers for asked in chat.asked)
    assert with_key["authorization"] == "Bearer sk-1"
    assert "authorization" not in without
    for headers in (with_key, without):
        assert not {"openai-organization", "openai-project"} & headers.keys()
        assert "sk-of-somebody-else" not in str(headers)
        assert "sk-admin" not in str(headers)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_what_passes(ask: object, status: int) -> None:
    found = ask(error(status, "slow\x1b[31m down"))
    assert found == Failure("passing", f"status {status}: slow down")


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (401, "", "refuses the key"),
        (402, "", "no credit"),
        (403, "", "does not allow"),
        (404, "model_not_found", "no such model or address"),
        (405, "", "no chat requests"),
        (307, "", "it redirects"),
        (429, "insufficient_quota", "the quota is used up"),
    ],
)
def test_what_ends_a_run(ask: object, status: int, code: str, words: str) -> None:
    found = ask(error(status, "no", code=code, headers={"Location": "http://127.0.0.1:9/"}))
    assert isinstance(found, Failure)
    assert found.kind == "stopping"
    assert words in found.reason


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_what_concerns_one_request(ask: object, status: int) -> None:
    assert ask(error(status, "too large")) == Failure("rejected", f"status {status}: too large")


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"message": "held back", "code": "content_filter", "innererror": {}}}',
        b'{"error": {"message": "held back", "code": null, "type": "content_policy_violation"}}',
        b'{"error": {"message": "held back", "metadata": {"flagged_input": "a person walks"}}}',
        b'{"error": {"message": "held back", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}',
    ],
)
@pytest.mark.parametrize("status", [400, 403])
def test_filters_in_front_of_a_model(ask: object, status: int, body: bytes) -> None:
    words = f"a content filter holds the question back (status {status}): held back"
    assert ask(Reply(body, status)) == Failure("filtered", words)


@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [
        ({"Retry-After": "7"}, 7, 7),
        ({"Retry-After": "0.5"}, 0.5, 0.5),
        ({"Retry-After-Ms": "250"}, 0.25, 0.25),
        ({"Retry-After": formatdate(time.time() + 90_000, usegmt=True)}, 80_000, 90_001),
        ({"Retry-After": formatdate(0, usegmt=True)}, 0, 0),
    ],
)
def test_retry_after(ask: object, headers: dict[str, str], low: float, high: float) -> None:
    found = ask(error(429, headers=headers))
    assert isinstance(found, Failure)
    assert found.retry_after_s is not None
    assert low <= found.retry_after_s <= high


@pytest.mark.parametrize(
    "value",
    [
        "soon",
        "-3",
        "nan",
        "inf",
        "",
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2030 99999999999999999999:00:00 GMT",
        "Mon, 01 Jan 2030 00:00:00 +99999999",
    ],
)
def test_retry_after_that_says_nothing(ask: object, value: str) -> None:
    found = ask(error(429, headers={"Retry-After": value}))
    assert isinstance(found, Failure)
    assert found.retry_after_s is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(b"<html>login</html>", "no chat completion", id="html"),
        pytest.param(b"", "no chat completion", id="nothing"),
        pytest.param(b"[]", "no chat completion", id="list"),
        pytest.param(b'{"choices": null}', "no chat completion", id="null"),
        pytest.param(b'{"choices": []}', "has no choices", id="none"),
        pytest.param(b'{"choices": [{}]}', "no chat completion", id="no-message"),
        pytest.param(b'{"choices": [{"message": {"content": 7}}]}', "no chat completion", id="number"),
        pytest.param(b'{"choices": [{"message": {"content": ["a"]}}]}', "no chat completion", id="parts"),
        pytest.param(b'{"choices": "\xff"}', "no chat completion", id="no-utf-8"),
        pytest.param(b'{"choices":' + b"[" * 100_000, "no chat completion", id="deep"),
    ],
)
def test_what_is_no_chat_completion(ask: object, body: bytes, words: str) -> None:
    found = ask(Reply(body))
    assert isinstance(found, Said)
    assert words in found.problem
    assert found.content == ""


@pytest.mark.parametrize(
    "usage",
    [
        None,
        "many",
        [],
        {},
        {"prompt_tokens": -1, "completion_tokens": 10**12},
        {"prompt_tokens": True},
        {"prompt_tokens": "9"},
    ],
    ids=str,
)
def test_numbers_of_tokens_that_nobody_can_believe(ask: object, usage: object) -> None:
    found = ask(completion("{}", usage=usage))
    assert isinstance(found, Said)
    assert (found.prompt_tokens, found.completion_tokens) == (None, None)


def test_refusals_and_empty_answers(ask: object) -> None:
    refused = ask(completion(None, refusal="I can't\x1b[0m <b>do</b> that"))
    assert (refused.content, refused.refusal) == ("", "I can't do that")
    cut = ask(completion("{", finish_reason="length"))
    assert (cut.content, cut.finish_reason) == ("{", "length")


def test_an_endless_answer_is_cut_off(ask: object) -> None:
    big = ask(Reply(b" " * (5 << 20)))
    assert isinstance(big, Said)
    assert big.problem == "the answer is larger than 4,194,304 bytes"


def test_a_compressed_answer_is_not_unpacked(ask: object) -> None:
    body = gzip.compress(b" " * 10_000)
    found = ask(Reply(body, headers={"Content-Encoding": "gzip"}))
    assert isinstance(found, Said)
    assert "compressed" in found.problem


def test_no_answer_in_time(ask: object) -> None:
    never = threading.Event()
    start = time.monotonic()
    try:
        found = ask(Reply(waits_for=never), timeout_s=0.2)
    finally:
        never.set()
    assert found == Failure("passing", "no answer within 0.2 s")
    assert time.monotonic() - start < 5


def test_an_answer_that_trickles(ask: object) -> None:
    found = ask(Reply(b'{"choices": []}' * 100, piece_delay_s=0.02), timeout_s=0.3)
    assert found == Failure("passing", "no answer within 0.3 s")


def test_connections_that_fail(ask: object) -> None:
    dropped = ask(Reply(drops=True))
    assert isinstance(dropped, Failure)
    assert dropped.kind == "passing"
    refused = ask(base_url="http://127.0.0.1:9/v1")
    assert isinstance(refused, Failure)
    assert refused.kind == "passing"
    assert "refused" in refused.reason.lower()


def test_one_request_is_one_request(ask: object, chat: ChatServer) -> None:
    ask(error(500))
    assert len(chat.asked) == 1


@pytest.mark.parametrize(
    "body", [b"gateway", b'"text"', b'{"detail": "d"}', b'{"error": "e"}', b'{"message": {"a": 1}}', b""]
)
def test_errors_in_any_form(ask: object, body: bytes) -> None:
    found = ask(Reply(body, 503))
    assert isinstance(found, Failure)
    assert found.reason.startswith("status 503: ")


def test_the_key_is_taken_out_of_what_comes_back(ask: object) -> None:
    key = "sk-abcdefgh0123456789"
    refused = ask(error(401, f"Incorrect API key provided: {key}."), key=key)
    said = ask(completion(json.dumps({"toe": key}), refusal=f"no {key}", model=key), key=key)
    assert key not in f"{refused} {said}"
    assert "key" in refused.reason


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(UsageError, match=r"pip install 'gaitbench\[annotate\]'"):
        check_client()


def test_an_old_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import openai

    monkeypatch.setattr(openai, "__version__", "1.99.0")
    with pytest.raises(UsageError, match=r"needs openai 3 or newer, and 1\.99\.0 is installed"):
        check_client()
