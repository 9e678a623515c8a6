import json
from pathlib import Path

import pytest

from gaitbench.annotating.cache import Answer, AnswerCache
from gaitbench.annotating.fields import AnswerField
from gaitbench.errors import OutputError

FIELDS = (AnswerField(name="toe", title="Toe", choices=("in", "out"), unknown="unknown"),)
SHA = "ab" * 32


def answer(**changes: object) -> Answer:
    usual = {
        "request_sha256": SHA,
        "values": {"toe": "in"},
        "answered_by": "m",
        "answered_at": "2026-01-01T00:00:00+00:00",
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "num_requests": 1,
    }
    return Answer(**{**usual, **changes})


def test_what_was_kept_is_found(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "answers")
    assert cache.get(SHA, FIELDS) is None
    cache.put(answer())
    assert AnswerCache(tmp_path / "answers").get(SHA, FIELDS) == answer()
    assert cache.get("cd" * 32, FIELDS) is None


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"\xff\xfe", id="no-text"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(json.dumps({**answer().model_dump(), "values": {"toe": "up"}}).encode(), id="outside"),
        pytest.param(json.dumps({**answer().model_dump(), "values": {}}).encode(), id="no-values"),
        pytest.param(json.dumps({**answer().model_dump(), "request_sha256": "cd" * 32}).encode(), id="another"),
        pytest.param(json.dumps({**answer().model_dump(), "prompt_tokens": -1}).encode(), id="negative"),
        pytest.param(b" " * (2 << 20), id="huge"),
    ],
)
def test_a_damaged_or_altered_entry_counts_as_none(tmp_path: Path, content: bytes) -> None:
    cache = AnswerCache(tmp_path)
    cache.put(answer())
    (file,) = tmp_path.rglob("*.json")
    file.write_bytes(content)
    assert cache.get(SHA, FIELDS) is None
    cache.put(answer())
    assert cache.get(SHA, FIELDS) == answer()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "answers").write_text("a file")
    with pytest.raises(OutputError, match="a file stands where a folder is needed"):
        AnswerCache(tmp_path / "answers").put(answer())
