"""Preparing: raw files or a generator in, a prepared dataset out.

Shards are written side by side by worker processes, each atomically, and the card last. A run that was killed leaves
whole shards that the next run takes over, so the folder ends the same, byte by byte, as if nothing had happened. One
process prepares a folder at a time; a second one waits and finds the work done.
"""

import contextlib
import dataclasses
import difflib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from gaitbench.atomic import make_folder, output_errors, remove_leftovers, write_bytes, write_json
from gaitbench.card import (
    CARD_FILE,
    MANIFEST_FILE,
    TABLE_FILE,
    DatasetCard,
    FileEntry,
    LeftOut,
    PreparedCard,
    PreparedStream,
    ShardEntry,
)
from gaitbench.dataset import BuilderOptions, DatasetBuilder, GaitDataset
from gaitbench.errors import DatasetError, OutputError
from gaitbench.modality import CODECS, CORE_MODALITIES, Modality
from gaitbench.progress import quiet, track
from gaitbench.sequence import Absent, Frames, SequenceInfo
from gaitbench.storage.codec import Packed, frame_nbytes, pack
from gaitbench.storage.integrity import entry_of
from gaitbench.storage.shard import Shard, write_shard
from gaitbench.storage.workers import ShardJob, run_jobs
from gaitbench.table import SequenceTable

__all__ = ["SEQUENCES_PER_SHARD", "SHARD_BYTES", "build_shard", "prepare"]

SEQUENCES_PER_SHARD = 128
"""Most sequences of a shard."""
SHARD_BYTES = 64 * 2**20
"""Size that a shard aims at; a worker holds about twice as much in memory."""
_FRAMES_IF_UNKNOWN = 128
_JPEG_BYTES_PER_VALUE = 0.25
_POINTS_PER_FRAME = 2048
_MOST_SHOWN = 20
_LOCK_FILE = ".lock"
_WORK_FILE = ".work.json"
_OURS = {CARD_FILE, MANIFEST_FILE, TABLE_FILE, _LOCK_FILE, _WORK_FILE, "streams"}


def prepare(
    builder_target: str | type[DatasetBuilder],
    options: BuilderOptions,
    source: Path | None,
    out: Path,
    modalities: Sequence[str],
    *,
    workers: int | None = None,
    progress: bool = True,
    skip_broken: bool = False,
) -> GaitDataset:
    """Prepare some modalities of a dataset, or add them to what was prepared before.

    The result depends on neither the number of workers nor on how often the work was interrupted.

    Args:
        builder_target: A :class:`gaitbench.dataset.DatasetBuilder`, or its name ``package.module:Class``.
        options: The builder's options.
        source: The folder of the official files; None for generated datasets.
        out: The prepared folder; created when needed.
        modalities: Names of the streams to have.
        workers: Processes; None takes one per core, 1 works in this process.
        progress: Show progress.
        skip_broken: Go on when files are broken or missing. Their sequences stay in the table without frames in that
            modality, with the reason; :func:`gaitbench.report.report` counts them.

    Returns:
        The opened dataset, with all its sequences and every stream in the folder.

    Raises:
        DatasetError: The source is not as it should be, frames do not fit the card, files are broken and
            ``skip_broken`` is not set, or ``out`` holds another dataset or a broken one.
        OutputError: ``out`` cannot be written, or holds something else.
    """
    out = Path(out)
    builder_class = _builder_class(builder_target)
    builder = builder_class(options, source)
    card = _stored_card(builder.card(), options)
    described = {name: _modality(name, card) for name in modalities}
    if not described:
        raise DatasetError(f"{card.name}: name at least one modality to prepare, of {', '.join(sorted(card.streams))}")

    with contextlib.nullcontext() if progress else quiet():
        if (done := _finished(out, card, described)) is not None:
            return done
        with _lock(out):
            if (done := _finished(out, card, described)) is not None:
                return done
            _prepare_locked(builder, builder_class, card, described, out, workers, skip_broken=skip_broken)
    return GaitDataset.open(out)


def build_shard(builder: DatasetBuilder, job: ShardJob, advance: Callable[[int], None] = lambda _: None) -> ShardEntry:
    """Write one shard, unless it is there and sound.

    Args:
        builder: What yields the frames.
        job: Which sequences, in which modality, to which file.
        advance: Told of every finished sequence.

    Returns:
        The file.

    Raises:
        DatasetError: The builder yields too few or too many sequences, or frames that do not fit the card.
        OutputError: The file cannot be written.
    """
    if (done := _sound_shard(job)) is not None:
        advance(len(job.sequences))
        return done

    def rows() -> Iterator[tuple[str, Packed | Absent]]:
        missing = object()
        frames = iter(builder.frames(job.sequences, job.modality.name))
        for info in job.sequences:
            item = next(frames, missing)
            if item is missing:
                raise DatasetError(f"{type(builder).__name__}: no {job.modality.name} for sequence {info.sequence_id}")
            yield info.sequence_id, _packed(item, info, job, is_read=builder.source is not None)
            advance(1)
        if next(frames, missing) is not missing:
            raise DatasetError(
                f"{type(builder).__name__}: more {job.modality.name} than the {len(job.sequences)} sequences asked for"
            )

    return write_shard(job.root, job.path, rows(), job.modality, job.info)


def _packed(item: object, info: SequenceInfo, job: ShardJob, *, is_read: bool) -> Packed | Absent:
    """Pack what a builder gave. What was read and is wrong is one broken sequence; what was generated, a mistake."""
    if isinstance(item, Absent | Packed):
        return item
    try:
        return pack(cast(Frames, item), job.modality, job.info, info.sequence_id)
    except DatasetError as error:
        if not is_read:
            raise
        return Absent(str(error))


def _prepare_locked(
    builder: DatasetBuilder,
    builder_class: type[DatasetBuilder],
    card: DatasetCard,
    described: dict[str, Modality],
    out: Path,
    workers: int | None,
    *,
    skip_broken: bool,
) -> None:
    with track(None, f"list {card.name}"):
        infos = list(builder.sequences())
    _check_infos(infos, card)
    table = SequenceTable.from_infos(infos).to_bytes()
    old = PreparedCard.read(out) if (out / CARD_FILE).exists() else None
    if old is not None and old.table.sha256 != hashlib.sha256(table).hexdigest():
        raise DatasetError(
            f"{out} was prepared from other sequences than {builder.source or 'this builder'} has now; prepare into "
            "another folder, or remove this one"
        )
    _begin(out, card, builder.source, table, old)
    if old is None:
        write_bytes(out / TABLE_FILE, table)

    kept = {} if old is None else dict(old.prepared)
    added: dict[str, list[ShardJob]] = {}
    for name, modality in described.items():
        if name not in kept:
            added[name] = _plan(out, infos, modality, card)
    jobs = [job for plan in added.values() for job in plan]
    total = sum(len(job.sequences) for job in jobs)
    with track(total, f"prepare {card.name}: {', '.join(added)}") as tracker:
        entries = run_jobs(builder, builder_class, jobs, workers, tracker.advance)

    by_job = iter(entries)
    for name, plan in added.items():
        kept[name] = _stream(described[name], len(plan[0].sequences), [next(by_job) for _ in plan])
        if not skip_broken:
            _stop_at_defects(out, card, name, kept[name])
    streams = dict(sorted(kept.items()))
    _finish(out, card, old, len(infos), streams, tuple(builder.left_out()) or None)


def _plan(out: Path, infos: list[SequenceInfo], modality: Modality, card: DatasetCard) -> list[ShardJob]:
    """Cut the sequences into shards. Depends on the card and the table alone."""
    info = card.streams[modality.name]
    nbytes = frame_nbytes(modality, info)
    if nbytes is None:
        values = int(_POINTS_PER_FRAME * 2) if modality.codec == "points16" else _JPEG_BYTES_PER_VALUE
        nbytes = 1
        for size in info.frame_shape:
            nbytes *= size
        nbytes = max(1, int(nbytes * values))
    frames = sum(sequence.num_frames or _FRAMES_IF_UNKNOWN for sequence in infos) / len(infos)
    size = max(1, min(SEQUENCES_PER_SHARD, int(SHARD_BYTES / (nbytes * frames))))
    return [
        ShardJob(
            root=out,
            path=f"streams/{modality.name}/{start // size:05d}.arrow",
            modality=modality,
            info=info,
            sequences=tuple(infos[start : start + size]),
        )
        for start in range(0, len(infos), size)
    ]


def _begin(out: Path, card: DatasetCard, source: Path | None, table: bytes, old: PreparedCard | None) -> None:
    """Clear what killed runs left, and whole shards too when they were made from something else."""
    identity = {
        "card": card.model_dump(mode="json"),
        "source": None if source is None else str(Path(source).resolve()),
        "table": hashlib.sha256(table).hexdigest(),
        "shard": [SEQUENCES_PER_SHARD, SHARD_BYTES],
    }
    work = {"identity": hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()}
    streams = make_folder(out / "streams")
    remove_leftovers(out)
    for folder in streams.iterdir():
        if folder.is_dir():
            remove_leftovers(folder)
    with output_errors(out):
        if not _is_same_work(out / _WORK_FILE, work):
            for folder in streams.iterdir():
                if old is None or folder.name not in old.prepared:
                    shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
    write_json(out / _WORK_FILE, work)


def _finish(
    out: Path,
    card: DatasetCard,
    old: PreparedCard | None,
    num_sequences: int,
    streams: dict[str, PreparedStream],
    left_out: tuple[LeftOut, ...] | None,
) -> None:
    """Write manifest and card so that the folder can be opened at every moment."""
    manifest = _manifest_bytes(out, card, streams)
    entry = FileEntry(path=MANIFEST_FILE, num_bytes=len(manifest), sha256=hashlib.sha256(manifest).hexdigest())
    if old is not None:
        old.model_copy(update={"manifest": (old.manifest[0], entry)}).write(out)
    write_bytes(out / MANIFEST_FILE, manifest)
    PreparedCard(
        **{name: getattr(card, name) for name in DatasetCard.model_fields},
        num_sequences=num_sequences,
        table=entry_of(out, out / TABLE_FILE),
        manifest=(entry,),
        prepared=streams,
        left_out=left_out,
    ).write(out)
    with output_errors(out):
        (out / _WORK_FILE).unlink()


def _manifest_bytes(out: Path, card: DatasetCard, streams: dict[str, PreparedStream]) -> bytes:
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("modality", pa.dictionary(pa.int32(), pa.string())),
            ("sequence_id", pa.string()),
            ("num_frames", pa.int64()),
            ("num_bytes", pa.int64()),
            ("sha256", pa.binary(32)),
        ]
    )
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema, write_page_checksum=True) as writer:
        for name, stream in streams.items():
            shards = [
                Shard.open(out / entry.path, stream.modality(name), card.streams[name]) for entry in stream.shards
            ]
            columns = [
                pa.chunked_array([pa.array([name] * len(shard)).dictionary_encode() for shard in shards]),
                pa.chunked_array([shard.sequence_id for shard in shards]),
                pa.chunked_array([pa.array(shard.num_frames) for shard in shards]),
                pa.chunked_array([pa.array(shard.starts[1:] - shard.starts[:-1]) for shard in shards]),
                pa.chunked_array([shard.sha256 for shard in shards]),
            ]
            writer.write_table(pa.table(columns, schema=schema))
    return bytes(sink.getvalue().to_pybytes())


def _stream(modality: Modality, sequences_per_shard: int, shards: list[ShardEntry]) -> PreparedStream:
    return PreparedStream(
        title=modality.title,
        kind=modality.kind,
        codec=modality.codec,
        dtype=cast(Any, modality.dtype),
        channels=modality.channels,
        value_range=modality.value_range,
        unit=modality.unit,
        is_exact=modality.is_exact,
        sequences_per_shard=sequences_per_shard,
        shards=tuple(shards),
    )


def _stop_at_defects(out: Path, card: DatasetCard, name: str, stream: PreparedStream) -> None:
    """Stop when files of a stream are broken. Its shards stay, and the next run takes over those without defects."""
    modality, info = stream.modality(name), card.streams[name]
    reasons: list[str] = []
    for entry in stream.shards:
        absent = Shard.open(out / entry.path, modality, info).absent.values()
        reasons += [each.reason for each in absent if each.is_defect]
    if reasons:
        shown = "".join(f"\n  {reason}" for reason in reasons[:_MOST_SHOWN])
        more = f"\n  and {len(reasons) - _MOST_SHOWN} more" if len(reasons) > _MOST_SHOWN else ""
        raise DatasetError(
            f"{card.name}: {name} of {len(reasons)} sequences cannot be read:{shown}{more}\nMend or copy these files "
            "again and run the same command, which reads only what is missing; or pass --skip-broken "
            "(skip_broken=True) to leave these sequences out, which marks results on the dataset as partial."
        )


def _sound_shard(job: ShardJob) -> ShardEntry | None:
    """The shard that an earlier run left, if it is this very one, whole and unaltered."""
    path = job.root / job.path
    if not path.exists():
        return None
    try:
        shard = Shard.open(path, job.modality, job.info)
        sha256 = shard.file_sha256()
    except DatasetError:
        return None
    if any(absent.is_defect for absent in shard.absent.values()):
        return None  # the files may have been mended since
    if shard.sequence_id.to_pylist() != [info.sequence_id for info in job.sequences]:
        return None
    return ShardEntry(path=job.path, num_bytes=path.stat().st_size, sha256=sha256, hashed="sequences")


def _finished(out: Path, card: DatasetCard, described: dict[str, Modality]) -> GaitDataset | None:
    """Open the folder when there is nothing left to do."""
    if not (out / CARD_FILE).exists():
        return None
    old = PreparedCard.read(out)
    differing = [
        field for field in ("name", "version", "options") if getattr(old, field) != json_form(getattr(card, field))
    ]
    if differing:
        values = "; ".join(f"{field} {getattr(old, field)!r}, not {getattr(card, field)!r}" for field in differing)
        raise OutputError(f"{out} holds another dataset ({values}); choose another folder, or remove this one")
    if (out / _WORK_FILE).exists() or not described.keys() <= old.prepared.keys():
        return None
    return GaitDataset.open(out)


def json_form(value: object) -> object:
    """A value as it looks after a round trip through JSON."""
    return json.loads(json.dumps(value, default=str))


@contextlib.contextmanager
def _lock(out: Path) -> Iterator[None]:
    """Wait until this process alone prepares the folder. The lock ends with the process, however that ends."""
    make_folder(out)
    with output_errors(out):
        foreign = sorted(p.name for p in out.iterdir() if p.name not in _OURS and not p.name.endswith(".tmp"))
        if foreign:
            raise OutputError(f"{out} holds something else ({', '.join(foreign[:3])}); choose an empty or a new folder")
        descriptor = os.open(out / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with track(None, f"wait for another process that prepares {out}"):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _builder_class(target: str | type[DatasetBuilder]) -> type[DatasetBuilder]:
    if isinstance(target, str):
        from gaitbench.registry import resolve

        return cast(type[DatasetBuilder], resolve(target))
    return target


def _stored_card(card: DatasetCard, options: BuilderOptions) -> DatasetCard:
    chosen = card.options or options.model_dump(mode="json")
    return card.model_copy(update={"options": cast(dict[str, object], json_form(chosen))})


def _modality(name: str, card: DatasetCard) -> Modality:
    if name not in card.streams:
        near = difflib.get_close_matches(name, card.streams, 1)
        hint = f"; did you mean {near[0]}?" if near else f"; it has {', '.join(sorted(card.streams))}"
        raise DatasetError(f"{card.name} has no modality {name}{hint}")
    for modality in CORE_MODALITIES:
        if modality.name == name:
            return _fitting(modality, card)
    from gaitbench.registry import load_registry
    from gaitbench.specs import ModalitySpec

    return _fitting(cast(ModalitySpec, load_registry().get("modality", name)).modality, card)


def _fitting(modality: Modality, card: DatasetCard) -> Modality:
    """Check the card's frame shape against the modality; gives the modality as this dataset stores it.

    A dataset may have other numbers of channels in a raster, such as range images that were published in colour, and of
    values per joint, such as joints without a confidence.
    """
    info = card.streams[modality.name]
    shape = info.frame_shape
    rank = {"raster": 3, "joints": 2, "points": 1}[modality.kind]
    channels = shape[0] if modality.kind == "raster" else shape[-1]
    can_differ = modality.kind != "points" and (info.codec or modality.codec) != "bits"
    if len(shape) != rank or (channels != modality.channels and not can_differ):
        raise DatasetError(
            f"{card.name}: the card gives {modality.name} frames of shape {list(shape)}, but {modality.kind} need "
            f"{rank} axes and {modality.channels} channels; correct the builder's card"
        )
    if (codec := info.codec or modality.codec) not in CODECS[modality.kind]:
        raise DatasetError(
            f"{card.name}: the card stores {modality.name} as {codec}, but {modality.kind} are stored as "
            f"{' or '.join(CODECS[modality.kind])}; correct the builder's card"
        )
    return dataclasses.replace(
        modality, codec=codec, channels=channels, value_range=info.value_range or modality.value_range
    )


def _check_infos(infos: list[SequenceInfo], card: DatasetCard) -> None:
    if not infos:
        raise DatasetError(f"{card.name}: the builder lists no sequence; check the source folder")
    seen: set[str] = set()
    for info in infos:
        if not info.sequence_id or not info.subject_id:
            raise DatasetError(f"{card.name}: {info} lacks an id; correct the builder")
        if info.sequence_id in seen:
            raise DatasetError(f"{card.name}: sequence id {info.sequence_id} occurs twice; correct the builder")
        seen.add(info.sequence_id)
        if info.num_frames < 0:
            raise DatasetError(f"{card.name}: sequence {info.sequence_id} has {info.num_frames} frames")
        if len(info.attributes) != len(card.attributes):
            raise DatasetError(
                f"{card.name}: sequence {info.sequence_id} has {len(info.attributes)} attributes, the card's schema "
                f"{len(card.attributes)}; correct the builder"
            )
        for value, attribute in zip(info.attributes, card.attributes, strict=True):
            if not -1 <= value < len(attribute.classes):
                raise DatasetError(
                    f"{card.name}: sequence {info.sequence_id} has class {value} of {attribute.name}, which has "
                    f"{len(attribute.classes)} classes; correct the builder"
                )


def _is_same_work(path: Path, work: dict[str, str]) -> bool:
    try:
        found: object = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return found == work
