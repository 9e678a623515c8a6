"""Pairs found by sorting, against the rule applied to every pair."""

import itertools

import numpy as np
import pytest
import torch
from scored import protocol

from gaitbench.table import SequenceTable
from gaitbench.tasks.arrays import table_of_arrays
from gaitbench.tasks.pairing import Pairing, Units

RULES = ("identical_view", "same_subject_and_view", "same_sequence")
CHOICES = [rules for number in range(4) for rules in itertools.combinations(RULES, number)]


def tables(seed: int) -> tuple[SequenceTable, SequenceTable]:
    """Probes and gallery that share sequence ids, some of them for different people."""
    rng = np.random.default_rng(seed)
    found = []
    for number in (23, 31):
        subject, view = (np.char.add(letter, rng.integers(0, 4, number).astype(str)) for letter in "sv")
        names = np.char.add("n", rng.permutation(40)[:number].astype(str))
        found.append(table_of_arrays(subject, ["c"] * number, view, sequence_ids=names))
    return found[0], found[1]


@pytest.mark.parametrize("averaging", ["view_pairs", "probes"])
@pytest.mark.parametrize("rules", CHOICES, ids="+".join)
def test_agrees_with_the_rule_for_every_pair(rules: tuple[str, ...], averaging: str) -> None:
    probe_table, gallery_table = tables(len(rules))
    proto = protocol(exclude=rules, averaging=averaging)
    probe = Units.of(probe_table, np.arange(23), proto)
    gallery = Units.of(gallery_table, np.arange(31), proto, order_by_view=True)
    match = probe.subject[:, None] == gallery.subject
    same_view, same_name = probe.view[:, None] == gallery.view, probe.name[:, None] == gallery.name
    left_out = np.zeros_like(match)
    for rule, pairs in zip(RULES, (same_view, same_view & match, same_name), strict=True):
        left_out |= pairs & (rule in rules)

    pairing = Pairing(probe, gallery, proto)
    got = pairing.matches()
    assert torch.stack(got, dim=1).tolist() == np.argwhere(match & ~left_out).tolist()
    by_cell = [(~left_out[:, cell.columns]).sum(axis=1) for cell in pairing.cells]
    np.testing.assert_array_equal(pairing.num_valid(), np.stack(by_cell, axis=1))
    rows, columns = slice(3, 20), slice(5, 30)
    found = pairing.is_no_impostor(rows, columns, torch.device("cpu"))
    np.testing.assert_array_equal(found.numpy(), (match | left_out)[rows, columns])
    for number, cell in enumerate(pairing.cells):
        told = pairing.in_cell(rows, number)
        assert told.columns == cell.columns
        np.testing.assert_array_equal(told.match.numpy(), match[rows, cell.columns])
        np.testing.assert_array_equal(told.valid.numpy(), ~left_out[rows, cell.columns])


def test_cells_are_the_gallery_views() -> None:
    _, table = tables(0)
    gallery = Units.of(table, np.arange(31), protocol(), order_by_view=True)
    cells = Pairing(gallery, gallery, protocol()).cells
    assert [cell.name for cell in cells] == sorted(set(table.view.tolist()))
    assert all((gallery.view[cell.columns] == cell.name).all() for cell in cells)
