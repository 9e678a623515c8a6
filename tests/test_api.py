import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from places import REPOSITORY

import gaitbench
from gaitbench import api
from gaitbench.dataset import GaitDataset
from gaitbench.errors import DatasetError, UnknownNameError, UsageError
from gaitbench.progress import quiet

SMALL = {
    "num_train_subjects": 2,
    "num_test_subjects": 2,
    "conditions": ("nm-01",),
    "views_deg": (0, 90),
    "num_frames": 4,
}


@pytest.mark.parametrize("name", api.__all__)
def test_every_function_is_exported_documented_and_typed(name: str) -> None:
    function = getattr(gaitbench, name)
    assert function is getattr(api, name)
    assert name in dir(gaitbench)
    assert inspect.getdoc(function)
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(each.annotation is not inspect.Parameter.empty for each in signature.parameters.values())


def test_functions_stay_functions_when_modules_are_imported() -> None:
    code = (
        "import gaitbench.prepare, gaitbench.info, gaitbench.doctor, gaitbench\n"
        "from gaitbench.prepare import prepare\n"
        "import inspect\n"
        "assert all(inspect.isfunction(f) for f in (gaitbench.prepare, gaitbench.info, gaitbench.doctor))\n"
        "assert gaitbench.prepare is not prepare"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY)


def test_no_such_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = gaitbench.nothing


def test_run_has_the_arguments_of_the_runner() -> None:
    from gaitbench.runner import run

    ours, theirs = (inspect.signature(function).parameters for function in (api.run, run))
    assert [name for name in theirs if name != "registry"] == list(ours)
    assert {n: p.default for n, p in ours.items() if n not in ("out", "options", "set")} == {
        n: p.default for n, p in theirs.items() if n not in ("out", "options", "set", "registry")
    }


def test_load_generates_once_and_caches(gaitbench_cache: Path) -> None:
    with quiet():
        first = gaitbench.load("walkers", **SMALL)
        (folder,) = (gaitbench_cache / "datasets").iterdir()
        assert folder.name.startswith("walkers-1")
        stamp = (folder / "dataset.json").stat().st_mtime_ns
        second = gaitbench.load("walkers", **SMALL)
        assert (folder / "dataset.json").stat().st_mtime_ns == stamp
        assert first.fingerprint(["silhouette"]) == second.fingerprint(["silhouette"])
        assert first.modalities == ("silhouette",)
        other = gaitbench.load("walkers", **{**SMALL, "seed": 1})
        assert other.root != first.root
        more = gaitbench.load("walkers", modalities=["silhouette", "skeleton3d"], **SMALL)
    assert more.root == first.root
    assert set(more.modalities) == {"silhouette", "skeleton3d"}
    assert isinstance(gaitbench.load(str(folder)), GaitDataset)


def test_prepare_without_a_folder_fills_the_cache(gaitbench_cache: Path) -> None:
    with quiet():
        made = gaitbench.prepare("walkers", modalities=["skeleton3d"], options=SMALL)
        assert made.root.parent == gaitbench_cache / "datasets"
        assert gaitbench.load("walkers", modalities=["skeleton3d"], **SMALL).root == made.root


def test_load_from_a_folder_of_its_own(tmp_path: Path, gaitbench_cache: Path) -> None:
    with quiet():
        made = gaitbench.load("walkers", root=tmp_path / "w", **SMALL)
        assert made.root == tmp_path / "w"
        assert not gaitbench_cache.exists()
        # What is prepared is opened as it is; its options need not be said again.
        assert gaitbench.load("walkers", root=tmp_path / "w").card.options["num_train_subjects"] == 2
        assert gaitbench.load("walkers", source=tmp_path / "w").root == tmp_path / "w"
        more = gaitbench.load("walkers", root=tmp_path / "w", modalities=["skeleton3d"])
        assert set(more.modalities) == {"silhouette", "skeleton3d"}
        assert more.card.options["num_train_subjects"] == 2
    with pytest.raises(UsageError, match="prepared with num_train_subjects=2, you ask for 3"):
        gaitbench.load("walkers", root=tmp_path / "w", num_train_subjects=3)
    with pytest.raises(DatasetError, match="has no rgb"):
        gaitbench.load("walkers", source=tmp_path / "w", modalities=["rgb"])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": "walker"}, UnknownNameError, "Did you mean 'walkers'"),
        ({"name": "walkers", "modalities": ["lida"]}, UsageError, "did you mean 'lidar'"),
        ({"name": "walkers", "spraed": 1}, UsageError, "did you mean 'spread'"),
        ({"name": "walkers", "num_frames": 0}, UsageError, "'num_frames'.*greater than 0, got 0"),
        (
            {"name": "walkers", "conditions": ["xx-01"]},
            UsageError,
            r"option 'conditions': unknown conditions \['xx-01'\]; choose from .*, got \['xx-01'\]\.$",
        ),
        ({"name": "walkers", "num_train_subjects": 9999}, UsageError, "^dataset 'walkers': more than 9999 .* names.$"),
        ({"name": "walkers", "source": "/no/such/folder"}, DatasetError, "/no/such/folder is no folder"),
    ],
)
def test_load_errors(arguments: dict[str, object], error: type[Exception], message: str, gaitbench_cache: Path) -> None:
    with pytest.raises(error, match=message):
        gaitbench.load(**arguments)  # type: ignore[arg-type]
    assert not gaitbench_cache.exists()


def test_prepare_then_verify(tmp_path: Path) -> None:
    with quiet():
        dataset = gaitbench.prepare("walkers", out=tmp_path / "w", modalities=["silhouette"], workers=1, options=SMALL)
    assert len(dataset) == 8
    assert gaitbench.verify(tmp_path / "w").is_sound
    (shard,) = (tmp_path / "w" / "streams" / "silhouette").glob("*.arrow")
    shard.write_bytes(shard.read_bytes()[:-10])
    report = gaitbench.verify(tmp_path / "w")
    assert not report.is_sound
    assert shard.name in report.problems[0]


@pytest.mark.slow
def test_preview(tmp_path: Path) -> None:
    from PIL import Image

    with quiet():
        assert gaitbench.preview("walkers", tmp_path / "sheet.png") == tmp_path / "sheet.png"
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.format == "PNG"
        assert min(image.size) > 100


def test_info_kinds() -> None:
    assert [each.kind for each in gaitbench.info("walkers")] == ["dataset", "protocol"]
    assert [each.kind for each in gaitbench.info("walkers", "protocol")] == ["protocol"]
    (task,) = gaitbench.info("identity", "task")
    labels = {detail.label: detail.lines for detail in task.details}
    assert "rank_1" in labels["metrics"][0]
    with pytest.raises(UnknownNameError, match="nothing is called 'xyzzy'"):
        gaitbench.info("xyzzy")


def test_list_plugins_begins_with_core() -> None:
    assert gaitbench.list_plugins()[0].distribution == "gaitbench"
