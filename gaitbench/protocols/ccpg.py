"""CCPG: people who change their clothes, with three official tables that are easily confused."""

from gaitbench.protocol import Protocol, Selection

__all__ = ["CCPG", "CCPG_REID", "CCPG_WITH_IDENTICAL_VIEWS"]

_SOURCE = (
    "Li et al., 'An In-depth Exploration of Person Re-identification and Gait Recognition in Cloth-Changing "
    "Conditions', CVPR 2023; rules of the public OpenGait evaluator (July 2026)"
)
_PROBES = {"CL": ("U0_D0_BG", "U0_D0"), "UP": ("U3_D3",), "DN": ("U1_D0",), "BG": ("U0_D0_BG",)}
_GALLERIES = {"CL": ("U1_D1", "U2_D2", "U3_D3"), "UP": ("U0_D3",), "DN": ("U1_D1",), "BG": ("U0_D0",)}
_STATES = (
    "CL full change, UP upper garment, DN lower garment, BG bag; a condition names upper (U) and lower (D) garment",
    "a view reads camera_clip, and the ten cameras are what views means in the counting",
)

CCPG = Protocol(
    name="ccpg",
    dataset="ccpg",
    title="CCPG, the protocol of gait papers: 100 training and 100 test subjects, identical cameras left out",
    source=f"{_SOURCE}, table 'Exclude identical-view cases'",
    notes=(
        *_STATES,
        "not to be compared with ccpg-reid, whose numbers are higher",
        "one model has CL/UP/DN/BG 63.6/70.9/70.5/81.2 here and 72.2/82.0/82.6/90.4 in ccpg-reid",
    ),
    train=Selection(subjects=("000..099",)),
    test_subjects=("100..199",),
    gallery=Selection(conditions=tuple(sorted({state for states in _GALLERIES.values() for state in states}))),
    galleries={group: Selection(conditions=states) for group, states in _GALLERIES.items()},
    probes={group: Selection(conditions=states) for group, states in _PROBES.items()},
    exclude=("identical_view",),
    view_separator="_",
    averaging="view_pairs",
    absent_probes="miss",
    is_grid_complete=True,
    rounded=("rank_1",),
    evaluator_keys={f"Rank-1 (Exclude identical-view cases)/{group}": f"rank_1_official/{group}" for group in _PROBES},
    headline="mean",
    num_train_subjects=100,
    num_test_subjects=100,
)
"""Camera cells without the diagonal."""

CCPG_WITH_IDENTICAL_VIEWS = CCPG.model_copy(
    update={
        "name": "ccpg-with-identical-views",
        "title": "CCPG, mean of all camera cells, identical cameras among them. Neither published average",
        "source": f"{_SOURCE}, table 'Include identical-view cases'",
        "notes": (*_STATES, "its cells are the evaluator's per-camera matrix, diagonal and all"),
        "exclude": (),
        "evaluator_keys": {
            f"Rank-1 (Include identical-view cases)/{group}": f"rank_1_official/{group}" for group in _PROBES
        },
    }
)
"""Camera cells with the diagonal."""

CCPG_REID = CCPG.model_copy(
    update={
        "name": "ccpg-reid",
        "title": "CCPG, the protocol of person re-identification: pooled cameras, rank-1, mAP and mINP",
        "source": f"{_SOURCE}, tables 'Exclude identical-view cases for Person Re-Identification'",
        "notes": (*_STATES, "older tables of gait papers quote these numbers; ccpg is the protocol of gait papers"),
        "exclude": ("same_subject_and_view",),
        "averaging": "probes",
        "absent_probes": "skip",
        "is_grid_complete": False,
        "rounded": (),
        "evaluator_keys": {
            f"{theirs} (Exclude identical-view cases for Person Re-Identification)/{group}": f"{ours}/{group}"
            for theirs, ours in (("Rank-1", "rank_1"), ("mAP", "mean_ap"), ("mINP", "mean_inp"))
            for group in _PROBES
        },
    }
)
"""One pooled gallery per group; pairs of one subject from one camera do not count; nothing is rounded."""
