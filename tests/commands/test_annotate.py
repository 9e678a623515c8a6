"""The command line of annotate, and what is left when its process is killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from chat_server import Asked, ChatServer, Reply, error, fill, run_chat_server
from places import REPOSITORY
from tiny_dataset import prepare_tiny

import gaitbench
from gaitbench.annotating import read_annotations
from gaitbench.cli import main
from gaitbench.dataset import GaitDataset

KEY = "sk-ABCDEFgeheim0123456789"


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, gaitbench_cache: Path, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GAITBENCH_QUIET", "1")
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def chat() -> Iterator[ChatServer]:
    with run_chat_server() as server:
        yield server


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> GaitDataset:
    return prepare_tiny(tmp_path_factory.mktemp("annotate") / "tiny", num_subjects=3, num_sequences=2)


@pytest.fixture
def words(chat: ChatServer, tiny: GaitDataset) -> list[str]:
    return ["annotate", str(tiny.root), "--schema", "gdf", "--model", "org/m-1", "--base-url", chat.base_url]


def test_done(words: list[str], chat: ChatServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "annotations/tiny-gdf-org-m-1.parquet: gdf of tiny by org/m-1, 6 of 6 sequences" in out
    assert "6 requests sent, 600 tokens" in out
    assert len(read_annotations(Path("annotations/tiny-gdf-org-m-1.parquet"))) == 6
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["num_ok"], found["num_from_file"], found["spent"]["num_requests"]) == (6, 6, 0)
    assert len(chat.asked) == 6


def test_a_limit_is_no_success(words: list[str], chat: ChatServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--max-requests", "4", "--out", "a.json"]) == 1
    out = capsys.readouterr().out
    assert "stopped: the limit of 4 requests is reached; the same command goes on" in out
    assert "2 left" in out
    assert main([*words, "--max-tokens", "1000", "--out", "a.json"]) == 0


def test_options_reach_the_request(words: list[str], chat: ChatServer) -> None:
    chat.otherwise = {"nothing": 1}
    options = ["--set", "temperature=0.5", "--max-answer-tokens", "99", "--views", "000", "--frames", "2"]
    assert main([*words, *options, "--concurrency", "1", "--answer-format", "json_object"]) == 1
    assert len(chat.asked) == 3 * 2
    body = chat.asked[0].body
    assert (body["temperature"], body["max_completion_tokens"]) == (0.5, 99)
    assert body["response_format"] == {"type": "json_object"}


def test_dry_run(words: list[str], chat: ChatServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--dry-run", "--sheet", "sheet.png"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("6 requests to 127.0.0.1")
    assert "--- user" in out
    assert Path("sheet.png").is_file()
    assert main([*words, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_requests"] == 6
    assert chat.asked == []
    assert not Path("annotations").exists()


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        (["--sheet", "x.png"], 2, "--sheet belongs to --dry-run"),
        (["--schema", "gdff"], 2, "gdff"),
        (["--max-requests", "0"], 2, "--max-requests"),
        (["--base-url", "http://u:p@host/v1"], 2, "a user name or password"),
        (["--api-key-env", KEY], 2, "takes the name of an environment variable"),
        (["--api-key-env", "NOT_SET"], 2, "NOT_SET holds no key"),
        (["--out", "a.csv"], 2, "a.csv"),
        (["--views", "180"], 2, "no view '180'"),
        (["--set", "messages=[]"], 2, "--set cannot change messages"),
    ],
)
def test_what_cannot_be(
    words: list[str], chat: ChatServer, capsys: pytest.CaptureFixture[str], changes: list[str], code: int, message: str
) -> None:
    assert main([*words, *changes]) == code
    said = capsys.readouterr().err
    assert message in said
    assert KEY not in said
    assert chat.asked == []


def test_an_endpoint_that_refuses(
    words: list[str], chat: ChatServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    chat.otherwise = error(401, f"Incorrect API key provided: {KEY}")
    assert main([*words, "--debug"]) == 1
    said = capsys.readouterr().err
    assert "refuses the key (401)" in said
    assert KEY not in said
    assert chat.asked[0].headers["authorization"] == f"Bearer {KEY}"


def test_without_the_package(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    assert main(words) == 2
    assert "pip install 'gaitbench[annotate]'" in capsys.readouterr().err
    assert main([*words, "--dry-run"]) == 0


def test_the_function_of_the_same_name(chat: ChatServer, tiny: GaitDataset, tmp_path: Path) -> None:
    options = {"base_url": chat.base_url, "out": tmp_path / "a.json", "views": ["090"]}
    assert gaitbench.estimate_annotation(tiny.root, "attributes", "m", **options).num_requests == 3
    done = gaitbench.annotate(tiny.root, "attributes", "m", **options, concurrency=2, set={"seed": 1})
    assert done.is_complete
    assert done.path == tmp_path / "a.json"


def start(words: list[str], **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "gaitbench", *words],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class Gate:
    """Answers two requests at once, and holds back the others until it is opened."""

    def __init__(self) -> None:
        self.num = 0
        self.opened = threading.Event()
        self.lock = threading.Lock()

    def __call__(self, asked: Asked) -> object:
        with self.lock:
            self.num += 1
            is_held = self.num > 2
        reply = fill(asked.schema)
        if not is_held:
            return reply
        return Reply(waits_for=self.opened, drops=True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill", "interrupt"])
def test_what_was_paid_for_outlives_the_process(words: list[str], chat: ChatServer, number: int) -> None:
    gate = Gate()
    chat.otherwise = gate
    process = start([*words, "--concurrency", "2", "--out", "a.parquet"])
    try:
        end = time.monotonic() + 120
        while len(chat.asked) < 4 and time.monotonic() < end and process.poll() is None:
            time.sleep(0.02)
        assert len(chat.asked) == 4
        process.send_signal(number)
        time.sleep(0.1)
        gate.opened.set()
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        gate.opened.set()
    if number == signal.SIGINT:
        assert process.returncode == 130, said
        assert "unfinished work resumes with the same command" in said
        assert "Traceback" not in said
        assert [each.status for each in read_annotations(Path("a.parquet"))] == ["ok", "ok"]
    else:
        assert process.returncode == -signal.SIGKILL
        assert not Path("a.parquet").exists()
    assert not list(Path().glob(".*.tmp"))
    chat.otherwise = None
    num_before = len(chat.asked)
    assert main([*words, "--out", "a.parquet"]) == 0
    assert len(chat.asked) == num_before + 4
    assert read_annotations(Path("a.parquet")).header.model == "org/m-1"
