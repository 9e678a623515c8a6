from dataclasses import replace

import pytest

from gaitbench.errors import PluginError
from gaitbench.modality import SILHOUETTE
from gaitbench.testing import check_modality


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codec": "points16"}, "stored as"),
        ({"dtype": "float64"}, "dtype must be"),
        ({"name": "Silhouette"}, "lower case"),
        ({"value_range": (1, 0)}, "must rise"),
        ({"channels": 0}, "channels at least 1"),
    ],
)
def test_a_broken_modality_is_told_what_is_wrong(change: dict[str, object], message: str) -> None:
    with pytest.raises(PluginError, match=message):
        check_modality(replace(SILHOUETTE, **change))  # type: ignore[arg-type]


def test_sixteen_bits_and_colour() -> None:
    check_modality(replace(SILHOUETTE, name="deep", codec="raw", dtype="uint16", value_range=(0, 65535)))
    check_modality(replace(SILHOUETTE, name="colour", codec="jpeg", channels=3, value_range=(0, 255)))
