"""Seeds are unrelated between places, and determinism is switched back."""

import torch

from gaitbench.seeding import derive_seed, deterministic


def test_seeds_differ_by_place_and_have_no_pattern() -> None:
    seeds = [derive_seed(seed, stage, step) for seed in range(5) for stage in range(3) for step in range(50)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(1, 23) != derive_seed(12, 3)
    assert derive_seed(1) != derive_seed("1")
    assert derive_seed(0, "init") == 5178188355558464636


def test_deterministic_is_scoped() -> None:
    before = torch.are_deterministic_algorithms_enabled()
    with deterministic():
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert torch.are_deterministic_algorithms_enabled() == before
