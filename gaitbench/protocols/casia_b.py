"""CASIA-B and CASIA-B*: three walking conditions from eleven views, searched within one view or across all."""

from gaitbench.protocol import Protocol, Selection

__all__ = ["CASIA_B", "CASIA_B_CROSS_VIEW", "CASIA_B_STAR"]

_EVALUATOR = "rules of the public OpenGait evaluator (July 2026)"

CASIA_B = Protocol(
    name="casia-b",
    dataset="casia-b",
    title="CASIA-B, 74 training and 50 test subjects: four normal walks searched, one view at a time",
    source=f"Yu, Tan, Tan, 'A Framework for Evaluating the Effect of View Angle, Clothing and Carrying Condition on "
    f"Gait Recognition', ICPR 2006; {_EVALUATOR}",
    notes=(
        "a complete cell has 50 subjects x 4 gallery sequences and 50 x 2 probes; 11 x 11 cells less the diagonal",
        "mAP in model zoos is that of casia-b-cross-view, another gallery",
        "a few of the 13,640 sequences are missing or empty in every copy",
    ),
    train=Selection(subjects=("001..074",)),
    test_subjects=("075..124",),
    gallery=Selection(conditions=("nm-0[1-4]",)),
    probes={
        "NM": Selection(conditions=("nm-0[56]",)),
        "BG": Selection(conditions=("bg-0[12]",)),
        "CL": Selection(conditions=("cl-0[12]",)),
    },
    exclude=("identical_view",),
    averaging="view_pairs",
    absent_probes="miss",
    is_grid_complete=True,
    rounded=("rank_1",),
    evaluator_keys={f"scalar/test_accuracy/{group}@R1": f"rank_1_official/{group}" for group in ("NM", "BG", "CL")},
    headline="mean",
    num_train_subjects=74,
    num_test_subjects=50,
)
"""Gallery and probe of a cell have one view each; pairs of one view do not count."""

CASIA_B_CROSS_VIEW = CASIA_B.model_copy(
    update={
        "name": "casia-b-cross-view",
        "title": "CASIA-B with one gallery of all views and conditions: rank-1 and mAP per probe view",
        "source": f"Hou et al., 'A Comprehensive Study on the Evaluation of Silhouette-based Gait Recognition'; "
        f"{_EVALUATOR}, cross-view gallery",
        "notes": (
            "every probe meets normal, bag and coat sequences of all views, and its subject's in other views all match",
        ),
        "gallery": Selection(conditions=("nm-02", "bg-02", "cl-02")),
        "probes": {
            "NM": Selection(conditions=("nm-01",)),
            "BG": Selection(conditions=("bg-01",)),
            "CL": Selection(conditions=("cl-01",)),
        },
        "exclude": ("same_subject_and_view",),
        "averaging": "probe_views",
        "rounded": ("rank_1", "mean_ap"),
        "evaluator_keys": {
            f"scalar/test_accuracy/{group}-{theirs}": f"{ours}/{group}"
            for group in ("NM", "BG", "CL")
            for theirs, ours in (("Rank@1", "rank_1_official"), ("mAP", "mean_ap_official"))
        },
    }
)
"""One pooled gallery; of its pairs only those of one subject in one view do not count."""

CASIA_B_STAR = CASIA_B.model_copy(
    update={
        "name": "casia-b-star",
        "dataset": "casia-b-star",
        "title": "CASIA-B*, the people and rules of CASIA-B on newly segmented silhouettes and RGB",
        "source": f"Liang et al., 'GaitEdge', ECCV 2022; {_EVALUATOR}",
        "notes": CASIA_B.notes[:1],
    }
)
"""As CASIA-B."""
