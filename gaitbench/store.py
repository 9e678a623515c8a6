"""Where prepared datasets are kept, and how a name becomes one: open it, or prepare it on first ask.

::

    GAITBENCH_CACHE (default ~/.cache/gaitbench)
      datasets/NAME-VERSION-HASH/     HASH covers the options and, for real data, the state of the source folder
"""

import functools
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from gaitbench.card import PreparedCard, ShardEntry, StreamInfo
from gaitbench.dataset import BuilderOptions, DatasetBuilder, GaitDataset
from gaitbench.dated import Dated
from gaitbench.errors import DatasetError, PluginError, UsageError
from gaitbench.hub.address import is_address
from gaitbench.hub.opening import open_repository
from gaitbench.modality import Modality
from gaitbench.prepare import json_form, prepare
from gaitbench.protocol import Protocol
from gaitbench.registry import Registry, nearest
from gaitbench.specs import DatasetSpec
from gaitbench.storage.integrity import check_hashes, file_sha256
from gaitbench.storage.shard import Shard

__all__ = [
    "cache_root",
    "fit_protocol",
    "is_prepared",
    "make_builder",
    "make_options",
    "open_or_prepare",
    "source_modalities",
]


def cache_root() -> Path:
    """The folder of everything that can be made again: ``GAITBENCH_CACHE``, or ``~/.cache/gaitbench``."""
    return Path(os.environ.get("GAITBENCH_CACHE") or "~/.cache/gaitbench").expanduser()


def is_prepared(folder: Path) -> bool:
    """Tell whether a folder holds a prepared dataset."""
    return (folder / "dataset.json").is_file()


def open_or_prepare(
    registry: Registry,
    name: str,
    *,
    modalities: Sequence[str] | None = None,
    source: Path | None = None,
    root: Path | None = None,
    options: Mapping[str, object] | None = None,
    workers: int | None = None,
    skip_broken: bool = False,
    is_checked: bool = False,
) -> GaitDataset:
    """Open a dataset by name; what is missing of it is prepared first, with progress.

    Args:
        registry: Where to look the name up.
        name: Of a registered dataset, or ``hf:...`` of a dataset repository; see :mod:`gaitbench.hub.opening`.
        modalities: Streams that must be there; None for the dataset's first one and whatever else is prepared, and for
            everything in a repository.
        source: The official files, or a prepared dataset. Generated datasets need none.
        root: Folder of the prepared dataset; None for the cache.
        options: Of the builder.
        workers: Processes; None for one per core.
        skip_broken: As for :func:`gaitbench.prepare.prepare`.
        is_checked: Compare what was there before with its hashes, byte for byte unless it was not touched since.

    Raises:
        UnknownNameError: No such dataset.
        UsageError: An option or a modality that the dataset does not have, or a source that is needed is not given.
        DatasetError: The source or the prepared folder is not this dataset.
    """
    if is_address(name):
        if source is not None:
            raise UsageError(f"{name} says where its files are; leave {source} out (--data, --source, source=).")
        dataset = open_repository(
            name,
            cache_root(),
            modalities=modalities,
            root=root,
            options=options,
            workers=workers,
            skip_broken=skip_broken,
        )
        return _checked(dataset) if is_checked else dataset
    spec = registry.get("dataset", name)
    assert isinstance(spec, DatasetSpec)
    wanted = _check_modalities(spec, modalities)
    for folder in (source, root):
        if folder is not None and is_prepared(folder):
            dataset = _open(registry, spec, folder, options)
            if missing := [modality for modality in wanted if modality not in dataset.modalities]:
                if folder is source or (spec.needs_source and source is None):
                    raise _missing_streams(spec, dataset, folder, missing)
                options = {**dataset.card.options, **(options or {})}
                break
            return _checked(dataset) if is_checked else dataset
    builder = make_builder(registry, spec, source, options)
    folder = root or _cache_folder(spec, builder)
    if is_prepared(folder):
        dataset = GaitDataset.open(folder)
        dataset = _checked(dataset) if is_checked else dataset
        if set(wanted) <= set(dataset.modalities):
            return dataset
    return prepare(spec.target, builder.options, source, folder, wanted, workers=workers, skip_broken=skip_broken)


def source_modalities(
    registry: Registry, spec: DatasetSpec, source: Path | None, options: Mapping[str, object] | None
) -> tuple[str, ...]:
    """The streams that a source has, of those that its dataset can have.

    Raises:
        UsageError: A source is needed and not given, or an option does not fit.
        DatasetError: The source is not this dataset.
    """
    if source is None or is_prepared(source):
        return spec.modalities
    streams = make_builder(registry, spec, source, options).card().streams
    return tuple(name for name in spec.modalities if name in streams)


def make_options(registry: Registry, spec: DatasetSpec, options: Mapping[str, object] | None) -> BuilderOptions:
    """Check options against the dataset's own class.

    Raises:
        UsageError: An unknown option, with the nearest known one, or a value that does not fit.
    """
    cls = registry.load(spec, "options")
    if not (isinstance(cls, type) and issubclass(cls, BuilderOptions)):
        raise PluginError(
            f"options of dataset {spec.name!r} must be a BuilderOptions class, {spec.options} is {cls!r}."
        )
    try:
        return cls(**dict(options or {}))
    except ValidationError as error:
        raise UsageError(f"dataset {spec.name!r}: {_explain(error, list(cls.model_fields))}") from error


def make_builder(
    registry: Registry, spec: DatasetSpec, source: Path | None, options: Mapping[str, object] | None
) -> DatasetBuilder:
    """The builder of a dataset, on its source.

    Raises:
        UsageError: A source is needed and not given, or an option does not fit.
        DatasetError: The source is no folder.
    """
    checked = make_options(registry, spec, options)
    if spec.needs_source and source is None:
        raise UsageError(
            f"dataset {spec.name!r} is not generated: give the folder of its files (--data DIR, --source DIR, or "
            f"source=DIR). How to get it: {spec.access or 'see gaitbench info ' + spec.name}."
        )
    if source is not None and not source.is_dir():
        raise DatasetError(f"dataset {spec.name!r}: {source} is no folder; check the path of its files.")
    cls = registry.load(spec)
    if not (isinstance(cls, type) and issubclass(cls, DatasetBuilder)):
        raise PluginError(f"dataset {spec.name!r}: {spec.target} must be a class of DatasetBuilder, it is {cls!r}.")
    return cls(checked, source)


def fit_protocol(registry: Registry, spec: DatasetSpec, options: Mapping[str, object], protocol: Protocol) -> Protocol:
    """Adapt a protocol to the options that a dataset is made with.

    Raises:
        UsageError: The dataset's builder does not know one of the options.
    """
    cls = registry.load(spec)
    assert isinstance(cls, type)
    assert issubclass(cls, DatasetBuilder)
    return cls(make_options(registry, spec, options), None).fit_protocol(protocol)


def _open(registry: Registry, spec: DatasetSpec, folder: Path, options: Mapping[str, object] | None) -> GaitDataset:
    dataset = GaitDataset.open(folder)
    if dataset.card.name != spec.name:
        raise DatasetError(
            f"{folder} holds the prepared dataset {dataset.card.name!r}, not {spec.name!r}; "
            f"give another folder, or --dataset {dataset.card.name}."
        )
    # Cards leave options out that came later and have their default.
    stored = {**_later_defaults(registry, spec), **dataset.card.options} if options else {}
    for key, value in (options or {}).items():
        if key in stored and stored[key] != json_form(value):
            raise UsageError(
                f"{folder} was prepared with {key}={stored[key]!r}, you ask for {value!r}; "
                "leave the option out, or prepare another folder."
            )
    return dataset


def _checked(dataset: GaitDataset) -> GaitDataset:
    """The dataset.

    Raises:
        DatasetError: A file of it was altered after it was written.
    """
    card = PreparedCard.read(dataset.root)
    for name, stream in card.prepared.items():
        sha256_of = functools.partial(_sha256_of, dataset.root, stream.modality(name), card.streams[name])
        check_hashes(dataset.root, stream.shards, sha256_of)
    return dataset


def _sha256_of(root: Path, modality: Modality, info: StreamInfo, entry: ShardEntry) -> str:
    path = root / entry.path
    return file_sha256(path) if entry.hashed == "bytes" else Shard.open(path, modality, info).file_sha256()


def _later_defaults(registry: Registry, spec: DatasetSpec) -> dict[str, object]:
    cls = registry.load(spec, "options")
    if not (isinstance(cls, type) and issubclass(cls, Dated)):
        return {}
    return {name: cls.model_fields[name].get_default(call_default_factory=True) for name in cls.later_fields}


def _missing_streams(spec: DatasetSpec, dataset: GaitDataset, folder: Path, missing: Sequence[str]) -> DatasetError:
    source = "--source DIR " if spec.needs_source else ""
    return DatasetError(
        f"{folder} has no {', '.join(missing)} (it has {', '.join(dataset.modalities)}); add it with "
        f"'gaitbench prepare {spec.name} {source}--out {folder} --modalities {' '.join(missing)}'."
    )


def _check_modalities(spec: DatasetSpec, modalities: Sequence[str] | None) -> tuple[str, ...]:
    if modalities is None:
        return spec.modalities[:1]
    for modality in modalities:
        if modality not in spec.modalities:
            near = nearest(modality, spec.modalities)
            raise UsageError(
                f"dataset {spec.name!r} has no modality {modality!r}"
                + (f"; did you mean {near!r}?" if near else ".")
                + f" It has {', '.join(spec.modalities)}."
            )
    return tuple(dict.fromkeys(modalities))


def _cache_folder(spec: DatasetSpec, builder: DatasetBuilder) -> Path:
    parts: dict[str, object] = {"options": builder.options.model_dump(mode="json")}
    if builder.source is not None:
        parts["source"] = _state_of(builder.source)
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
    return cache_root() / "datasets" / f"{spec.name}-{builder.card().version}-{digest}"


def _state_of(source: Path) -> list[list[object]]:
    """Names, sizes and times of the two upper levels of a folder: when files come or go, so does the cache entry."""
    entries: list[list[object]] = [[str(source.resolve()), 0, 0]]
    for path in sorted([*source.glob("*"), *source.glob("*/*")]):
        status = path.stat()
        entries.append(
            [path.relative_to(source).as_posix(), 0 if path.is_dir() else status.st_size, status.st_mtime_ns]
        )
    return entries


def _explain(error: ValidationError, known: Sequence[str]) -> str:
    lines = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            near = nearest(name, known)
            guess = f"; did you mean {near!r}?" if near else "."
            lines.append(f"no option {name!r}{guess} There are {', '.join(known) or 'none'}.")
        else:
            said = problem["msg"].removeprefix("Value error, ")
            # What options together contradict is of no single one, and all of them would only hide it.
            lines.append(f"option {name!r}: {said}, got {problem['input']!r}." if name else f"{said}.")
    return " ".join(lines)
