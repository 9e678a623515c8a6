"""From the embeddings of a finished run to its space: found, checked, measured and drawn."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gaitbench.checkpoint import load_tensors, save_tensors
from gaitbench.cli import main
from gaitbench.errors import RecordError, UsageError
from gaitbench.explaining.explain import explain_run
from gaitbench.explaining.explanation import Explanation
from gaitbench.explaining.finished_run import find_run
from gaitbench.explaining.gap import ModalityGap, modality_gap
from gaitbench.explaining.shared_space import principal_plane, shared_space
from gaitbench.explaining.space_picture import draw_space
from gaitbench.registry import Registry
from gaitbench.runner import run
from gaitbench.sequence import SequenceInfo
from gaitbench.table import SequenceTable


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setenv("GAITBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    patch.setenv("GAITBENCH_QUIET", "1")
    yield
    patch.undo()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Path:
    """A cross-modal run of a model that explains, one of a model that does not, and one of another task."""
    out = tmp_path_factory.mktemp("runs")
    run("crossmodal", ["tiny-shown"], "tiny", preset="shown", out=out, registry=registry)
    run("crossmodal", ["tiny-net"], "tiny", out=out, registry=registry)
    run("identity", ["tiny-net"], "tiny", out=out, registry=registry)
    return out


def test_a_model_that_explains_gets_both(runs: Path, tmp_path: Path, registry: Registry) -> None:
    out = tmp_path / "out"
    found = explain_run(runs, out, model="tiny-shown", num=2, registry=registry)
    assert Explanation.model_validate_json((out / "findings.json").read_text()) == found
    assert {path.name for path in out.iterdir()} == {*found.files, "findings.json"}
    assert len(found.sequences) == 2
    assert found.space is not None
    assert found.space.gap.modalities == ("silhouette", "lidar-depth")
    with Image.open(out / found.space.file) as image:
        assert image.width > 1000
    page = (out / "index.html").read_text()
    assert page.count("<img") == 3
    assert "modality gap" in page
    # Again, into the folder that holds its own picture of the space.
    assert explain_run(runs, out, model="tiny-shown", num=1, registry=registry).space == found.space


def test_a_model_that_does_not_explain_has_a_space_too(runs: Path, tmp_path: Path, registry: Registry) -> None:
    found = explain_run(runs / "crossmodal", tmp_path / "out", model="tiny-net", registry=registry)
    assert found.sequences == ()
    assert found.space is not None
    assert "Frames as the model" not in (tmp_path / "out" / "index.html").read_text()
    with pytest.raises(UsageError, match="'tiny-net' cannot show what it looks at"):
        explain_run(
            runs / "crossmodal", tmp_path / "other", model="tiny-net", sequences=["003-nm-01-000"], registry=registry
        )
    with pytest.raises(UsageError, match="'tiny-net' cannot show what it looks at"):
        explain_run(runs / "identity", tmp_path / "other", registry=registry)
    for given, flag in (({"split": "train"}, "--split train"), ({"num": 8}, "--num"), ({"num_frames": 8}, "--frames")):
        with pytest.raises(UsageError, match=f"the test embeddings alone is drawn; leave {flag} out"):
            explain_run(runs / "crossmodal", tmp_path / "other", model="tiny-net", registry=registry, **given)
    assert not (tmp_path / "other").exists()


def test_the_gap_is_that_of_the_stored_embeddings(runs: Path, registry: Registry) -> None:
    found = find_run(runs / "crossmodal", registry, "tiny-net")
    space = shared_space(found)
    stored = load_tensors(found.folder / "embeddings.safetensors")
    assert set(space.embeddings) == set(stored)
    assert set(space.table.subject_id.tolist()) == {"003", "004", "005"}
    assert space.gap() == modality_gap(space.embeddings, space.table)


def test_the_command_tells_the_gap(
    runs: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gaitbench.registry.load_registry", lambda: registry)
    words = ["gap", str(runs / "crossmodal"), "--model", "tiny-net"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "within silhouette" in text
    assert "silhouette to lidar-depth" in text
    assert main([*words, "--json", "--limit", "8"]) == 0
    found = ModalityGap.model_validate_json(capsys.readouterr().out)
    assert found.num_compared <= 8
    assert main(["gap", str(runs / "identity")]) == 2
    assert "is of task identity" in capsys.readouterr().err


def test_embeddings_that_are_not_the_runs_are_refused(runs: Path, tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(UsageError, match="of task identity, which has no modalities to compare"):
        shared_space(find_run(runs / "identity", registry))
    found = find_run(runs / "crossmodal", registry, "tiny-net")
    path, info = found.folder / "embeddings.safetensors", found.folder / "embeddings.json"
    before, about = path.read_bytes(), info.read_text()
    try:
        path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        with pytest.raises(RecordError, match="damaged or altered"):
            shared_space(found)
        path.unlink()
        with pytest.raises(RecordError, match=r"embeddings\.safetensors is missing.*once record\.json is removed"):
            shared_space(found)
        path.write_bytes(before)
        short = {name: tensor[1:].clone() for name, tensor in load_tensors(path).items()}
        sha256 = save_tensors(path, short)
        info.write_text(json.dumps({**json.loads(about), "sha256": sha256}))
        with pytest.raises(RecordError, match=r"and the run's test part \d+ sequences"):
            shared_space(found)
        info.write_text(json.dumps({**json.loads(about), "run_id": "0" * 64}))
        with pytest.raises(RecordError, match="is missing, damaged or of another run"):
            shared_space(found)
    finally:
        path.write_bytes(before)
        info.write_text(about)


def test_the_plane_is_that_of_a_full_decomposition() -> None:
    rng = torch.Generator().manual_seed(0)
    spread = torch.tensor([9.0, 5.0, 1.0, 0.5, 0.2, 0.1]).reshape(3, 2)
    embeddings = {name: torch.randn(20, 3, 2, generator=rng) * spread for name in ("rgb", "lidar")}
    plane = principal_plane(embeddings)
    flat = torch.cat(list(embeddings.values())).flatten(1).double()
    flat = flat - flat.mean(dim=0)
    _, values, directions = torch.linalg.svd(flat, full_matrices=False)
    expected = (flat @ directions[:2].T).numpy()
    got = np.concatenate([plane.places["rgb"], plane.places["lidar"]])
    np.testing.assert_allclose(np.abs(got), np.abs(expected), atol=1e-6)
    shares = (values.square() / values.square().sum())[:2].tolist()
    assert plane.shares == pytest.approx(shares)
    again = principal_plane(embeddings)
    np.testing.assert_array_equal(again.places["rgb"], plane.places["rgb"])


@pytest.mark.parametrize(
    "embedding",
    [
        pytest.param(torch.zeros(4, 3, 1), id="all-at-one-place"),
        pytest.param(torch.arange(4.0)[:, None, None], id="one-number"),
    ],
)
def test_degenerate_spaces_can_be_drawn(embedding: torch.Tensor) -> None:
    names = ["b", "b", "a<b", "a<b"]
    rows = [SequenceInfo(sequence_id=str(i), subject_id=s, condition="nm", view="0") for i, s in enumerate(names)]
    embeddings = dict.fromkeys(("rgb", "lidar", "radar"), embedding)
    gap = modality_gap(embeddings, SequenceTable.from_infos(rows))
    image = draw_space(principal_plane(embeddings), names, gap, "heading", "subtitle")
    assert image.mode == "RGB"
    assert len(np.unique(np.asarray(image).reshape(-1, 3), axis=0)) > 20


def test_marks_have_the_colour_of_their_modality() -> None:
    left = torch.tensor([[-1.0, 0.5], [-1.0, -0.5]])[..., None]
    embeddings = {"rgb": left, "lidar": -left}
    rows = [SequenceInfo(sequence_id=s, subject_id=s, condition="nm", view="0") for s in "ab"]
    gap = modality_gap(embeddings, SequenceTable.from_infos(rows))
    pixels = np.asarray(draw_space(principal_plane(embeddings), ["a", "b"], gap, "", "")).astype(int)
    panel = pixels[120:600, 30:540]
    blue = np.abs(panel - (0, 114, 178)).sum(axis=-1) < 120
    orange = np.abs(panel - (213, 94, 0)).sum(axis=-1) < 120
    assert np.nonzero(blue)[1].max() < np.nonzero(orange)[1].min(), "rgb lies left of lidar"
