"""Gait3D and Gait3D-Parsing: one listed probe per person, everything else is searched."""

from gaitbench.partition import OfficialList
from gaitbench.protocol import Protocol, Selection

__all__ = ["GAIT3D", "GAIT3D_PARSING", "POOLED_KEYS"]

POOLED_KEYS = {f"scalar/test_accuracy/Rank-{k}": f"rank_{k}/all" for k in (1, 5, 10)} | {
    "scalar/test_accuracy/mAP": "mean_ap/all",
    "scalar/test_accuracy/mINP": "mean_inp/all",
}
"""What the evaluators with a pooled gallery call their five numbers; none of them is rounded."""

_LISTS = {
    "train": OfficialList(num=3000, sha256="f07c839056db7428a8eb5380798669caacfed714bc2a42e20e6550fb7d59578e"),
    "test": OfficialList(num=1000, sha256="0aa6b87d59feac798befa4b61a0054807b8de87eeb183ad62d36214977185f93"),
    "probes": OfficialList(num=1000, sha256="815e97c7b090b3e1a07fb9b3289773271809ad32c0e8da0386f12208aa4e8f5d"),
}

GAIT3D = Protocol.model_validate(
    {
        "name": "gait3d",
        "dataset": "gait3d",
        "title": "Gait3D, 3,000 training and 1,000 test subjects: a listed probe each, all other sequences searched",
        "source": "Zheng et al., 'Gait Recognition in the Wild with Dense 3D Representations and A Benchmark', CVPR "
        "2022; rules of the public OpenGait evaluator (July 2026)",
        "notes": (
            "a probe reads subject-camera_video-sequence, as in 0000-camid0_videoid2-seq0",
            "with renamed folders probes would become gallery, so listed probes that are missing stop a run",
            "1,000 probes and 5,369 gallery sequences by the paper's count; no pair is left out, cameras do not count",
        ),
        "train": Selection(),
        "test_subjects": ("*",),
        "gallery": Selection(),
        "probes": {"all": Selection()},
        "complement": "gallery",
        "exclude": (),
        "averaging": "probes",
        "absent_probes": "skip",
        "ranks": (1, 5, 10),
        "evaluator_keys": POOLED_KEYS,
        "headline": "all",
        "num_train_subjects": 3000,
        "num_test_subjects": 1000,
        "lists": _LISTS,
    }
)
"""Lists come from ``Gait3D.json``."""

GAIT3D_PARSING = GAIT3D.model_copy(
    update={
        "name": "gait3d-parsing",
        "dataset": "gait3d-parsing",
        "title": "Gait3D-Parsing, the people and rules of Gait3D, by the cosine",
        "source": "Zheng et al., 'Parsing is All You Need for Accurate Gait Recognition in the Wild', ACM MM 2023; "
        "rules of the public OpenGait evaluator (July 2026)",
        "notes": (
            GAIT3D.notes[0],
            "the published GaitSet, GaitPart, GaitGL, GLN and SMPLGait use the cosine, GaitBase the Euclidean distance",
        ),
        "distance": "cosine",
    }
)
"""Lists come from ``Gait3D.json``."""
