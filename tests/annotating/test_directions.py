import pytest

from gaitbench.annotating.directions import DIRECTIONS, direction_index, view_sentence


def test_bins_are_centred_on_multiples_of_45_degrees() -> None:
    assert [direction_index(45 * i) for i in range(8)] == list(range(8))
    assert [direction_index(45 * i + 22.4) for i in range(8)] == list(range(8))
    assert [direction_index(45 * i - 22.4) for i in range(8)] == list(range(8))


@pytest.mark.parametrize(("view", "expected"), [(22.5, 0), (67.5, 1), (292.5, 6), (337.5, 0), (-22.5, 0), (382.5, 0)])
def test_ties_go_to_the_smaller_index(view: float, expected: int) -> None:
    assert direction_index(view) == expected


def test_an_unknown_view_has_no_direction() -> None:
    with pytest.raises(ValueError, match="nan degrees has no direction"):
        direction_index(float("nan"))


def test_every_direction_has_a_sentence() -> None:
    assert len({view_sentence(i) for i in range(8)}) == 8
    assert all(name in view_sentence(i) for i, name in enumerate(DIRECTIONS))
