import pytest
from pydantic import ValidationError

from gaitbench.errors import UsageError
from gaitbench.folder.options import FolderOptions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": "person/view"}, "'person' is no level"),
        ({"levels": "condition/view"}, "must have subject once"),
        ({"levels": "subject/view/view"}, "view and modality once at most"),
        ({"modality": "silhouettes"}, "no modality 'silhouettes' in folders"),
        ({"patterns": {"rgb": "../rgb/*.png"}}, "must be like"),
        ({"patterns": {"rgb": "/rgb/*.png"}}, "must be like"),
        ({"patterns": {"rgb": "*.jpg"}, "modality": "depth"}, "name different modalities"),
        ({"height_px": {"colour": 64}}, "no modality 'colour'"),
        ({"height_px": 64, "width_px": 80}, "give a greater height_px"),
        ({"train_fraction": 1.0}, "less than 1"),
        ({"bin_values": 2}, "greater than or equal to 3"),
        ({"frame_rate_hz": float("inf")}, "finite number"),
        ({"frame_rate_hz": {"rgb": float("inf")}}, "finite number"),
    ],
)
def test_options_that_cannot_be(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FolderOptions(**options)


def test_sizes_by_modality() -> None:
    options = FolderOptions(height_px={"rgb": 128}, width_px={"rgb": 96, "silhouette": 44})
    assert options.size_px("rgb") == (128, 96)
    assert options.size_px("silhouette") == (64, 44)
    assert options.size_px("depth") is None
    with pytest.raises(UsageError, match="rgb has width_px=44 and no height_px"):
        FolderOptions(width_px=44).size_px("rgb")
    assert FolderOptions(align=False).size_px("silhouette") is None


def test_options_stay_as_they_were_typed() -> None:
    """A run on a prepared folder compares them with what is asked."""
    options = FolderOptions(gallery="nm-01,nm-02", test_subjects=7, train_subjects=("a", "b"))
    stored = options.model_dump(mode="json")
    assert (stored["gallery"], stored["test_subjects"], stored["train_subjects"]) == ("nm-01,nm-02", 7, ["a", "b"])
    assert FolderOptions.model_validate_json(options.model_dump_json()) == options
