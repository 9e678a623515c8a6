"""From a finished run to a folder of pictures, and everything that stands in the way."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gaitbench.dataset import GaitDataset
from gaitbench.errors import DatasetError, ModelError, OutputError, RecordError, UnknownNameError, UsageError
from gaitbench.explaining.explain import explain_run
from gaitbench.explaining.explanation import Explanation
from gaitbench.registry import Registry
from gaitbench.runner import ScoredOn, load_trained, run
from gaitbench.store import open_or_prepare

SUPPORT = Path(__file__).parents[1] / "support"
sys.path.insert(0, str(SUPPORT))

import tiny_plugin  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("cache")
    patch.setenv("GAITBENCH_CACHE", str(folder))
    patch.setenv("GAITBENCH_QUIET", "1")
    yield folder
    patch.undo()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Path:
    """An ordinary run and one of another test set, of a model that explains, and one of a model that does not."""
    out = tmp_path_factory.mktemp("runs")
    run("identity", ["tiny-shown"], "tiny", preset="shown", out=out, test_dataset=["tiny", "other"], registry=registry)
    run("identity", ["tiny-mean"], "tiny", out=out, registry=registry)
    return out


@pytest.fixture(scope="module")
def folder(runs: Path) -> Path:
    (found,) = runs.glob("identity/tiny/tiny-shown-*")
    return found


@pytest.fixture(scope="module")
def crossed(runs: Path) -> Path:
    (found,) = runs.glob("identity/other/tiny-shown-*")
    return found


def read(out: Path) -> Explanation:
    return Explanation.model_validate_json((out / "findings.json").read_text())


def test_a_folder_of_pictures_with_a_page(folder: Path, tmp_path: Path, registry: Registry) -> None:
    out = tmp_path / "out"
    found = explain_run(folder, out, model="tiny-shown", num=3, num_frames=4, registry=registry)
    assert read(out) == found
    assert {path.name for path in out.iterdir()} == {*found.files, "findings.json"}
    assert found.is_complete
    assert (found.model, found.preset, found.notes, found.dataset) == (
        "tiny-shown",
        "shown",
        ("for <pictures>",),
        "tiny",
    )
    assert len(found.sequences) == 3
    assert {each.subject for each in found.sequences} <= {"003", "004", "005"}
    for number, each in enumerate(found.sequences, start=1):
        assert each.file == f"{number:03d}-{each.sequence_id}.png"
        assert [row.title for row in each.heatmaps] == ["convolution of silhouette", "mask of silhouette"]
        assert (each.heatmaps[0].rows, each.heatmaps[0].columns) == (16, 16)
        assert (each.heatmaps[0].low, each.heatmaps[0].high) == (each.heatmaps[0].lowest, each.heatmaps[0].highest)
        assert (each.heatmaps[1].low, each.heatmaps[1].high) == (0, 1)
        assert [(told.title, told.text) for told in each.findings] == [("length", f"{each.num_frames} frames & <more>")]
        assert len(each.frames) == 4
        with Image.open(out / each.file) as image:
            assert image.format == "PNG"
            assert image.width > 4 * 192
    page = (out / "index.html").read_text()
    assert page.count("<img") == 3
    assert "frames &amp; &lt;more&gt;" in page


def test_what_is_drawn_is_what_the_weights_see(folder: Path, tmp_path: Path, registry: Registry) -> None:
    name = "004-bg-01-000-2"
    found = explain_run(folder, tmp_path / "out", sequences=[name], registry=registry)
    (each,) = found.sequences
    data = open_or_prepare(registry, "tiny", modalities=["silhouette"])
    row = data.table.sequence_id.tolist().index(name)
    frames = torch.from_numpy(np.asarray(data[row].frames["silhouette"])).float()  # [T, 1, H, W]
    with torch.no_grad():
        answer = load_trained(folder).conv(frames).abs().mean(dim=1)
    assert each.num_frames == len(frames)
    assert each.heatmaps[0].lowest == pytest.approx(float(answer.min()), rel=1e-4)
    assert each.heatmaps[0].highest == pytest.approx(float(answer.max()), rel=1e-4)


def test_training_sequences_on_request(folder: Path, crossed: Path, tmp_path: Path, registry: Registry) -> None:
    for number, place in enumerate((folder, crossed)):
        found = explain_run(place, tmp_path / str(number), split="train", num=2, registry=registry)
        assert {each.subject for each in found.sequences} <= {"000", "001", "002"}
        assert (found.split, found.dataset, found.protocol) == ("train", "tiny", "tiny")


def test_a_run_of_another_test_set(crossed: Path, tmp_path: Path, registry: Registry) -> None:
    found = explain_run(crossed, tmp_path / "out", num=1, registry=registry)
    assert (found.trained_on, found.dataset) == ("tiny", "other")
    assert "tiny -&gt; other" in (tmp_path / "out" / "index.html").read_text()


def test_a_run_of_another_test_set_of_the_same_name(tmp_path: Path, registry: Registry) -> None:
    test = ScoredOn(dataset="tiny", options={"seed": 9})
    run("identity", ["tiny-shown"], "tiny", preset="shown", out=tmp_path / "runs", test_dataset=test, registry=registry)
    found = explain_run(tmp_path / "runs", tmp_path / "out", num=1, registry=registry)
    assert found.notes[-1] == "trained on tiny (seed 0), tested on tiny (seed 9)"


def test_several_modalities_have_their_rows(tmp_path: Path, registry: Registry) -> None:
    run("crossmodal", ["tiny-shown"], "tiny", preset="shown", out=tmp_path / "runs", registry=registry)
    found = explain_run(tmp_path / "runs", tmp_path / "out", num=1, registry=registry)
    assert {row.modality for row in found.sequences[0].heatmaps} == {"silhouette", "lidar-depth"}


def test_the_run_is_found_above_by_its_model(runs: Path, folder: Path, tmp_path: Path, registry: Registry) -> None:
    found = explain_run(runs / "identity" / "tiny", tmp_path / "out", model="tiny-shown", num=1, registry=registry)
    assert found.run_id.startswith(folder.name[-12:])
    with pytest.raises(UsageError, match=r"has 2 finished runs of tiny-shown; give the folder of one:\n"):
        explain_run(runs, tmp_path / "out", model="tiny-shown", registry=registry)
    with pytest.raises(UsageError, match="has 3 finished runs; give the folder"):
        explain_run(runs, tmp_path / "out", registry=registry)


def test_again_replaces_what_was_drawn(folder: Path, tmp_path: Path, registry: Registry) -> None:
    out = tmp_path / "out"
    explain_run(folder, out, num=3, registry=registry)
    (out / ".001.png.1-ab.tmp").write_bytes(b"half")
    found = explain_run(folder, out, num=1, registry=registry)
    assert {path.name for path in out.iterdir()} == {*found.files, "findings.json"}
    assert len(found.files) == 2


def test_a_stop_leaves_a_folder_that_can_be_used_again(
    folder: Path, tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    drawn = []

    def stop(*arguments: object) -> None:
        drawn.append(arguments)
        if len(drawn) == 2:
            raise KeyboardInterrupt

    real = tiny_plugin.TinyShown.explain
    monkeypatch.setattr(tiny_plugin.TinyShown, "explain", lambda self, batch: (stop(batch), real(self, batch))[1])
    with pytest.raises(KeyboardInterrupt):
        explain_run(folder, out, num=3, registry=registry)
    assert not read(out).is_complete
    assert not (out / "index.html").exists()
    monkeypatch.undo()
    monkeypatch.setenv("GAITBENCH_QUIET", "1")


# ---------------------------------------------------------------------------------------------- in the way


def test_a_model_that_cannot_is_told_who_can(runs: Path, tmp_path: Path, registry: Registry) -> None:
    expected = "model 'tiny-mean' cannot show what it looks at; those that can: tiny-shown"
    with pytest.raises(UsageError, match=expected):
        explain_run(tmp_path / "nowhere", tmp_path / "out", model="tiny-mean", registry=registry)
    (plain,) = runs.glob("identity/tiny/tiny-mean-*")
    with pytest.raises(UsageError, match=expected):
        explain_run(plain, tmp_path / "out", registry=registry)
    with pytest.raises(UnknownNameError, match="Did you mean 'tiny-shown'"):
        explain_run(plain, tmp_path / "out", model="tiny-show", registry=registry)
    assert not (tmp_path / "out").exists()


def test_wrong_models_and_wrong_sequences(folder: Path, crossed: Path, tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(UsageError, match=r"has no sequence '004-bg-01-000'; did you mean '004-bg-01-000-2'"):
        explain_run(folder, tmp_path / "out", sequences=["004-bg-01-000"], registry=registry)
    with pytest.raises(UsageError, match="the test part of tiny has no sequence '000-bg-01-000-2'"):
        explain_run(folder, tmp_path / "out", sequences=["000-bg-01-000-2"], registry=registry)
    for name in ("num", "num_frames"):
        with pytest.raises(UsageError, match=f"{name} must be 1 or more, got 0"):
            explain_run(folder, tmp_path / "out", registry=registry, **{name: 0})
    assert not (tmp_path / "out").exists()


def test_a_protocol_of_another_gaitbench_is_told(folder: Path, tmp_path: Path, registry: Registry) -> None:
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    record = json.loads((copy / "record.json").read_text())
    record["data"]["protocol"]["new_field"] = 1
    (copy / "record.json").write_text(json.dumps(record))
    with pytest.raises(RecordError, match=r"record\.json was written by another gaitbench .*new_field.*run the cell"):
        explain_run(copy, tmp_path / "out", registry=registry)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("record.json", "the run is not finished"),
        ("model.json", "holds no trained model"),
        ("model.safetensors", "model.safetensors"),
        ("plan.json", "plan.json is missing"),
    ],
)
def test_unfinished_runs(folder: Path, tmp_path: Path, registry: Registry, harm: str, message: str) -> None:
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    (copy / harm).unlink()
    with pytest.raises(RecordError, match=message):
        explain_run(copy, tmp_path / "out", registry=registry)
    assert not (tmp_path / "out" / "index.html").exists()


def test_folders_without_a_run(runs: Path, tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(RecordError, match="is no folder"):
        explain_run(tmp_path / "nowhere", tmp_path / "out", registry=registry)
    with pytest.raises(RecordError, match="holds no finished run"):
        explain_run(tmp_path, tmp_path / "out", registry=registry)
    training = next(runs.glob("trainings/tiny/tiny-shown-*"))
    with pytest.raises(RecordError, match="only a training lies here"):
        explain_run(training, tmp_path / "out", registry=registry)


@pytest.mark.parametrize("ours", [False, True])
def test_foreign_files_are_not_touched(folder: Path, tmp_path: Path, registry: Registry, ours: bool) -> None:
    out = tmp_path / "out"
    if ours:
        explain_run(folder, out, num=1, registry=registry)
    out.mkdir(exist_ok=True)
    (out / "thesis.tex").write_text("precious")
    (out / "data").mkdir()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    with pytest.raises(OutputError, match="holds 'data' and 1 more, which no explanation wrote"):
        explain_run(folder, out, num=1, registry=registry)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(OutputError, match="is a file"):
        explain_run(folder, file, registry=registry)


def test_other_data_than_the_runs_are_refused(folder: Path, tmp_path: Path, registry: Registry) -> None:
    from tiny_dataset import prepare_tiny

    same = prepare_tiny(tmp_path / "same").root
    assert explain_run(folder, tmp_path / "out", data=same, num=1, registry=registry).is_complete
    other = prepare_tiny(tmp_path / "other", num_subjects=7).root
    assert len(GaitDataset.open(other)) > len(GaitDataset.open(same))
    with pytest.raises((DatasetError, UsageError), match=r"other sequences than those of run|prepared with"):
        explain_run(folder, tmp_path / "out", data=other, registry=registry)


def test_what_a_model_shows_wrongly_is_its_fault(
    folder: Path, tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_plugin.TinyShown, "explain", lambda _self, _batch: [])
    with pytest.raises(ModelError, match=r"TinyShown\.explain shows nothing"):
        explain_run(folder, tmp_path / "out", registry=registry)


def test_the_findings_are_plain_json(folder: Path, tmp_path: Path, registry: Registry) -> None:
    explain_run(folder, tmp_path / "out", num=1, registry=registry)
    content = json.loads((tmp_path / "out" / "findings.json").read_text())
    assert content["kind"] == "gaitbench explanation"
    assert str(tmp_path) not in json.dumps(content)
