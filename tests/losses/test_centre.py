import pytest
import torch

from gaitbench.errors import ShapeError
from gaitbench.losses import centre_loss, moved_centres


def case() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(7, 4, 3, dtype=torch.float64, generator=rng)
    centres = torch.randn(5, 4, 3, dtype=torch.float64, generator=rng)
    return x, torch.tensor([0, 2, 2, 4, 0, 2, 1]), centres


def test_agrees_with_a_loop() -> None:
    x, labels, centres = case()
    terms = [0.5 * (x[n, :, p] - centres[labels[n], :, p]).norm() ** 2 for n in range(7) for p in range(3)]
    torch.testing.assert_close(centre_loss(x, labels, centres), torch.stack(terms).mean())


def test_gradients_pull_samples_and_centres_together() -> None:
    x, labels, centres = case()
    x.requires_grad_()
    centres.requires_grad_()
    centre_loss(x, labels, centres).backward()
    torch.testing.assert_close(x.grad, (x - centres[labels]).detach() / 21)
    assert not centres.grad[3].any()  # a class without samples
    torch.testing.assert_close(centres.grad[1], -(x[6] - centres[1]).detach() / 21)


def test_centres_move_by_the_published_rule() -> None:
    x, labels, centres = case()
    got = moved_centres(x, labels, centres, rate=0.5)
    for k in range(5):
        mine = x[labels == k]
        expected = centres[k] - 0.5 * (centres[k] - mine).sum(dim=0) / (1 + len(mine))
        torch.testing.assert_close(got[k], expected)
    assert torch.equal(got[3], centres[3])


def test_moving_centres_lowers_the_loss() -> None:
    x, labels, centres = case()
    before = centre_loss(x, labels, centres)
    for _ in range(20):
        centres = moved_centres(x, labels, centres)
    assert centre_loss(x, labels, centres) < 0.6 * before


def test_half_precision_is_lifted() -> None:
    x, labels, centres = (part if part.dtype == torch.int64 else part.float() for part in case())
    with torch.autocast("cpu", torch.bfloat16):
        assert centre_loss(x.bfloat16(), labels, centres).dtype == torch.float32


@pytest.mark.parametrize("function", [centre_loss, moved_centres])
def test_wrong_calls_are_refused(function: object) -> None:
    x, labels, centres = case()
    with pytest.raises(ShapeError, match=r"\[7, 4, 3\], \[6\] and \[5, 4, 3\]"):
        function(x, labels[:6], centres)
    with pytest.raises(ShapeError, match="label 4 has no centre; there are 3"):
        function(x, labels, centres[:3])
    with pytest.raises(ShapeError, match="label -1 has no centre; there are 5"):
        function(x, labels - labels.min() - 1, centres)
