"""Everything that the command line does, as functions. Each imports what it needs when it is called."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from gaitbench.errors import UsageError
from gaitbench.hub.address import is_address

if TYPE_CHECKING:
    from gaitbench.annotating.estimate import Estimate
    from gaitbench.annotating.plan import Split
    from gaitbench.annotating.result import Annotated
    from gaitbench.annotating.schema import SchemaName
    from gaitbench.board import ExtraColumn
    from gaitbench.cells.scored_on import ScoredOn
    from gaitbench.dataset import GaitDataset, VerifyReport
    from gaitbench.doctor import Check
    from gaitbench.explaining.explanation import Explanation
    from gaitbench.explaining.gap import ModalityGap
    from gaitbench.features.listing import KeptFeatures
    from gaitbench.hub.exporting import Exported
    from gaitbench.hub.stream import StreamedDataset
    from gaitbench.info import ComponentInfo
    from gaitbench.leaderboard import Leaderboard
    from gaitbench.point_viewer import ViewedSequence
    from gaitbench.quarantine import PluginInfo
    from gaitbench.runner import RunResult
    from gaitbench.scoring import Scoring
    from gaitbench.specs import Spec
    from gaitbench.weights import Converted

__all__ = [
    "add_to_leaderboard",
    "annotate",
    "build_leaderboard",
    "check_leaderboard",
    "convert",
    "doctor",
    "embed",
    "estimate_annotation",
    "explain",
    "export",
    "gap",
    "info",
    "list_components",
    "list_features",
    "list_plugins",
    "load",
    "new_plugin",
    "prepare",
    "preview",
    "rank_runs",
    "remove_features",
    "run",
    "score",
    "show_leaderboard",
    "submit",
    "verify",
    "view3d",
]

PathLike = str | Path


def run(
    task: str,
    models: Sequence[str] | None = None,
    dataset: str | None = None,
    *,
    data: PathLike | None = None,
    preset: str = "quick",
    seeds: Sequence[int] = (0,),
    protocol: str | None = None,
    partition: PathLike | Mapping[str, object] | None = None,
    options: Mapping[str, object] | None = None,
    set: Mapping[str, object] | None = None,  # noqa: A002
    out: PathLike = "runs",
    device: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    precision: str | None = None,
    cache: str = "none",
    feature_cache: bool = False,
    allow_partial: bool = False,
    force: bool = False,
    jobs: int = 1,
    test_dataset: "str | ScoredOn | Sequence[str | ScoredOn] | None" = None,
    test_data: PathLike | Sequence[PathLike] | Mapping[str, PathLike] | None = None,
    test_options: Mapping[str, object] | None = None,
    test_protocol: str | Mapping[str, str] | None = None,
    test_partition: PathLike | Mapping[str, object] | None = None,
    append_attributes: str = "",
    append_weight: float = 1.0,
) -> "RunResult":
    """Train and score models under an official protocol; finished work is reused, unfinished work resumed.

    Args:
        task: ``identity``, ``crossmodal``, ``attribute`` or a plugin's.
        models: Names; None for every installed model that fits task and dataset.
        dataset: Name, or a dataset repository (``hf:ORG/NAME``, ``hf:FOLDER``); None for the embedded walkers.
        data: Folder of the official files, or of a prepared dataset.
        preset: ``quick`` (small, for a CPU), ``paper`` (as published) or a plugin's.
        seeds: One run per model and seed.
        protocol: Name; None for the dataset's first one.
        partition: JSON file of the official lists, or its content, for protocols that have explicit ones. What the
            lists say enters the run's hash and its record; where the file lies does not.
        options: Of the dataset, such as ``{"seed": 1}``.
        set: Fields of the models' configs to change.
        out: Folder of the runs, each named by a hash of everything that determines its result.
        device: ``auto``, ``cpu`` or ``cuda``.
        devices: Per node.
        nodes: Machines.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``; None for the recipe's.
        cache: Where packed training frames wait: ``none`` (in the memory-mapped files), ``ram`` or ``device``.
        feature_cache: Compute what a frozen tower gives once per frame, and keep it on disk for this and other runs.
        allow_partial: Go on with missing subjects; the result is marked and kept off the ranking.
        force: Run again what is finished.
        jobs: Processes that run independent models and seeds side by side.
        test_dataset: Other data whose test sets are scored, under their own protocols: names, dataset repositories, or
            :class:`gaitbench.runner.ScoredOn`. Each model is trained once, on the training part of ``dataset``. None
            for the test set of ``dataset`` itself, which may be named among others.
        test_data: Folder of the test data's files; with several test datasets a mapping from their names, and so below,
            or a folder for each in their order.
        test_options: Of the test dataset; nothing is taken over from ``options``.
        test_protocol: Name; None for the test dataset's first one.
        test_partition: As ``partition``, of the test dataset.
        append_attributes: Append attributes to the embeddings before they are compared: ``true`` for the labels of the
            test sequences (such rows are marked and ranked apart), ``predicted`` for what the same model tells with the
            attribute head, which is trained for it, or ``predicted:MODEL``.
        append_weight: What a positive label stands as there; the others are 0.

    Returns:
        Records, their folders, and what failed.

    Raises:
        GaitbenchError: Nothing could be run; failures of single models are in the result.
    """
    from gaitbench.cells.scored_on import scored_on
    from gaitbench.runner import run as run_cells

    if dataset is not None and is_address(dataset):
        from gaitbench.hub.running import repository_for_run
        from gaitbench.registry import load_registry

        if data is not None:
            raise UsageError(f"{dataset} says where its files are; leave the folder {data} out (--data, data=).")
        dataset, data = repository_for_run(load_registry(), dataset, models, options)
        options = None
    tests = scored_on(test_dataset, test_data, test_options, test_protocol, test_partition)
    return run_cells(
        task,
        models=None if models is None else list(models),
        dataset=dataset,
        data=None if data is None else Path(data),
        preset=preset,
        seeds=tuple(seeds),
        protocol=protocol,
        partition=partition,
        options=dict(options or {}),
        set=dict(set or {}),
        out=Path(out),
        device=device,
        devices=devices,
        nodes=nodes,
        precision=precision,
        cache=cache,
        feature_cache=feature_cache,
        allow_partial=allow_partial,
        force=force,
        jobs=jobs,
        test_dataset=[_without_address(test, models) for test in tests],
        append_attributes=append_attributes,
        append_weight=append_weight,
    )


@overload
def load(
    name: str,
    *,
    modalities: Sequence[str] | None = None,
    source: PathLike | None = None,
    root: PathLike | None = None,
    streaming: Literal[False] = False,
    **options: object,
) -> "GaitDataset": ...


@overload
def load(
    name: str,
    *,
    modalities: Sequence[str] | None = None,
    source: PathLike | None = None,
    root: PathLike | None = None,
    streaming: Literal[True],
    **options: object,
) -> "StreamedDataset": ...


def load(
    name: str,
    *,
    modalities: Sequence[str] | None = None,
    source: PathLike | None = None,
    root: PathLike | None = None,
    streaming: bool = False,
    **options: object,
) -> "GaitDataset | StreamedDataset":
    """Open a dataset by name, or a prepared folder; generated and given data is prepared and cached on first ask.

    Args:
        name: Of a registered dataset, the path of a prepared one, or a dataset repository: ``hf:ORG/NAME``,
            ``hf:ORG/NAME@REVISION``, ``hf:FOLDER``.
        modalities: Streams that must be there; None for the dataset's first one and what is prepared already, and for
            all of a repository.
        source: Folder of the official files; generated datasets need none.
        root: Folder of the prepared dataset; None for the cache (``GAITBENCH_CACHE``, default ``~/.cache/gaitbench``).
        streaming: Go through a repository's sequences without preparing it; frames are fetched as they are looked at.
        options: Of the dataset, such as ``seed=1``; of a repository that gaitbench did not write, how its columns are
            read, such as ``columns={"subject": "pid"}``.

    Raises:
        UnknownNameError: No such dataset.
        UsageError: An option or modality that it does not have, or a source that is needed is not given.
        DatasetError: Files are missing, altered, or of another dataset.
    """
    from gaitbench.dataset import GaitDataset
    from gaitbench.registry import load_registry
    from gaitbench.store import is_prepared, open_or_prepare

    if streaming:
        from gaitbench.hub.opening import stream_repository
        from gaitbench.store import cache_root

        if not is_address(name) or source is not None or root is not None:
            raise UsageError(
                f"streaming reads dataset repositories as they lie (hf:ORG/NAME, hf:FOLDER), without source and root; "
                f"got {name!r}. A prepared dataset is memory-mapped: iterate over it."
            )
        return stream_repository(name, cache_root(), modalities=modalities, options=options)
    if is_prepared(Path(name)):
        return GaitDataset.open(Path(name))
    return open_or_prepare(
        load_registry(), name, modalities=modalities, source=_path(source), root=_path(root), options=options
    )


def prepare(
    name: str,
    *,
    out: PathLike | None = None,
    source: PathLike | None = None,
    modalities: Sequence[str] | None = None,
    workers: int | None = None,
    options: Mapping[str, object] | None = None,
    skip_broken: bool = False,
) -> "GaitDataset":
    """Turn a dataset's official files into a prepared dataset, or generate it; resumable and in parallel.

    Args:
        name: Of a registered dataset, or a dataset repository: ``hf:ORG/NAME``, ``hf:FOLDER``.
        out: Folder of the prepared dataset; streams are added to what is there. None for the cache, where ``run``
            looks.
        source: Folder of the official files; generated datasets need none.
        modalities: Streams to prepare; None for all that the source has.
        workers: Processes; None for one per core.
        options: Of the dataset.
        skip_broken: Leave sequences with broken or missing files out instead of stopping at the end.

    Raises:
        GaitbenchError: As :func:`load`; an :class:`gaitbench.errors.OutputError` when ``out`` cannot be written. A
            folder that was finished before and damaged since is told, with the file and the next step.
    """
    from gaitbench.registry import load_registry
    from gaitbench.specs import DatasetSpec
    from gaitbench.store import open_or_prepare, source_modalities

    registry = load_registry()
    if not is_address(name) and not modalities:
        spec = registry.get("dataset", name)
        assert isinstance(spec, DatasetSpec)
        modalities = source_modalities(registry, spec, _path(source), options)
    return open_or_prepare(
        registry,
        name,
        modalities=modalities,
        source=_path(source),
        root=_path(out),
        options=options,
        workers=workers,
        skip_broken=skip_broken,
        is_checked=True,
    )


def export(
    dataset: "PathLike | GaitDataset",
    out: PathLike,
    *,
    to: Literal["hf"] = "hf",
    modalities: Sequence[str] | None = None,
    source: PathLike | None = None,
    options: Mapping[str, object] | None = None,
    push: str | None = None,
    public: bool = False,
    has_right: bool = False,
) -> "Exported":
    """Write a Hugging Face dataset repository, which `datasets` opens without gaitbench, and push it if asked to.

    Args:
        dataset: Name of a dataset, the folder of a prepared one, or an open one.
        out: A new or empty folder, or one in which the same export was begun or finished before.
        to: The form; there is one.
        modalities: Streams to write; None for all.
        source: Folder of the official files, for a name.
        options: Of the dataset, for a name.
        push: ``ORG/NAME`` to upload to, private unless ``public``; the token is that of ``HF_TOKEN`` or of the login.
        public: Let everybody see a repository that is pushed.
        has_right: You may pass the data on although its terms forbid it or say nothing.

    Raises:
        UsageError: Its terms forbid pushing, or a name, option or modality does not exist.
        DatasetError: Files are missing or damaged.
        OutputError: ``out`` cannot be written or holds something else, or the hub refuses.
    """
    from gaitbench.hub.exporting import export_and_push
    from gaitbench.registry import load_registry

    if to != "hf":
        raise UsageError(f"a dataset is exported to hf, not to {to!r}.")
    return export_and_push(
        load_registry(),
        Path(dataset) if isinstance(dataset, Path) else dataset,
        Path(out),
        modalities=modalities,
        source=_path(source),
        options=options,
        repository=push,
        public=public,
        has_right=has_right,
    )


def verify(root: PathLike, *, deep: bool = True) -> "VerifyReport":
    """Check a prepared dataset against its manifest.

    Args:
        root: Folder of the prepared dataset.
        deep: Also hash every frame.

    Raises:
        DatasetError: The folder is no prepared dataset at all; anything milder is in the report.
    """
    from gaitbench.dataset import verify as verify_folder

    return verify_folder(Path(root), deep=deep)


def convert(
    checkpoint: PathLike, model: str, out: PathLike, *, config: Mapping[str, object] | None = None
) -> "Converted":
    """Turn a published checkpoint (an OpenGait state dict) into weights of ours; see :mod:`gaitbench.weights`.

    Args:
        checkpoint: A file of ``torch.save`` or a safetensors file; nothing but tensors is ever loaded from it.
        model: Name of the model.
        out: The safetensors file to write.
        config: Fields of the model's configuration; without it the first preset that fits all shapes is taken.

    Raises:
        GaitbenchError: The checkpoint cannot be read or does not fit; unknown and missing keys are listed.
    """
    from gaitbench.weights import convert_opengait

    return convert_opengait(checkpoint, model, out, config=config)


def embed(
    source: PathLike,
    out: PathLike,
    *,
    model: str | None = None,
    weights: PathLike | None = None,
    data: PathLike | None = None,
    options: Mapping[str, object] | None = None,
    device: str = "auto",
    precision: str = "32-true",
    max_frames: int | None = 720,
) -> Path:
    """Embed a dataset, or raw network inputs, and write the embeddings to a file that :func:`score` reads.

    Args:
        source: Name of a dataset, the folder of a prepared one, or an ``.npz`` file of network inputs.
        out: An ``.npz`` or ``.parquet`` file.
        model: Name of the model; not needed with ``weights``.
        weights: File of :func:`convert`, or the folder of a finished run.
        data: Folder of the dataset's official files.
        options: Options of the dataset.
        device: ``auto``, ``cpu`` or ``cuda``.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``.
        max_frames: Longer sequences of a dataset are cut to their first frames.

    Returns:
        ``out``.

    Raises:
        GaitbenchError: Model, weights and input do not fit, or a file cannot be read or written.
    """
    import torch
    from lightning_fabric import Fabric

    from gaitbench.dataset import GaitDataset
    from gaitbench.embed_source import embed_arrays, embed_dataset, open_model
    from gaitbench.embedding_file import write_embeddings

    _, found = open_model(model, _path(weights))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    fabric = Fabric(accelerator=device, devices=1, precision=precision)  # type: ignore[arg-type]
    path = Path(source)
    if path.suffix == ".npz":
        stored = embed_arrays(found, path, device=fabric.device, autocast=fabric.autocast)
    else:
        modalities = [spec.modality for spec in found.inputs if not spec.is_for_training]
        if (path / "dataset.json").is_file():
            dataset = GaitDataset.open(path)
        else:
            dataset = load(str(source), modalities=modalities, source=data, **dict(options or {}))  # type: ignore[call-overload]
        stored = embed_dataset(found, dataset, max_frames=max_frames, device=fabric.device, autocast=fabric.autocast)
    write_embeddings(Path(out), stored.embeddings, stored.table)
    return Path(out)


def score(
    path: PathLike,
    protocol: str,
    *,
    partition: PathLike | None = None,
    reranking: bool = False,
    distance: Literal["euclidean", "cosine"] | None = None,
    is_strict: bool = False,
    bootstrap: int = 1000,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> "Scoring":
    """Score a file of embeddings under an official protocol, without models or datasets.

    Args:
        path: An ``.npz`` or ``.parquet`` file; see :mod:`gaitbench.embedding_file`.
        protocol: Name of the protocol.
        partition: JSON file of the official lists, for protocols that have explicit ones.
        reranking: Re-rank with k-reciprocal encoding.
        distance: In place of the protocol's own.
        is_strict: Stop when anything sets the file apart from the official test, instead of noting it.
        bootstrap: Resamples of the confidence intervals; 0 for none.
        device: Where to compare and count; ``auto`` takes CUDA when there is one.

    Returns:
        The scores; ``str()`` gives the table.

    Raises:
        GaitbenchError: The file cannot be read, or the protocol does not apply to it.
    """
    from gaitbench.scoring import score_file

    return score_file(
        path,
        protocol,
        partition=partition,
        reranking=reranking,
        distance=distance,
        is_strict=is_strict,
        bootstrap=bootstrap,
        device=device,
    )


def explain(
    run: PathLike,
    out: PathLike,
    *,
    model: str | None = None,
    sequences: Sequence[str] | None = None,
    num: int | None = None,
    split: Literal["test", "train"] = "test",
    num_frames: int | None = None,
    data: PathLike | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> "Explanation":
    """Draw what a trained model looks at: its maps over the frames, with a page to read them.

    Of a cross-modal run the space that its modalities share is drawn too, whether the model explains or not.

    Args:
        run: Folder of a finished run, or one that holds it.
        out: Folder of ``index.html``, a picture per sequence, and ``findings.json``. What an earlier explanation left
            there is replaced.
        model: The run's model, where a folder holds runs of several; None for the only one.
        sequences: Ids; None to have some chosen, of all conditions and of different people.
        num: How many are chosen; None for 8.
        split: The part of the protocol that the sequences are of.
        num_frames: Frames drawn of each sequence, None for 8; the model is given all of it.
        data: Folder of the data; None for where the run found them.
        device: Where to compute.

    Returns:
        What was drawn.

    Raises:
        UsageError: The model cannot show anything (the message names those that can), is not that of the run, a
            sequence is not there, or sequences are asked for, in whatever way, of a model that only has a space.
        RecordError: There is no finished run with weights.
        DatasetError: The run's data are not there, or have changed.
        OutputError: The folder cannot be written, or holds something else.
    """
    from gaitbench.device import device_named
    from gaitbench.explaining.explain import explain_run

    return explain_run(
        Path(run),
        Path(out),
        model=model,
        sequences=sequences,
        num=num,
        split=split,
        num_frames=num_frames,
        data=_path(data),
        device=device_named(device),
    )


def gap(run: PathLike, *, model: str | None = None, data: PathLike | None = None, limit: int = 1500) -> "ModalityGap":
    """Measure how far the modalities of a cross-modal run lie from each other, in its stored embeddings.

    Args:
        run: Folder of a finished run, or one that holds it.
        model: The run's model, where a folder holds runs of several; None for the only one.
        data: Folder of the data; None for where the run found them.
        limit: Test sequences compared at most, whole people; all distances between them are computed.

    Returns:
        Distances of genuine and impostor pairs within and across modalities, and the gap of each two; the formula is
        in :mod:`gaitbench.explaining.gap`.

    Raises:
        UsageError: The run is of one modality, or of another model.
        RecordError: There is no finished run, or its embeddings are missing or altered.
        DatasetError: The run's data are not there, or have changed.
    """
    from gaitbench.explaining.finished_run import find_run
    from gaitbench.explaining.shared_space import shared_space
    from gaitbench.registry import load_registry

    return shared_space(find_run(Path(run), load_registry(), model), _path(data)).gap(limit)


def submit(
    path: PathLike,
    out: PathLike,
    protocol: str,
    *,
    partition: PathLike | None = None,
    reranking: bool = False,
    distance: Literal["euclidean", "cosine"] | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> Path:
    """Write the file for a server that keeps the probes' labels (GREW, HID).

    Args:
        path: A file of embeddings, as for :func:`score`.
        out: The ``.csv`` file to write.
        protocol: Name of the protocol.
        partition: As for :func:`score`.
        reranking: As for :func:`score`.
        distance: As for :func:`score`.
        device: As for :func:`score`.

    Returns:
        ``out``.

    Raises:
        GaitbenchError: The file cannot be read or written, or the protocol has its labels.
    """
    from gaitbench.scoring import submit_file

    return submit_file(path, out, protocol, partition=partition, reranking=reranking, distance=distance, device=device)


def annotate(
    dataset: PathLike,
    schema: "SchemaName",
    model: str,
    *,
    base_url: str | None = None,
    data: PathLike | None = None,
    options: Mapping[str, object] | None = None,
    out: PathLike | None = None,
    split: "Split" = "all",
    views: Sequence[str] = (),
    modalities: Sequence[str] = (),
    rounds: int | None = None,
    frames: int = 12,
    max_requests: int | None = None,
    max_tokens: int | None = None,
    concurrency: int = 4,
    api_key_env: str | None = None,
    answer_format: Literal["json_schema", "json_object", "text"] = "json_schema",
    max_answer_tokens: int = 2000,
    timeout_s: float = 120.0,
    set: Mapping[str, object] | None = None,  # noqa: A002
    has_right: bool = False,
) -> "Annotated":
    """Let a multimodal LLM describe walks, or write sentences, through any OpenAI-compatible endpoint.

    What it says is written to a file beside the dataset and changes no label. Run again, only what is missing is asked.

    Args:
        dataset: Name, folder of a prepared dataset, or ``hf:...``.
        schema: ``gdf`` (gait description factors), ``attributes`` (those of the dataset's card), ``gmtd`` (a text
            dictionary of modalities) or ``prompts`` (sentences about motion). The last two look at no frames.
        model: As the endpoint calls it.
        base_url: Address of the endpoint; None for ``OPENAI_BASE_URL``, or OpenAI's own.
        data: Folder of the official files.
        options: Of the dataset.
        out: A ``.parquet`` or ``.json`` file, or a folder; None for the folder ``annotations``.
        split: Sequences of the default protocol's training, of its test, or all.
        views: Patterns of views; for ``gmtd`` names of directions. Empty takes all.
        modalities: Streams that are shown, or that a dictionary is about; empty for the usual ones.
        rounds: Of ``gmtd`` (8) and ``prompts`` (4).
        frames: Of each stream on a contact sheet.
        max_requests: Most requests of this call, those that fail among them.
        max_tokens: Most tokens of this call, questions and answers together.
        concurrency: Requests at a time.
        api_key_env: Environment variable of the key; None for ``OPENAI_API_KEY``, empty for no key.
        answer_format: How a JSON answer is asked for, as the endpoint can.
        max_answer_tokens: Longest answer; a second try may take twice that.
        timeout_s: Longest wait for an answer.
        set: Further fields of the requests, such as ``{"temperature": 0}``.
        has_right: You may show the frames to the endpoint although their terms forbid it or say nothing.

    Returns:
        What became of it; ``is_complete`` tells whether anything is left, and ``stopped`` which limit ended it.

    Raises:
        UsageError: An argument cannot mean anything, a key is missing, or the package ``openai`` is.
        DatasetError: The dataset cannot be read.
        EndpointError: The endpoint refuses or cannot be reached; what was answered is kept.
        OutputError: The file cannot be written, or holds something else.
    """
    from gaitbench.annotating.annotate import annotate_dataset
    from gaitbench.annotating.arguments import endpoint_config, selected, sheet_config
    from gaitbench.registry import load_registry

    return annotate_dataset(
        load_registry(),
        schema,
        selected(
            dataset, schema, data=data, options=options, split=split, views=views, modalities=modalities, rounds=rounds
        ),
        sheet_config(frames),
        endpoint_config(
            model,
            base_url,
            answer_format=answer_format,
            max_answer_tokens=max_answer_tokens,
            timeout_s=timeout_s,
            settings=set,
        ),
        out=_path(out),
        key_variable=api_key_env,
        max_requests=max_requests,
        max_tokens=max_tokens,
        concurrency=concurrency,
        has_right=has_right,
    )


def estimate_annotation(
    dataset: PathLike,
    schema: "SchemaName",
    model: str,
    *,
    base_url: str | None = None,
    data: PathLike | None = None,
    options: Mapping[str, object] | None = None,
    out: PathLike | None = None,
    split: "Split" = "all",
    views: Sequence[str] = (),
    modalities: Sequence[str] = (),
    rounds: int | None = None,
    frames: int = 12,
    answer_format: Literal["json_schema", "json_object", "text"] = "json_schema",
    max_answer_tokens: int = 2000,
    set: Mapping[str, object] | None = None,  # noqa: A002
    sheet: PathLike | None = None,
) -> "Estimate":
    """Say what :func:`annotate` would ask: requests, tokens, an example. Nothing is sent, and no key is needed.

    Args:
        dataset: As for :func:`annotate`, as are the next ones.
        schema: See there.
        model: See there.
        base_url: See there.
        data: See there.
        options: See there.
        out: See there.
        split: See there.
        views: See there.
        modalities: See there.
        rounds: See there.
        frames: See there.
        answer_format: See there.
        max_answer_tokens: See there.
        set: See there.
        sheet: PNG file to draw the example's contact sheet into.

    Raises:
        GaitbenchError: As :func:`annotate`.
    """
    from gaitbench.annotating.annotate import estimate_dataset
    from gaitbench.annotating.arguments import endpoint_config, selected, sheet_config
    from gaitbench.registry import load_registry

    return estimate_dataset(
        load_registry(),
        schema,
        selected(
            dataset, schema, data=data, options=options, split=split, views=views, modalities=modalities, rounds=rounds
        ),
        sheet_config(frames),
        endpoint_config(
            model, base_url, answer_format=answer_format, max_answer_tokens=max_answer_tokens, settings=set
        ),
        out=_path(out),
        picture=_path(sheet),
    )


def list_components(kind: str) -> "list[Spec]":
    """Registered components of a kind, by name.

    Args:
        kind: ``model``, ``dataset``, ``protocol``, ``task``, ``metric`` or ``modality``.

    Raises:
        UsageError: There is no such kind.
    """
    from gaitbench.registry import load_registry

    return load_registry().specs(kind)


def list_features() -> "list[KeptFeatures]":
    """Features of frozen towers that runs with ``feature_cache`` have kept."""
    from gaitbench.features.listing import list_features as kept_features

    return kept_features()


def remove_features(names: Sequence[str]) -> "list[KeptFeatures]":
    """Remove kept features, which can always be computed again.

    Args:
        names: As :func:`list_features` gives them, or ``["all"]``.

    Returns:
        What was removed.

    Raises:
        UnknownNameError: There are none of a name.
        OutputError: A file cannot be removed.
    """
    from gaitbench.features.listing import remove_features as remove

    return remove(names)


def list_plugins() -> "list[PluginInfo]":
    """Installed plugins, core first, broken ones with their error."""
    from gaitbench.registry import load_registry

    return load_registry().plugins()


def info(name: str, kind: str | None = None) -> "list[ComponentInfo]":
    """What is known of a component or a plugin.

    Args:
        name: Of a component, ``distribution/name``, or a plugin.
        kind: Look among these only.

    Returns:
        One entry per kind that has this name.

    Raises:
        UnknownNameError: Nothing is called so; the message has the nearest name.
    """
    from gaitbench.info import find
    from gaitbench.registry import load_registry

    return find(load_registry(), name, kind)


def preview(name: str, path: PathLike) -> Path:
    """Draw a contact sheet of a dataset, one row per modality.

    Args:
        name: Of a registered dataset that can draw itself.
        path: The picture to write, ``.png``.

    Raises:
        UnknownNameError: No such dataset.
        UsageError: It has no preview, or the path does not end in ``.png``.
    """
    from gaitbench.registry import load_registry
    from gaitbench.specs import DatasetSpec

    registry = load_registry()
    spec = registry.get("dataset", name)
    assert isinstance(spec, DatasetSpec)
    if not spec.preview:
        able = [other.name for other in registry.specs("dataset") if isinstance(other, DatasetSpec) and other.preview]
        raise UsageError(f"dataset {name!r} has no preview; these have one: {', '.join(able) or 'none'}.")
    if Path(path).suffix.lower() != ".png":
        raise UsageError(f"a preview is written as PNG: name the file {Path(path).with_suffix('.png')}.")
    draw = registry.load(spec, "preview")
    assert callable(draw)
    draw(Path(path))
    return Path(path)


def view3d(name: str, sequence: str | None = None) -> "ViewedSequence":
    """Show the point clouds of one walk in a window, until it is closed. Needs Open3D and a display.

    Args:
        name: Of a registered dataset, or the path of a prepared one.
        sequence: Id; None for the first walk that has points.

    Returns:
        What was shown.

    Raises:
        UsageError: Open3D or a display is missing, or there is no such dataset or sequence.
        DatasetError: The dataset has no points, or its files are missing.
    """
    from gaitbench.point_viewer import check_viewer, view_points
    from gaitbench.store import is_prepared

    check_viewer()
    dataset = load(name) if is_prepared(Path(name)) else load(name, modalities=("lidar",))
    return view_points(dataset, sequence)


def new_plugin(name: str, *, kind: str = "model", parent: PathLike = ".") -> Path:
    """Write a working plugin package, tests included.

    Args:
        name: Lower case, digits and hyphens; the package is called ``gaitbench-NAME``.
        kind: ``model``, ``dataset``, ``metric`` or ``modality``.
        parent: Folder to write it into.

    Returns:
        The new folder.

    Raises:
        UsageError: The name cannot be used, or there is no template of this kind.
        OutputError: The folder exists already, or cannot be written.
    """
    from gaitbench.scaffold import write_plugin

    return write_plugin(name, kind=kind, parent=Path(parent))


def rank_runs(folders: Sequence[PathLike]) -> "Leaderboard":
    """Rank finished runs where they lie; ``str()`` of the result is the table.

    Args:
        folders: Of finished runs, as :func:`run` gives them.

    Raises:
        RecordError: A run is not finished, or does not agree with its evidence.
    """
    from gaitbench.leaderboard import from_folders

    return from_folders(folders, columns=_columns())


def build_leaderboard(root: PathLike = "leaderboards") -> list[Path]:
    """Audit every record under a leaderboard's folder and write its tables.

    Args:
        root: The folder.

    Returns:
        The files written.

    Raises:
        RecordError: There is no record, or one does not agree with its evidence.
        OutputError: A file cannot be written.
    """
    from gaitbench.leaderboard import build

    return build(Path(root), columns=_columns())


def check_leaderboard(root: PathLike = "leaderboards") -> list[str]:
    """Audit every record and compare the tables with what the records give.

    Args:
        root: A leaderboard's folder.

    Returns:
        What is wrong, a line each; empty when every number follows from its record.
    """
    from gaitbench.leaderboard import check

    return check(Path(root), columns=_columns())


def show_leaderboard(
    root: PathLike = "leaderboards", task: str | None = None, dataset: str | None = None
) -> "Leaderboard":
    """Read the tables of a leaderboard; ``str()`` of the result is the text.

    Args:
        root: The folder.
        task: Only this task.
        dataset: Only this dataset.

    Raises:
        RecordError: There is no such board, or its file is damaged.
    """
    from gaitbench.leaderboard import show

    return show(Path(root), task, dataset)


def add_to_leaderboard(runs: Sequence[PathLike], root: PathLike = "leaderboards") -> list[Path]:
    """Copy finished runs into a leaderboard, after an audit, and build it again.

    Args:
        runs: Folders of finished runs.
        root: The leaderboard's folder; created when needed.

    Returns:
        The files written.

    Raises:
        RecordError: A run is not finished or does not agree with its evidence; nothing is copied then.
        OutputError: A file cannot be written.
    """
    from gaitbench.leaderboard import add

    return add([Path(run) for run in runs], Path(root), columns=_columns())


def doctor() -> "list[Check]":
    """Look at Python, torch, memory, disk, caches and plugins; works with any plugin broken."""
    from gaitbench.doctor import diagnose

    return diagnose()


def _without_address(test: "ScoredOn", models: Sequence[str] | None) -> "ScoredOn":
    """A test set that is a dataset repository, by its name and the folder that it was prepared in."""
    if not is_address(test.dataset):
        return test
    from gaitbench.hub.running import repository_for_run
    from gaitbench.registry import load_registry

    if test.data is not None:
        raise UsageError(f"{test.dataset} says where its files are; leave the folder {test.data} out (--test-data).")
    name, folder = repository_for_run(load_registry(), test.dataset, models, test.options)
    return test.model_copy(update={"dataset": name, "data": folder, "options": {}})


def _columns() -> "list[ExtraColumn]":
    from gaitbench.board import ExtraColumn
    from gaitbench.registry import load_registry

    return [ExtraColumn(column.title, column.value) for column in load_registry().leaderboard_columns()]


def _path(value: PathLike | None) -> Path | None:
    return None if value is None else Path(value)
