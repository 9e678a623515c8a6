"""What a run would ask, told without asking."""

from collections.abc import Callable
from pathlib import Path

import pytest
from chat_server import ChatServer
from PIL import Image

from gaitbench.annotating.annotate import estimate_dataset
from gaitbench.annotating.arguments import endpoint_config, selected, sheet_config
from gaitbench.annotating.estimate import Estimate
from gaitbench.annotating.result import Annotated
from gaitbench.dataset import GaitDataset
from gaitbench.errors import UsageError
from gaitbench.registry import load_registry

Run = Callable[..., Annotated]


@pytest.fixture
def estimate(chat: ChatServer, tiny: GaitDataset, tmp_path: Path) -> Callable[..., Estimate]:
    def of(schema: str = "gdf", dataset: str | None = None, picture: Path | None = None, **changes: object) -> Estimate:
        return estimate_dataset(
            load_registry(),
            schema,
            selected(dataset or str(tiny.root), schema, **changes),
            sheet_config(4),
            endpoint_config("m-1", chat.base_url),
            out=tmp_path / "out.parquet",
            picture=picture,
        )

    return of


def test_what_is_known_is_not_asked(estimate: Callable[..., Estimate], run: Run, chat: ChatServer) -> None:
    before = estimate()
    assert (before.num_asked_for, before.num_known, before.num_requests) == (6, 0, 6)
    assert chat.asked == []
    run(max_requests=2)
    after = estimate()
    assert (after.num_known, after.num_requests) == (2, 4)
    assert after.num_tokens < before.num_tokens
    run()
    done = estimate()
    assert (done.num_known, done.num_requests, done.num_tokens, done.example) == (6, 0, 0, "")
    assert len(chat.asked) == 6


def test_the_example_is_what_will_be_sent(estimate: Callable[..., Estimate], run: Run, chat: ChatServer) -> None:
    found = estimate()
    run(max_requests=1)
    sent = chat.asked[0]
    assert sent.body["messages"][0]["content"] in found.example
    assert sent.text.strip() in found.example
    assert "pixels" in found.example
    assert "6 requests to 127.0.0.1" in str(found)
    assert "nothing was sent" in str(found)


def test_the_sheet_of_the_example(estimate: Callable[..., Estimate], tmp_path: Path) -> None:
    found = estimate(picture=tmp_path / "sheet.png")
    assert found.sheet == tmp_path / "sheet.png"
    with Image.open(found.sheet) as image:
        assert image.format == "PNG"
    with pytest.raises(UsageError, match=r"name the file .*sheet\.png"):
        estimate(picture=tmp_path / "sheet.jpg")


def test_rounds_are_counted_and_grow(estimate: Callable[..., Estimate], run: Run, chat: ChatServer) -> None:
    two, four = (estimate("gmtd", "walkers", rounds=rounds) for rounds in (2, 4))
    assert (two.num_requests, four.num_requests) == (2 * 3, 2 * 5)
    assert four.num_tokens > 2 * two.num_tokens
    run("gmtd", "walkers", rounds=4, max_requests=3, concurrency=1)
    assert estimate("gmtd", "walkers", rounds=4).num_requests == 7


def test_tokens_of_a_real_run_are_near(estimate: Callable[..., Estimate], run: Run, chat: ChatServer) -> None:
    """The server does not count, so that the run estimates what it sends and hears."""
    import json

    from chat_server import completion, fill

    chat.otherwise = lambda asked: completion(json.dumps(fill(asked.schema)), usage=None)
    said = estimate().num_tokens
    assert run().spent.num_tokens == pytest.approx(said, rel=0.5)


def test_no_key_is_needed(tiny: GaitDataset, tmp_path: Path) -> None:
    found = estimate_dataset(
        load_registry(),
        "attributes",
        selected(str(tiny.root), "attributes"),
        sheet_config(4),
        endpoint_config("m-1", "https://api.example.com/v1"),
        out=tmp_path,
    )
    assert found.host == "api.example.com"
    assert found.path == tmp_path / "tiny-attributes-m-1.parquet"
