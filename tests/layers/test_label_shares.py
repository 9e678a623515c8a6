import torch

from gaitbench.layers import LabelShares


def test_shares_are_of_the_sequences_whose_label_is_known() -> None:
    shares = LabelShares((2, 3))
    assert shares.value.tolist() == [0.5] * 5
    shares.update(torch.tensor([[0, -1], [1, -1]]))
    assert shares.value.tolist() == [0.5, 0.5, 0.5, 0.5, 0.5]
    shares.update(torch.tensor([[0, 2], [0, 0]]))
    assert shares.value.tolist() == [0.75, 0.25, 0.5, 0.0, 0.5]


def test_counts_are_part_of_the_state() -> None:
    shares, other = LabelShares((2,)), LabelShares((2,))
    shares.update(torch.tensor([[1], [1], [0], [1]]))
    other.load_state_dict(shares.state_dict())
    assert torch.equal(other.value, torch.tensor([0.25, 0.75]))
