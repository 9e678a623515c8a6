"""Frames of people leave the house only where their terms, or their owner, let them."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from chat_server import completion, fill
from PIL import Image

from gaitbench.annotating.result import Annotated
from gaitbench.dataset import GaitDataset
from gaitbench.errors import UsageError

Run = Callable[..., Annotated]


class Elsewhere(httpx2.BaseTransport):
    """Answers for a host that is far away."""

    def __init__(self) -> None:
        self.hosts: list[str] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.hosts.append(request.url.host)
        schema = json.loads(request.content)["response_format"]["json_schema"]["schema"]
        return httpx2.Response(200, content=completion(json.dumps(fill(schema))).body)


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    return {"base_url": "https://api.example.com/v1", "transport": Elsewhere()}


def test_frames_whose_terms_say_nothing_stay(run: Run, far: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"tiny is not shown to api\.example\.com: its terms do not say"):
        run(**far)
    assert far["transport"].hosts == []


def test_the_owners_word_counts(run: Run, far: dict[str, object]) -> None:
    assert run(**far, has_right=True).is_complete
    assert set(far["transport"].hosts) == {"api.example.com"}


def test_walkers_may_be_shown(run: Run, far: dict[str, object], tiny_walkers: GaitDataset) -> None:
    assert run(**far, dataset=str(tiny_walkers.root), views=("090",)).is_complete


def test_texts_show_nobody(run: Run, far: dict[str, object]) -> None:
    assert run("prompts", "walkers", **far, rounds=1).is_complete


def test_it_is_asked_before_anything_is_prepared(
    run: Run, far: dict[str, object], tmp_path: Path, gaitbench_cache: Path
) -> None:
    frame = tmp_path / "official" / "s1" / "nm" / "090" / "1.png"
    frame.parent.mkdir(parents=True)
    Image.new("L", (44, 64), 255).save(frame)
    with pytest.raises(UsageError, match="folder is not shown to"):
        run(**far, dataset="folder", data=tmp_path / "official")
    assert not gaitbench_cache.exists()
