"""From a finished run to pictures of what its model looks at, with a page and the numbers behind them.

::

    OUT/index.html              everything on one page, pictures included
    OUT/space.png               of a cross-modal run: the space that its modalities share
    OUT/001-SEQUENCE.png ...    a sequence each
    OUT/findings.json           what was drawn; written first as a list of what will be, and last as a whole

Axes: N batch, C channels, T frames, H rows, W columns; h, w rows and columns of a heatmap.
"""

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image

from gaitbench import atomic
from gaitbench.clips import check_inputs, test_batches
from gaitbench.dataset import GaitDataset
from gaitbench.errors import OutputError, PluginError, UsageError
from gaitbench.explaining.asking import explain_batch
from gaitbench.explaining.choice import choose_rows, rows_of_ids, spread_frames
from gaitbench.explaining.explanation import (
    FINDINGS_FILE,
    DrawnHeatmap,
    DrawnSpace,
    ExplainedSequence,
    Explanation,
    Told,
)
from gaitbench.explaining.finished_run import FinishedRun, Split, check_explains, find_run
from gaitbench.explaining.interface import Explainable, Finding
from gaitbench.explaining.page import explanation_page
from gaitbench.explaining.picture import Layer, Strip, draw_sheet, frame_pictures
from gaitbench.explaining.shared_space import SHARING_TASK, SharedSpace, principal_plane, shared_space, shares_a_space
from gaitbench.explaining.space_picture import draw_space
from gaitbench.model import GaitBatch, GaitModel
from gaitbench.progress import track
from gaitbench.registry import Registry, load_registry
from gaitbench.results import DataProvenance
from gaitbench.runner import load_trained
from gaitbench.sequence import SequenceInfo
from gaitbench.specs import ModelSpec

__all__ = ["PAGE_FILE", "SPACE_FILE", "explain_run"]

PAGE_FILE = "index.html"
"""The page."""
SPACE_FILE = "space.png"
"""The picture of a shared space."""
_NUM_SEQUENCES, _NUM_FRAMES = 8, 8
"""Sequences that are chosen, and frames drawn of each, where nobody says how many."""
_PEOPLE_IN_SPACE, _DRAWN_IN_SPACE = 24, 720
"""People and sequences at most; more would cover each other."""


def explain_run(
    path: Path,
    out: Path,
    *,
    model: str | None = None,
    sequences: Sequence[str] | None = None,
    num: int | None = None,
    split: Split = "test",
    num_frames: int | None = None,
    data: Path | None = None,
    device: torch.device | str = "cpu",
    registry: Registry | None = None,
) -> Explanation:
    """Draw what the model of a finished run looks at; see :func:`gaitbench.explain` for the arguments.

    Of a cross-modal run the space that its modalities share is drawn too, and alone where the model cannot explain.

    Raises:
        UsageError: The model cannot show anything, is not that of the run, or a sequence is not there; or sequences, a
            number of them or of their frames, or the training part are asked for of a model that shows none.
        RecordError: There is no finished run with weights.
        DatasetError: Its data are not there, or have changed.
        ModelError: What the model shows breaks its contract.
        OutputError: The folder cannot be written, or holds something else.
    """
    for name, value in (("num", num), ("num_frames", num_frames)):
        if value is not None and value < 1:
            raise UsageError(f"{name} must be 1 or more, got {value}")
    if split not in ("test", "train"):
        raise UsageError(f"split must be test or train, got {split!r}")
    registry = registry or load_registry()
    if model is not None and not _may_share_a_space(registry, model):
        check_explains(registry, model)
    run = find_run(path, registry, model)
    space = None
    if not shares_a_space(run) or sequences is not None:
        check_explains(registry, run.record.model.name)
    earlier = _earlier_files(out)
    num_drawn = _NUM_FRAMES if num_frames is None else num_frames
    if shares_a_space(run):
        explains = _spec(registry, run.record.model.name).explains
        given = {"--split train": split != "test", "--num": num is not None, "--frames": num_frames is not None}
        if not explains and any(given.values()):
            raise UsageError(
                f"model {run.record.model.name!r} cannot show what it looks at, so that of its run the space of the "
                f"test embeddings alone is drawn; leave {', '.join(flag for flag in given if given[flag])} out."
            )
        space = shared_space(run, data)
        if not explains:
            _clear(out, earlier)
            return _draw(run, None, None, out, split, num_drawn, device, space)
    network = load_trained(run.folder)
    # What a worn head goes on from is what the model inside looks at.
    network = network.model_inside or network
    if not isinstance(network, Explainable):
        raise PluginError(
            f"model {run.record.model.name!r} says that it explains, and {type(network).__name__} is no "
            "gaitbench.explaining.Explainable; derive it from that, or set explains=False in its spec"
        )
    inputs = [spec for spec in network.inputs if not spec.is_for_training]
    dataset = run.open_data(split, tuple(spec.modality for spec in inputs), data)
    check_inputs(dataset, inputs)
    part = f"the {split} part of {run.record.data.name}"
    if sequences is None:
        rows = choose_rows(dataset.table, _NUM_SEQUENCES if num is None else num)
    else:
        rows = rows_of_ids(dataset.table, sequences, part)
    _clear(out, earlier)
    return _draw(run, network.to(device), dataset.take(rows), out, split, num_drawn, device, space)


def _spec(registry: Registry, name: str) -> ModelSpec:
    spec = registry.get("model", name)
    assert isinstance(spec, ModelSpec)
    return spec


def _may_share_a_space(registry: Registry, name: str) -> bool:
    """Tell whether there can be runs of a model whose space is drawn, even where it does not explain."""
    return SHARING_TASK in _spec(registry, name).tasks


def _clear(out: Path, earlier: Sequence[str]) -> None:
    atomic.make_folder(out)
    with atomic.output_errors(out):
        for name in earlier:
            (out / name).unlink(missing_ok=True)


class _Explained(NamedTuple):
    sequence: ExplainedSequence
    strips: tuple[Strip, ...]


def _draw(
    run: FinishedRun,
    network: GaitModel | None,
    dataset: GaitDataset | None,
    out: Path,
    split: Split,
    num_frames: int,
    device: torch.device | str,
    space: SharedSpace | None,
) -> Explanation:
    infos = [] if dataset is None else [dataset.table.info(row) for row in range(len(dataset))]
    names = [f"{number:03d}-{_word(info.sequence_id)}.png" for number, info in enumerate(infos, start=1)]
    record = run.record
    trained_on = record.data.trained_on
    found = Explanation(
        is_complete=False,
        run_id=record.run_id,
        model=record.model.name,
        preset=record.model.preset,
        changes=record.model.changes,
        fidelity=record.model.fidelity,
        notes=tuple(
            filter(
                None, (record.model.says, *(t.says for t in record.model.towers if t.is_stand_in), _apart(record.data))
            )
        ),
        task=record.task,
        dataset=record.data.name if split == "test" or trained_on is None else trained_on.name,
        dataset_version=record.data.version if split == "test" or trained_on is None else trained_on.version,
        trained_on=record.data.name if trained_on is None else trained_on.name,
        protocol=str(record.data.protocol["name"]) if split == "test" or trained_on is None else trained_on.protocol,
        split=split,
        seed=record.training.seed,
        files=(*names, *([] if space is None else [SPACE_FILE]), PAGE_FILE),
    )
    _write(out, found)
    limit = record.training.recipe.get("max_test_frames")
    explained: list[ExplainedSequence] = []
    pictures: dict[str, bytes] = {}
    drawn = None
    if space is not None:
        drawn, pictures[SPACE_FILE] = _draw_space(run, space)
        atomic.write_bytes(out / SPACE_FILE, pictures[SPACE_FILE])
    with track(len(infos), f"explain {record.model.name}") as bar:
        for row, (info, name) in enumerate(zip(infos, names, strict=True)):
            assert network is not None
            assert dataset is not None
            # One at a time: what is shown of a sequence then depends on nothing else, and memory stays small.
            ((_, batch),) = test_batches(
                dataset.take([row]),
                [spec for spec in network.inputs if not spec.is_for_training],
                max_frames=limit if isinstance(limit, int) else None,
                frames_per_batch=1,
                padding=network.padding,
                device=device,
            )
            sequence, strips = _explain(network, batch, info, num_frames)
            if strips:
                about = f"subject {info.subject_id}, condition {info.condition}, view {info.view}"
                heading = f"{info.sequence_id}: {record.model.name} ({record.model.configured}) on {found.dataset}"
                image = draw_sheet(strips, sequence.frames, heading, f"{about}, {sequence.num_frames} frames")
                pictures[name] = _png(image)
                atomic.write_bytes(out / name, pictures[name])
                sequence = sequence.model_copy(update={"file": name})
            explained.append(sequence)
            bar.advance()
    found = found.model_copy(
        update={"is_complete": True, "sequences": tuple(explained), "files": (*pictures, PAGE_FILE), "space": drawn}
    )
    atomic.write_text(out / PAGE_FILE, explanation_page(found, pictures))
    _write(out, found)
    return found


def _apart(data: DataProvenance) -> str:
    """What tells the data that were trained on from those of the test, where both have one name."""
    source = data.trained_on
    if source is None or source.name != data.name:
        return ""
    names = [key for key in {**source.options, **data.options} if source.options.get(key) != data.options.get(key)]
    ends = [
        ", ".join(f"{key} {options[key]}" for key in names if key in options) or f"protocol {protocol}"
        for options, protocol in ((source.options, source.protocol), (data.options, data.protocol["name"]))
    ]
    return f"trained on {data.name} ({ends[0]}), tested on {data.name} ({ends[1]})"


def _draw_space(run: FinishedRun, space: SharedSpace) -> tuple[DrawnSpace, bytes]:
    gap, shown = space.gap(), space.sample(_PEOPLE_IN_SPACE, _DRAWN_IN_SPACE)
    plane = principal_plane(shown.embeddings)
    about = run.record.model
    heading = f"The space of {about.name} ({about.configured}): {', '.join(space.embeddings)}"
    subtitle = f"{len(shown.table.subject_id)} of {gap.num_sequences} test sequences of {run.record.data.name}"
    image = draw_space(plane, shown.table.subject_id.tolist(), gap, heading, subtitle)
    drawn = DrawnSpace(file=SPACE_FILE, num_drawn=len(shown.table.subject_id), shares=plane.shares, gap=gap)
    return drawn, _png(image)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _explain(network: GaitModel, batch: GaitBatch, info: SequenceInfo, num_frames: int) -> _Explained:
    shown = explain_batch(network, batch)
    real = int(next(iter(batch.num_frames.values()))[0])
    frames = spread_frames(real, num_frames)
    drawn: list[DrawnHeatmap] = []
    layers: dict[str, list[Layer]] = {}
    for found in shown:
        if isinstance(found, Finding):
            continue
        values = found.values[0, :real].detach().float().cpu().numpy()
        lowest, highest = float(values.min()), float(values.max())
        low, high = found.limits or (lowest, highest)
        _, rows, columns = values.shape
        drawn.append(
            DrawnHeatmap(
                title=found.title,
                modality=found.modality,
                rows=rows,
                columns=columns,
                low=low,
                high=high,
                lowest=lowest,
                highest=highest,
            )
        )
        layers.setdefault(found.modality, []).append(Layer(found.title, values[list(frames)], low, high))
    strips = tuple(
        Strip(name, frame_pictures(batch.inputs[name][0][:, list(frames)].float().cpu().numpy()), tuple(found))
        for name, found in layers.items()
    )
    told = tuple(Told(title=f.title, text=f.texts[0]) for f in shown if isinstance(f, Finding))
    sequence = ExplainedSequence(
        sequence_id=info.sequence_id,
        subject=info.subject_id,
        condition=info.condition,
        view=info.view,
        num_frames=real,
        frames=frames,
        heatmaps=tuple(drawn),
        findings=told,
    )
    return _Explained(sequence, strips)


def _earlier_files(out: Path) -> tuple[str, ...]:
    """What an earlier explanation left in a folder.

    Raises:
        OutputError: The folder holds anything else.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; name a folder with --out")
    there = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    try:
        earlier = Explanation.model_validate(json.loads((out / FINDINGS_FILE).read_bytes()))
        ours = {FINDINGS_FILE, *earlier.files}
    except (OSError, ValueError):
        ours = set()
    # A process that was killed may have left a file half written.
    if foreign := [name for name in there if name not in ours and not (name.startswith(".") and name.endswith(".tmp"))]:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise OutputError(
            f"{out} holds {foreign[0]!r}{more}, which no explanation wrote; name another folder with --out, or move it "
            "away"
        )
    return tuple(there)


def _write(out: Path, found: Explanation) -> None:
    atomic.write_text(out / FINDINGS_FILE, found.model_dump_json(indent=1) + "\n")


def _word(text: str) -> str:
    """Text as a part of a file name."""
    return re.sub(r"[^A-Za-z0-9_.+@=-]", "_", text)[:120] or "_"
