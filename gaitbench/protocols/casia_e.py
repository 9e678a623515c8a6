"""CASIA-E in the setting of the public evaluator, which is not the division of its paper."""

from gaitbench.protocol import Protocol, Selection

__all__ = ["CASIA_E"]


def _elsewhere(condition: str) -> Selection:
    return Selection(conditions=tuple(f"[HL]-{scene}-{condition}-[12]" for scene in ("scene2", "scene3", "scene3_s")))


CASIA_E = Protocol(
    name="casia-e",
    dataset="casia-e",
    title="CASIA-E, 200 training and 814 test subjects: normal walks of scene 1 searched, one view at a time",
    source="Song et al., 'CASIA-E: A Large Comprehensive Dataset for Gait Recognition', TPAMI 2022; division and rules "
    "of the public OpenGait evaluator (July 2026)",
    notes=(
        "not the paper's own division (001-500 training, 501-614 validation, 615-1014 test)",
        "a condition reads camera height, scene, condition and take, joined by hyphens: H-scene2-nm-1",
        "view 270 is left out",
    ),
    train=Selection(subjects=("001..200",)),
    test_subjects=("201..1014",),
    gallery=Selection(conditions=("[HL]-scene1-nm-[12]",)),
    probes={group: _elsewhere(group.lower()) for group in ("NM", "BG", "CL")},
    exclude=("identical_view",),
    left_out_views=("270",),
    averaging="view_pairs",
    absent_probes="miss",
    is_grid_complete=True,
    rounded=("rank_1",),
    evaluator_keys={f"scalar/test_accuracy/{group}@R1": f"rank_1_official/{group}" for group in ("NM", "BG", "CL")},
    headline="mean",
    num_train_subjects=200,
    num_test_subjects=814,
)
"""Gallery and probe of a cell have one view each."""
