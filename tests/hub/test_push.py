"""To the hub and back, against a server on this machine that speaks its API."""

import json
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest

import gaitbench
from gaitbench.card import PreparedCard
from gaitbench.dataset import GaitDataset
from gaitbench.errors import DatasetError, OutputError, UsageError
from gaitbench.hub.exporting import export_and_push
from gaitbench.hub.opening import open_repository, stream_repository
from gaitbench.hub.push import check_right, push
from gaitbench.registry import build_registry
from tests.hub.conftest import files_of
from tests.support.hub_server import TOKEN, FakeHub
from tests.support.tiny_dataset import ALL_MODALITIES

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")
"""huggingface_hub hands files to its HTTP client in a way that the client is going to drop."""


def test_push_and_pull_come_back_exactly(hub: FakeHub, tiny: GaitDataset, repository: Path, tmp_path: Path) -> None:
    done = push(repository, "gait/tiny", has_right=True)
    assert done.is_private
    assert hub.repositories["gait/tiny"].private
    served = hub.repositories["gait/tiny"].commits[-1]
    assert done.commit == served[0]
    assert {**served[1], ".gitattributes": b""} == {**files_of(repository), ".gitattributes": b""}

    back = open_repository("hf:gait/tiny", tmp_path / "cache", workers=1)
    assert back.card.repository == f"gait/tiny@{done.commit}"
    assert back.fingerprint(ALL_MODALITIES) == tiny.fingerprint(ALL_MODALITIES)
    assert PreparedCard.read(back.root).prepared == PreparedCard.read(tiny.root).prepared
    hub.requests.clear()
    assert open_repository(f"hf:gait/tiny@{done.commit}", tmp_path / "cache", workers=1).root == back.root
    assert hub.requests == []


def test_the_token_is_sent_to_the_hub_alone_and_shown_nowhere(
    hub: FakeHub, repository: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        push(repository, "gait/tiny", has_right=True)
        hub.failures.append(("GET .*/revision/", 403))
        with pytest.raises(DatasetError) as caught:
            open_repository("hf:gait/tiny", tmp_path / "cache", workers=1)
    shown = capfd.readouterr()
    texts = [shown.out, shown.err, caplog.text, str(caught.value)]
    texts += [path.read_text(errors="replace") for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert not any(TOKEN in text for text in texts)
    # A large file goes to the address that the hub names, without the token.
    assert all("authorization" not in headers for method, _, headers in hub.requests if method == "PUT")


def test_a_second_push_replaces_the_first_in_one_commit(
    hub: FakeHub, tiny: GaitDataset, repository: Path, tmp_path: Path
) -> None:
    push(repository, "gait/tiny", has_right=True)
    gaitbench.export(tiny, tmp_path / "less", modalities=["silhouette"])
    first = len(hub.repositories["gait/tiny"].commits)
    push(tmp_path / "less", "gait/tiny", has_right=True)
    commits = hub.repositories["gait/tiny"].commits
    assert len(commits) == first + 1
    assert {path for path in commits[-1][1] if path.startswith("data/")} == {"data/train-00000.parquet"}
    old = stream_repository(f"hf:gait/tiny@{commits[-2][0]}", tmp_path / "cache")
    assert old.modalities == tuple(sorted(ALL_MODALITIES))
    assert stream_repository("hf:gait/tiny", tmp_path / "cache").modalities == ("silhouette",)


@pytest.mark.parametrize(
    ("redistribution", "claim"), [(None, "do not say that it may"), (False, "do not allow that it may")]
)
def test_pushing_needs_the_right(redistribution: bool | None, claim: str) -> None:
    with pytest.raises(UsageError, match=f"{claim}.*--i-have-the-right"):
        check_right("casia-b", redistribution, has_right=False)
    check_right("casia-b", redistribution, has_right=True)
    check_right("walkers", True, has_right=False)


def test_the_right_is_asked_for_before_anything_is_written(hub: FakeHub, tiny: GaitDataset, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tiny is not pushed"):
        export_and_push(build_registry([]), tiny, tmp_path / "out", repository="gait/tiny")
    assert not (tmp_path / "out").exists()
    assert hub.requests == []


def test_public_only_when_said(hub: FakeHub, repository: Path) -> None:
    assert not push(repository, "gait/open", public=True, has_right=True).is_private
    assert not hub.repositories["gait/open"].private
    before = len(hub.repositories["gait/open"].commits)
    with pytest.raises(UsageError, match=r"gait/open is public already.*--public"):
        push(repository, "gait/open", has_right=True)
    assert len(hub.repositories["gait/open"].commits) == before


@pytest.mark.parametrize(
    ("pattern", "status", "message"),
    [
        ("GET /api/whoami", 401, "401.*HF_TOKEN"),
        ("POST /api/repos/create", 403, "403.*right"),
        ("GET /api/datasets/.*/tree", 404, "404"),
        ("POST .*/commit/", 403, "403"),
        ("POST .*/commit/", 413, "answered 413"),
    ],
)
def test_refusals_of_the_hub_are_explained(
    hub: FakeHub, repository: Path, pattern: str, status: int, message: str
) -> None:
    hub.failures.append((pattern, status))
    with pytest.raises(OutputError, match=f"cannot push to gait/tiny: .*{message}"):
        push(repository, "gait/tiny", has_right=True)


def test_busy_hub_is_asked_again(hub: FakeHub, repository: Path, tmp_path: Path) -> None:
    hub.failures += [("POST .*/commit/", 500), ("GET /api/whoami", 503), ("GET /api/datasets/gait/tiny$", 502)]
    push(repository, "gait/tiny", has_right=True)
    hub.failures += [("GET .*/resolve/.*json", 503), ("GET .*/resolve/.*parquet", 500), ("GET .*/revision/", 502)]
    assert len(open_repository("hf:gait/tiny", tmp_path / "cache", workers=1)) == 16
    assert hub.failures == []


def test_wrong_token_and_missing_token(
    hub: FakeHub, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(repository, "gait/tiny", has_right=True)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(DatasetError, match="asks who you are"):
        open_repository("hf:gait/tiny", tmp_path / "cache")
    with pytest.raises(OutputError, match="asks who you are") as caught:
        push(repository, "gait/tiny", has_right=True)
    assert "hf_wrong" not in str(caught.value)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(OutputError, match="there is no token; set HF_TOKEN"):
        push(repository, "gait/tiny", has_right=True)


def test_no_network(repository: Path, tmp_path: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(DatasetError, match=r"cannot be reached.*check the network, or HF_ENDPOINT"):
            open_repository("hf:gait/tiny", tmp_path / "cache")
        with pytest.raises(OutputError, match="cannot be reached"):
            push(repository, "gait/tiny", has_right=True)


def test_offline_uses_what_was_read_before(
    hub: FakeHub, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(repository, "gait/tiny", has_right=True)
    online = open_repository("hf:gait/tiny", tmp_path / "cache", modalities=["silhouette"], workers=1)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.requests.clear()
    assert open_repository("hf:gait/tiny", tmp_path / "cache", modalities=["silhouette"]).root == online.root
    with pytest.raises(DatasetError, match="HF_HUB_OFFLINE is set"):
        open_repository("hf:gait/tiny", tmp_path / "cache", workers=1)
    with pytest.raises(DatasetError, match="it was not read before"):
        open_repository("hf:gait/other", tmp_path / "cache")
    with pytest.raises(OutputError, match="HF_HUB_OFFLINE is set"):
        push(repository, "gait/tiny", has_right=True)
    assert hub.requests == []


def test_revisions_are_pinned(hub: FakeHub, repository: Path, tmp_path: Path) -> None:
    push(repository, "gait/tiny", has_right=True)
    with pytest.raises(DatasetError, match="no such revision"):
        open_repository("hf:gait/tiny@v9", tmp_path / "cache")
    first = stream_repository("hf:gait/tiny", tmp_path / "cache").card.repository
    hub.repositories["gait/tiny"].commit(dict(hub.repositories["gait/tiny"].commits[-1][1]))
    second = stream_repository("hf:gait/tiny", tmp_path / "cache").card.repository
    assert first != second
    assert second == f"gait/tiny@{hub.repositories['gait/tiny'].commits[-1][0]}"


@pytest.mark.parametrize("has_ranges", [True, False])
def test_streaming_fetches_what_is_looked_at(
    hub: FakeHub, tiny: GaitDataset, repository: Path, tmp_path: Path, has_ranges: bool
) -> None:
    hub.has_ranges = has_ranges
    push(repository, "gait/tiny", has_right=True)
    stream = stream_repository("hf:gait/tiny", tmp_path / "cache")
    assert len(stream) == 16
    assert hub.asked("parquet$") == [
        "GET /datasets/gait/tiny/resolve/" + stream.card.repository[-40:] + "/gaitbench/index.parquet"
    ]
    hub.requests.clear()
    np.testing.assert_array_equal(stream[2].frames["skeleton2d"], tiny[2].frames["skeleton2d"])
    assert {path.rpartition("/")[2] for path in hub.asked("GET .*/data/")} == {"train-00000.parquet"}


def test_a_plain_repository_of_the_hub_is_mapped(hub: FakeHub, tmp_path: Path) -> None:
    import io

    from PIL import Image

    def png(value: int) -> bytes:
        file = io.BytesIO()
        Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(file, "PNG")
        return file.getvalue()

    commit = hub.add("some/walks", {f"{s}/cl/{t}.png": png(10 * t) for s in "ab" for t in range(3)})
    data = open_repository("hf:some/walks", tmp_path / "cache", workers=1)
    assert data.table.subject_id.tolist() == ["a", "b"]
    assert data.card.repository == f"some/walks@{commit}"
    assert data[1].frames["rgb"].shape == (3, 3, 4, 4)


@pytest.mark.parametrize("name", ["tiny", "a/b/c", "../b", "a/b@main", "", "a b/c"])
def test_a_repository_has_an_organisation_and_a_name(repository: Path, name: str) -> None:
    with pytest.raises(UsageError, match="pushed to ORG/NAME"):
        push(repository, name, has_right=True)


def test_unfinished_exports_are_not_pushed(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository, tmp_path / "copy")
    (tmp_path / "copy/data/test-00000.parquet").write_bytes(b"")
    with pytest.raises(DatasetError, match="has 0 bytes"):
        push(tmp_path / "copy", "gait/tiny", has_right=True)
    (tmp_path / "copy/data/test-00000.parquet").unlink()
    with pytest.raises(DatasetError, match="is missing"):
        push(tmp_path / "copy", "gait/tiny", has_right=True)
    (tmp_path / "copy/gaitbench.json").write_text(json.dumps({}))
    with pytest.raises(DatasetError, match="not written by gaitbench export"):
        push(tmp_path / "copy", "gait/tiny", has_right=True)
    with pytest.raises(DatasetError, match="is no finished export"):
        push(tmp_path, "gait/tiny", has_right=True)
