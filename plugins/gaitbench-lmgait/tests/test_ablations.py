"""Tables 4 to 7 of the paper: every row is what the plugin's README says to set, and sets that and nothing else."""

from pathlib import Path
from typing import Any

import pytest
import torch
from gaitbench_lmgait.config import LMGaitConfig
from gaitbench_lmgait.model import LMGait
from gaitbench_lmgait.presets import PRESETS

from gaitbench.cells.cell import override
from gaitbench.errors import UsageError

README = Path(__file__).parents[1] / "README.md"

ROWS: dict[str, tuple[str, ...]] = {
    "4: neither text nor motion": ("has_text=false", "temporal=none"),
    "4: 3D-CNN, no text": ("has_text=false", "temporal=conv3d"),
    "4: MTCM, no text": ("has_text=false",),
    "4: all": (),
    "5: without PTE's Conv1D": ("has_pte_conv=false",),
    "5: without RTE's difference": ("has_rte_difference=false",),
    "5: without RTE's Conv3D": ("has_rte_conv=false",),
    "6: wrong text, no MAM": ("prompt=wrong", "has_mam=false"),
    "6: wrong text": ("prompt=wrong",),
    "6: correct text, no MAM": ("has_mam=false",),
    "6: random text": ("prompt=random",),
    "6: another random text": ("prompt=random", "prompt_seed=5"),
    "7: CLIP": ("image=clip",),
    "7: DINOv2": ("image=dinov2",),
}
"""Table and row to the switches of ``gaitbench run --set``."""


def set_on(preset: str, switches: tuple[str, ...]) -> LMGaitConfig:
    config, _ = override("lmgait", LMGaitConfig, PRESETS[preset], dict(each.split("=", 1) for each in switches))
    assert isinstance(config, LMGaitConfig)
    return config


@pytest.mark.parametrize("row", ROWS)
def test_a_row_sets_what_it_names_and_nothing_else(row: str) -> None:
    whole, changed = (set_on("paper", switches).model_dump() for switches in ((), ROWS[row]))
    differing = {key for key in whole if whole[key] != changed[key]}
    assert differing == {each.split("=")[0] for each in ROWS[row]} - ({"image"} if row == "7: DINOv2" else set())
    with torch.device("meta"):
        LMGait(set_on("paper", ROWS[row]))


@pytest.mark.parametrize(
    ("row", "num_weights", "sees_differences"),
    [
        ("4: all", 768 + 6_912 + 512, True),
        ("4: 3D-CNN, no text", 6_912, None),
        ("5: without PTE's Conv1D", 6_912 + 512, True),
        ("5: without RTE's difference", 768 + 6_912 + 512, False),
        ("5: without RTE's Conv3D", 768 + 512, True),
    ],
)
def test_the_module_has_the_parts_that_a_row_leaves_it(
    row: str, num_weights: int, sees_differences: bool | None
) -> None:
    with torch.device("meta"):
        motion = LMGait(set_on("paper", ROWS[row])).motion
    assert sum(weight.numel() for weight in motion.parameters() if weight.dim() == 5) == num_weights
    assert getattr(motion, "has_rte_difference", None) == sees_differences


@pytest.mark.parametrize("row", [row for row in ROWS if not row.startswith("7")])
def test_a_row_runs_on_a_cpu_as_well(row: str) -> None:
    with torch.device("meta"):
        assert LMGait(set_on("quick", ROWS[row])).config.is_image_trained


def test_another_image_encoder_is_a_preset_on_a_cpu() -> None:
    dinov2, clip = (set_on(preset, ()).model_dump() for preset in ("quick", "quick-clip"))
    assert {key for key in dinov2 if dinov2[key] != clip[key]} == {"image"}
    with torch.device("meta"):
        sizes = [sum(w.numel() for w in LMGait(set_on(p, ())).encoder.parameters()) for p in ("quick", "quick-clip")]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.15)


def test_what_contradicts_itself_is_refused_in_one_line() -> None:
    with pytest.raises(UsageError) as caught:
        set_on("paper", ("has_text=false", "prompt=wrong"))
    assert str(caught.value) == (
        "model 'lmgait': config: has_text=false reads no text: leave prompt out, or set has_text=true."
    )


def test_the_readme_says_them_all() -> None:
    text = README.read_text()
    table = text[text.index("## Ablations") : text.index("## Presets")]
    switches: set[Any] = {each for row in ROWS.values() for each in row} - {"prompt_seed=5"}
    assert not {each for each in switches if f"`{each}`" not in table and f" {each}`" not in table}
