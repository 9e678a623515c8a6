"""OU-MVLP: ten thousand people, fourteen views, two walks each, many of them missing."""

from gaitbench.protocol import Protocol, Selection

__all__ = ["OU_MVLP", "OU_MVLP_CROSS_VIEW", "OU_MVLP_PRESENT"]

_SOURCE = (
    "Takemura et al., 'Multi-view large population gait dataset', IPSJ TCVA 10(4), 2018; rules of the public OpenGait "
    "evaluator (July 2026)"
)
_ODD_TO_10305 = ("0[0-9][0-9][0-9][13579]", "10[0-2][0-9][13579]", "1030[135]")
_EVEN_AND_10307 = ("0[0-9][0-9][0-9][02468]", "10[0-2][0-9][02468]", "1030[0246]", "10307")

OU_MVLP = Protocol(
    name="ou-mvlp",
    dataset="ou-mvlp",
    title="OU-MVLP, 5,153 training and 5,154 test subjects: sequence 01 searched, one view at a time",
    source=_SOURCE,
    notes=(
        "odd numbers train, even numbers test, and 10307 tests as well",
        "14 x 14 cells less the diagonal; a probe whose subject has no sequence 01 in the gallery view is a miss",
        "papers also print a higher number that leaves such probes out: ou-mvlp-present",
        "mAP in model zoos is that of ou-mvlp-cross-view, another gallery",
    ),
    train=Selection(subjects=_ODD_TO_10305),
    test_subjects=_EVEN_AND_10307,
    gallery=Selection(conditions=("01",)),
    probes={"NM": Selection(conditions=("00",))},
    exclude=("identical_view",),
    averaging="view_pairs",
    absent_probes="miss",
    is_grid_complete=True,
    rounded=("rank_1",),
    evaluator_keys={"scalar/test_accuracy/NM@R1": "rank_1_official/NM"},
    headline="NM",
    num_train_subjects=5153,
    num_test_subjects=5154,
)
"""Gallery and probe of a cell have one view each."""

OU_MVLP_PRESENT = OU_MVLP.model_copy(
    update={
        "name": "ou-mvlp-present",
        "title": "OU-MVLP without the probes whose subject is not in the gallery view. Not the official number",
        "source": f"{_SOURCE}; that papers leave probes out is general knowledge, no table was checked",
        "notes": (
            *OU_MVLP.notes[:1],
            "14 x 14 cells less the diagonal; a probe whose subject has no sequence 01 in the gallery view is left out",
            "higher than ou-mvlp, by about six points for GaitSet (87.1 against 93, unverified)",
        ),
        "absent_probes": "skip",
        "evaluator_keys": {},
    }
)
"""Cells count only probes that can be found in them."""

OU_MVLP_CROSS_VIEW = OU_MVLP.model_copy(
    update={
        "name": "ou-mvlp-cross-view",
        "title": "OU-MVLP with one gallery of all views: rank-1 and mAP per probe view",
        "source": f"{_SOURCE}, cross-view gallery",
        "notes": OU_MVLP.notes[:1],
        "exclude": ("same_subject_and_view",),
        "averaging": "probe_views",
        "rounded": ("rank_1", "mean_ap"),
        "evaluator_keys": {
            "scalar/test_accuracy/NM-Rank@1": "rank_1_official/NM",
            "scalar/test_accuracy/NM-mAP": "mean_ap_official/NM",
        },
    }
)
"""One pooled gallery; of its pairs only those of one subject in one view do not count."""
