"""From a file of embeddings to the official table of a protocol, without models.

Axes: Q probes, G gallery sequences.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gaitbench.device import DeviceName, device_named
from gaitbench.embedding_file import read_embeddings
from gaitbench.errors import IncompleteDataError
from gaitbench.protocol import Protocol
from gaitbench.registry import Registry, load_registry
from gaitbench.results import Score
from gaitbench.specs import ProtocolSpec
from gaitbench.tasks.arrays import evaluate_table
from gaitbench.tasks.official import official_scores
from gaitbench.tasks.submission import write_submission

__all__ = ["Scoring", "find_protocol", "score_file", "submit_file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """What a protocol says of a file of embeddings."""

    protocol: Protocol
    """As it was applied."""
    scores: tuple[Score, ...]
    """Every number with its denominators."""
    official: Mapping[str, float]
    """Percent by the name under which the official evaluator prints it, with the official rounding."""
    notes: tuple[str, ...]
    """What sets this test apart from the published one, a line each; empty when nothing does."""
    num_sequences: int
    """Sequences in the file."""

    @property
    def is_partial(self) -> bool:
        """True when something that the protocol needs was missing, or its people are others."""
        return bool(self.notes)

    def __str__(self) -> str:
        """The table: a line per probe group, percent."""
        return _table(self)


def find_protocol(name: str, registry: Registry | None = None) -> Protocol:
    """Look a protocol up by name.

    Raises:
        UnknownNameError: There is none; the message names the nearest one.
    """
    registry = registry or load_registry()
    # OU-MVLP is written with and without its hyphen, CASIA-B* with a star.
    plain = {known.replace("-", ""): known for known in registry.names("protocol")}
    spec = registry.get("protocol", plain.get(name.lower().replace("-", "").replace("*", "star"), name))
    assert isinstance(spec, ProtocolSpec)
    protocol = registry.load(spec)
    assert isinstance(protocol, Protocol)
    return protocol


def score_file(
    path: Path | str,
    protocol: Protocol | str,
    *,
    partition: Path | str | None = None,
    reranking: bool = False,
    distance: Literal["euclidean", "cosine"] | None = None,
    is_strict: bool = False,
    bootstrap: int = 1000,
    seed: int = 0,
    device: DeviceName = "auto",
) -> Scoring:
    """Score a file of embeddings under an official protocol.

    Every sequence of the file counts as a test sequence, as official evaluators have it;
    :attr:`Scoring.notes` says how the people in it differ from the published test set.

    Args:
        path: See :mod:`gaitbench.embedding_file`.
        protocol: A protocol or the name of one.
        partition: JSON file of the official lists, for protocols that have an explicit one.
        reranking: Re-rank with k-reciprocal encoding.
        distance: In place of the protocol's own.
        is_strict: Stop when anything sets the file apart from the official test, instead of noting it.
        bootstrap: Resamples of the confidence intervals; 0 for none.
        seed: Of the bootstrap.
        device: Where to compare and count; ``auto`` takes CUDA when there is one.

    Raises:
        UnknownNameError: There is no such protocol.
        DatasetError: The file or the partition cannot be read.
        ProtocolError: The protocol needs a partition, cannot be re-ranked, or does not apply to these sequences.
        IncompleteDataError: The file is not the official test, with ``is_strict``.
        ModelError: Embeddings hold NaN or infinity.
        UsageError: There is no such device here.
    """
    place = device_named(device)
    chosen = _chosen(protocol, partition, reranking, distance)
    stored = read_embeddings(path)
    applied = chosen.for_embeddings()
    division = applied.divide(stored.table, allow_partial=True, needs_train=False)
    problems = (*chosen.population(stored.table), *division.problems)
    notes = tuple(dict.fromkeys(problems))
    if notes and is_strict:
        raise IncompleteDataError(
            f"{path} is not the official test of {applied.name}: {'; '.join(notes)}. Complete it, or score it without "
            "being strict (--strict); the table then says so"
        )
    evaluation = evaluate_table(
        stored.embeddings, stored.table, applied, allow_partial=True, bootstrap=bootstrap, seed=seed, device=place
    )
    return Scoring(
        protocol=applied,
        scores=evaluation.scores,
        official=official_scores(evaluation, applied),
        notes=notes,
        num_sequences=len(stored.table),
    )


def submit_file(
    path: Path | str,
    out: Path | str,
    protocol: Protocol | str,
    *,
    partition: Path | str | None = None,
    reranking: bool = False,
    distance: Literal["euclidean", "cosine"] | None = None,
    device: DeviceName = "auto",
) -> Path:
    """Write the file for a server that keeps the probes' labels.

    Args:
        path: See :mod:`gaitbench.embedding_file`.
        out: The ``.csv`` file to write.
        protocol: A protocol with a submission, or the name of one, such as ``grew``.
        partition: As in :func:`score_file`.
        reranking: As in :func:`score_file`.
        distance: As in :func:`score_file`.
        device: As in :func:`score_file`.

    Returns:
        ``out``.

    Raises:
        GaitbenchError: As in :func:`score_file`, or the protocol has its labels.
    """
    place = device_named(device)
    chosen = _chosen(protocol, partition, reranking, distance).for_embeddings()
    stored = read_embeddings(path)
    table = stored.table
    return write_submission(
        out, stored.embeddings, table.subject_id, table.condition, table.view, chosen, allow_partial=True, device=place
    )


def _chosen(
    protocol: Protocol | str,
    partition: Path | str | None,
    reranking: bool,
    distance: Literal["euclidean", "cosine"] | None,
) -> Protocol:
    chosen = find_protocol(protocol) if isinstance(protocol, str) else protocol
    chosen.check_task("identity")
    if partition is not None:
        chosen = chosen.with_partition(Path(partition))
    if distance is not None:
        chosen = chosen.model_copy(update={"distance": distance})
    return chosen.reranked() if reranking else chosen


def _table(scoring: Scoring) -> str:
    protocol = scoring.protocol
    groups = list(dict.fromkeys(score.group for score in scoring.scores if "/" not in score.group))
    found = {(score.group, score.metric): score for score in scoring.scores}
    wanted = [f"rank_{k}" for k in sorted({1, *protocol.ranks})] + ["mean_ap", "mean_inp", "eer"]
    metrics = []
    for metric in wanted:
        metrics += [name for name in (f"{metric}_official", metric) if any((g, name) in found for g in groups)]
    heads = [_head(metric) for metric in metrics]
    rows = []
    for group in groups:
        first = found[group, "rank_1"]
        interval = "" if first.ci_low is None else f"{100 * first.ci_low:.2f}-{100 * (first.ci_high or 0):.2f}"
        numbers = [f"{100 * found[group, metric].value:.2f}" for metric in metrics]
        rows.append([group, *numbers, interval, str(first.num_counted), str(first.num_absent)])
    lines = [["probes", *heads, "R1 95 %", "counted", "absent"], *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = [f"{protocol.name}, version {protocol.version}: {protocol.title}", ""]
    text += [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    chance = found.get((protocol.headline, "rank_1"))
    text.append("")
    rounding = "; * with the official rounding: every cell to two decimals before it is averaged"
    text.append("percent" + (rounding if any(head.endswith("*") for head in heads) else ""))
    if chance is not None and chance.chance is not None:
        text.append(f"chance of rank-1 of {protocol.headline}: {100 * chance.chance:.2f}")
    if protocol.reranking:
        text.append("re-ranked with k-reciprocal encoding")
    text += [f"not the official test: {note}" for note in scoring.notes]
    return "\n".join(text)


def _head(metric: str) -> str:
    """Such as ``R1*`` for ``rank_1_official``."""
    name = metric.removesuffix("_official")
    head = {"mean_ap": "mAP", "mean_inp": "mINP", "eer": "EER"}.get(name, name.replace("rank_", "R"))
    return f"{head}*" if name != metric else head
