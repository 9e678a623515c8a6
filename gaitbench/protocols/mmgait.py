"""MMGait: thirteen streams of five sensors; each stream, or pair of streams, is asked on its own."""

from gaitbench.partition import OfficialList
from gaitbench.protocol import Protocol, Selection

__all__ = ["MMGAIT", "MMGAIT_V1", "MMGAIT_V2"]

MMGAIT = Protocol(
    name="mmgait",
    dataset="mmgait",
    title="MMGait, 200 training and 525 test subjects: one normal walk searched, one view at a time; rank-1 and mAP",
    source="MMGait, CVPR 2026 (arXiv 2604.15979); rules of the public OpenGait evaluator (July 2026)",
    notes=(
        "a sequence that lacks one of the streams read is no part of the test, so tests of different streams differ",
        "mAP is counted in each cell against its one gallery view; probes without a match are left out of it",
        "across sensors the probe is of one stream and the gallery of another, with the same groups and cells",
        "not known: the list of views, which is therefore whatever the data has; the names of the printed numbers",
        "the extended version divides 300/715 and searches other galleries: mmgait-v1 and mmgait-v2",
    ),
    train=Selection(),
    test_subjects=("*",),
    gallery=Selection(conditions=("NM-01",)),
    probes={
        "NM": Selection(conditions=("NM-02",)),
        "BG": Selection(conditions=("BG-01",)),
        "CL": Selection(conditions=("CL-01",)),
    },
    exclude=("identical_view",),
    averaging="view_pairs",
    absent_probes="miss",
    is_grid_complete=True,
    ranks=(1,),
    rounded=("rank_1", "mean_ap"),
    headline="mean",
    num_train_subjects=200,
    num_test_subjects=525,
    lists={
        "train": OfficialList(num=200, sha256="54323a36a05712a646af6aad28bb8c922b8ae8aa50762f95013ab142b805c44b"),
        "test": OfficialList(num=525, sha256="5366213c5af5456d53c5ecf4058dace8fda96457aaa8a653237b6178d5d4fa70"),
    },
)
"""Who trains and who is tested comes from the partition file; gallery and probe of a cell have one view each."""

_EXTENDED = (
    "a sequence that lacks one of the streams read is no part of the test, so tests of different streams differ",
    "mAP is counted in each cell; probes without a match are left out of it",
    "not known: which subjects train and which are tested, only how many; the partition that is handed in is taken",
    "not known: the evaluator. Rounding, absent probes and empty cells are as in that of the conference version",
)

MMGAIT_V1 = MMGAIT.model_copy(
    update={
        "name": "mmgait-v1",
        "title": "MMGait, extended version, V1: 300 training and 715 test subjects, two normal walks of a view",
        "source": "MMGait, extended version (journal manuscript of September 2026, 1,015 people), protocol V1",
        "notes": _EXTENDED,
        "gallery": Selection(conditions=("NM-01", "NM-02")),
        "probes": {name: MMGAIT.probes[name] for name in ("BG", "CL")},
        "num_train_subjects": 300,
        "num_test_subjects": 715,
        "lists": {"train": OfficialList(num=300), "test": OfficialList(num=715)},
    }
)
"""The people come from a partition file."""

MMGAIT_V2 = MMGAIT_V1.model_copy(
    update={
        "name": "mmgait-v2",
        "title": "MMGait, extended version, V2: V1 and, in every cell, all walks of all other subjects as impostors",
        "source": "MMGait, extended version (journal manuscript of September 2026, 1,015 people), protocol V2",
        "notes": (
            *_EXTENDED,
            "the manuscript's default across sensors, for fusions and for models of all streams; no rank is above V1's",
            "impostors may share the probe's view; nothing else of the probe's subject is searched than V1's gallery",
        ),
        "impostors": Selection(),
    }
)
"""The people come from a partition file."""
