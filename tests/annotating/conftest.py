"""What these tests share: a local endpoint, a small dataset, and a run against both that never waits."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chat_server import ChatServer, run_chat_server
from tiny_dataset import prepare_tiny

from gaitbench.annotating.annotate import annotate_dataset
from gaitbench.annotating.arguments import endpoint_config, selected, sheet_config
from gaitbench.annotating.result import Annotated
from gaitbench.annotating.retry import Backoff
from gaitbench.dataset import GaitDataset
from gaitbench.progress import quiet
from gaitbench.registry import load_registry

Run = Callable[..., Annotated]


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch, gaitbench_cache: Path) -> None:
    """The machine's own keys and endpoints are nothing to tests."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_LOG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def chat() -> Iterator[ChatServer]:
    with run_chat_server() as server:
        yield server


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> GaitDataset:
    """Six sequences of three subjects."""
    folder = tmp_path_factory.mktemp("annotating") / "tiny"
    return prepare_tiny(folder, ("silhouette", "rgb", "depth", "lidar"), num_subjects=3, num_sequences=2)


@pytest.fixture
def waits() -> list[float]:
    """Seconds that a run would have slept."""
    return []


@pytest.fixture
def run(chat: ChatServer, tiny: GaitDataset, tmp_path: Path, waits: list[float]) -> Run:
    """Annotate the small dataset, or a named one, through the local endpoint."""

    def annotate(schema: str = "gdf", dataset: str | None = None, **changes: object) -> Annotated:
        mine = {"rounds": None, "views": (), "modalities": (), "split": "all", "options": {}, "data": None}
        chosen = selected(dataset or str(tiny.root), schema, **{name: changes.pop(name, mine[name]) for name in mine})
        config = endpoint_config(
            changes.pop("model", "m-1"),
            changes.pop("base_url", chat.base_url),
            **{
                n: changes.pop(n)
                for n in ("answer_format", "timeout_s", "settings", "max_answer_tokens")
                if n in changes
            },
        )
        usual = {"out": tmp_path / "out.parquet", "backoff": Backoff(num_tries=3), "rng": random.Random(0)}
        with quiet():
            return annotate_dataset(
                load_registry(),
                schema,
                chosen,
                sheet_config(changes.pop("frames", 4)),
                config,
                **{**usual, "sleep": waits.append, **changes},
            )

    return annotate
