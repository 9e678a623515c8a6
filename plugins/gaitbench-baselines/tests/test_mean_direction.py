import pytest
import torch
from gaitbench_baselines.mean_direction import mean_direction


def random(count: int) -> list[torch.Tensor]:
    return list(torch.randn(count, 3, 5, 2, generator=torch.Generator().manual_seed(count)))


@pytest.mark.parametrize("count", [1, 2, 4])
def test_part_by_part_as_defined(count: int) -> None:
    embeddings = random(count)
    found = mean_direction(embeddings)
    for n in range(3):
        for p in range(2):
            parts = [one[n, :, p] for one in embeddings]
            direction = torch.stack([part / part.norm() for part in parts]).sum(dim=0)
            length = sum(part.norm() for part in parts) / count
            torch.testing.assert_close(found[n, :, p], direction / direction.norm() * length)


def test_a_louder_sensor_has_no_larger_say() -> None:
    one, other = random(2)
    found, louder = mean_direction([one, other]), mean_direction([one, 7 * other])
    torch.testing.assert_close(torch.nn.functional.normalize(louder), torch.nn.functional.normalize(found))


def test_order_changes_nothing_and_equal_embeddings_give_themselves() -> None:
    one, other = random(2)
    torch.testing.assert_close(mean_direction([one, other]), mean_direction([other, one]))
    torch.testing.assert_close(mean_direction([one, one, one]), one)


def test_an_empty_part_is_finite() -> None:
    nothing = torch.zeros(1, 4, 2)
    assert torch.equal(mean_direction([nothing, nothing]), nothing)
    assert mean_direction([nothing, torch.ones(1, 4, 2)]).isfinite().all()
