"""A key is nowhere but in the header that it is for, whatever an endpoint does with it."""

import json
import logging
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from chat_server import Asked, ChatServer, Reply, completion, error, fill

from gaitbench.annotating.result import Annotated
from gaitbench.errors import GaitbenchError

Run = Callable[..., Annotated]
KEY = "sk-ABCDEFgeheim0123456789"


def escaped(text: str) -> str:
    """A text as JSON may write it too."""
    return "".join(f"\\u{ord(letter):04x}" for letter in text)


def echoes(asked: Asked) -> Reply:
    """Says the key wherever a model can say anything."""
    bearer = asked.headers["authorization"]
    said = {**fill(asked.schema), "summary": f"I saw {bearer}"}
    content = json.dumps(said).replace(KEY, escaped(KEY))
    return completion(content, model=bearer, id=bearer, system_fingerprint=bearer)


REPLIES: dict[str, object] = {
    "usable": echoes,
    "refusal": lambda asked: completion(None, refusal=asked.headers["authorization"]),
    "words": lambda asked: asked.headers["authorization"],
    "outside": lambda asked: {**fill(asked.schema), "viewpoint": asked.headers["authorization"]},
    "further-key": lambda asked: {**fill(asked.schema), asked.headers["authorization"]: 1},
    "not-a-completion": lambda asked: Reply(json.dumps({"choices": KEY, KEY: KEY}).encode()),
    "rejected": lambda asked: error(400, f"what is {KEY}?", headers={"X-Echo": KEY}),
    "unauthorised": lambda asked: error(401, f"Incorrect API key provided: {KEY}", headers={"X-Echo": KEY}),
    "busy": lambda asked: error(503, f"no {KEY}", headers={"Retry-After": "0", "X-Echo": KEY}),
    "redirect": lambda asked: error(307, KEY, headers={"Location": f"http://127.0.0.1:9/{KEY}"}),
    "html": lambda asked: Reply(f"<html>{KEY}</html>".encode()),
}


@pytest.mark.parametrize("name", REPLIES)
def test_the_key_is_nowhere(
    name: str,
    run: Run,
    chat: ChatServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_KEY", KEY)
    chat.otherwise = REPLIES[name]
    told = []
    for suffix in (".parquet", ".json"):
        try:
            done = run(key_variable="MY_KEY", out=tmp_path / f"out{suffix}", concurrency=2)
            told += [str(done), repr(done)]
        except GaitbenchError as error:
            told += ["".join(traceback.format_exception(error)), *everything_of(error)]
    assert all(asked.headers["authorization"] == f"Bearer {KEY}" for asked in chat.asked)
    assert chat.asked
    told += [record.getMessage() for record in caplog.records]
    told += [repr(record.__dict__) for record in caplog.records]
    told += [text for text in capfd.readouterr() if text]
    for text in told:
        assert KEY not in text
        assert escaped(KEY) not in text
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert name != "usable" or len(files) >= 2 + 6
    for path in files:
        content = path.read_bytes()
        assert KEY.encode() not in content, path
        assert escaped(KEY).encode() not in content, path
        assert KEY not in str(path)


def everything_of(error: BaseException | None) -> list[str]:
    """All that hangs on an exception, causes and contexts included."""
    found = []
    while error is not None:
        found += [str(error), repr(error), repr(error.args), repr(vars(error))]
        error = error.__cause__ or error.__context__
    return found


def test_connections_that_fail_say_nothing_of_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with pytest.raises(GaitbenchError) as caught:
        run(key_variable="MY_KEY", base_url="http://127.0.0.1:9/v1")
    assert all(KEY not in text for text in everything_of(caught.value))
    assert KEY not in "".join(traceback.format_exception(caught.value))
