"""Files for servers that keep the probes' labels: the nearest gallery subjects of every probe.

Axes: N sequences, Q probes, D embedding width, P parts, K ranks.
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gaitbench.atomic import write_text
from gaitbench.errors import ProtocolError
from gaitbench.metrics.distance import DistanceBlock, distance_blocks
from gaitbench.metrics.k_reciprocal import k_reciprocal_blocks
from gaitbench.metrics.nearest import nearest
from gaitbench.protocol import Protocol
from gaitbench.tasks.arrays import table_of_arrays
from gaitbench.tasks.base import EmbeddingSet

__all__ = ["submission_rows", "write_submission"]


def write_submission(
    path: Path | str,
    embeddings: Tensor | NDArray[np.floating],
    subject_ids: ArrayLike,
    conditions: ArrayLike,
    views: ArrayLike,
    protocol: Protocol,
    *,
    allow_partial: bool = False,
    device: torch.device | None = None,
) -> Path:
    """Write the file that a benchmark's server scores; it is either whole or absent.

    Args:
        path: A ``.csv`` file.
        embeddings: ``[N, D, P]`` float16, float32 or float64.
        subject_ids: ``[N]`` words; probes have the protocol's stand-in for a subject, such as ``probe``.
        conditions: ``[N]`` words.
        views: ``[N]`` words; a probe's view is its name in the file.
        protocol: One with :attr:`~gaitbench.protocol.Protocol.submission`.
        allow_partial: Go on when gallery subjects are missing.
        device: Where to compare; None for where the embeddings are.

    Returns:
        The file.

    Raises:
        ProtocolError: The protocol has no submission, two probes have one name, a label is no integer where the server
            wants integers, or the gallery has fewer sequences than the file has ranks.
        IncompleteDataError: Gallery subjects are missing.
        ShapeError: Arrays differ in length, or embeddings are not ``[N, D, P]``.
        ModelError: Embeddings hold NaN or infinity.
        OutputError: The file cannot be written.
    """
    rows = submission_rows(
        embeddings, subject_ids, conditions, views, protocol, allow_partial=allow_partial, device=device
    )
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(Path(path), text.getvalue())
    return Path(path)


def submission_rows(
    embeddings: Tensor | NDArray[np.floating],
    subject_ids: ArrayLike,
    conditions: ArrayLike,
    views: ArrayLike,
    protocol: Protocol,
    *,
    allow_partial: bool = False,
    device: torch.device | None = None,
) -> list[tuple[str, ...]]:
    """The rows of :func:`write_submission`: the header, then a row per probe by name.

    Gallery sequences at one distance stand in the order of their ids, so nothing depends on the order of arrays. The
    arguments and errors are those of :func:`write_submission`.

    Example:
        >>> from gaitbench.protocols.hid import HID
        >>> walks = np.array([0.0, 5.0, 4.0]).reshape(3, 1, 1)
        >>> submission_rows(walks, ["0500", "0501", "probe"], ["00"] * 3, ["a", "b", "00017"], HID, allow_partial=True)
        [('videoID', 'label'), ('00017', '0501')]
    """
    wanted = protocol.submission
    if wanted is None:
        raise ProtocolError(f"{protocol.name} has its labels, so score it; a submission is for hidden ones (grew, hid)")
    table = table_of_arrays(subject_ids, conditions, views)
    embedded = EmbeddingSet(torch.as_tensor(embeddings), table)
    embedded.check("submitted")
    division = protocol.divide(table, allow_partial=allow_partial, needs_train=False, needs_matches=False)
    asked = np.unique(np.concatenate(list(division.probes.values())))
    asked = asked[np.argsort(table.view[asked], kind="stable")]
    names = table.view[asked]
    if (twice := names[1:][names[1:] == names[:-1]]).size:
        raise ProtocolError(f"{protocol.name}: two probes have the name {twice[0]}; a probe's view must be its file's")
    searched = division.gallery[np.argsort(table.sequence_id[division.gallery], kind="stable")]
    if searched.size < wanted.num_ranks:
        raise ProtocolError(
            f"{protocol.name}: {wanted.num_ranks} ranks per probe need as many gallery sequences, got {searched.size}"
        )
    label = np.array(_labels(table.subject_id[searched], protocol))
    rows = [wanted.header]
    with torch.inference_mode():
        probe, gallery = (embedded.embeddings[torch.from_numpy(index)] for index in (asked, searched))
        for block in _blocks(probe, gallery, protocol, device or probe.device):
            found = label[nearest(block.distance, wanted.num_ranks).cpu().numpy()]  # [q, K]
            rows += [(str(n), *words) for n, words in zip(names[block.start : block.stop], found.tolist(), strict=True)]
    return rows


def _blocks(probe: Tensor, gallery: Tensor, protocol: Protocol, device: torch.device) -> Iterator[DistanceBlock]:
    if used := protocol.reranking:
        probe, gallery = probe.to(device), gallery.to(device)
        return k_reciprocal_blocks(probe, gallery, kind=protocol.distance, k1=used.k1, k2=used.k2, weight=used.weight)
    return distance_blocks(probe, gallery, kind=protocol.distance, device=device)


def _labels(subjects: NDArray[np.str_], protocol: Protocol) -> list[str]:
    """Subjects as the server wants them."""
    assert protocol.submission
    words = [str(subject) for subject in subjects]
    if protocol.submission.labels == "words":
        return words
    if bad := [word for word in words if not word.isdecimal()]:
        raise ProtocolError(f"{protocol.name}: the server wants integers, and subject {bad[0]!r} is none")
    return [str(int(word)) for word in words]
