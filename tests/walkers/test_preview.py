"""The contact sheet."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gaitbench.errors import UsageError
from gaitbench.walkers.options import WalkersOptions
from gaitbench.walkers.preview import MODALITIES, contact_sheet

TINY = WalkersOptions(num_train_subjects=1, num_test_subjects=1, num_frames=2)


def test_every_modality_is_on_the_sheet(tmp_path: Path) -> None:
    path = contact_sheet(tmp_path / "sheet.png", TINY)
    picture = np.asarray(Image.open(path).convert("RGB"))
    rows = picture[22:].shape[0] // (14 + 160 + 6)
    assert rows >= len(MODALITIES) + 3
    for row in range(len(MODALITIES)):
        top = 22 + row * 180 + 14
        assert picture[top : top + 160].std() > 10


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.png"):
        contact_sheet(tmp_path / "sheet.pdf", TINY)
