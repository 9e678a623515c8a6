"""RA-GAR and MA-Gait: who is tested, what the papers leave open, and that nobody is identified by them."""

import json

import pytest

from gaitbench.builtin import ATTRIBUTE_PROTOCOLS
from gaitbench.errors import IncompleteDataError, ProtocolError
from gaitbench.info import find
from gaitbench.partition import list_digest
from gaitbench.protocol import Protocol, protocol_text
from gaitbench.protocols.ma_gait import MA_GAIT
from gaitbench.protocols.ra_gar import RA_GAR
from gaitbench.registry import build_registry
from gaitbench.scoring import score_file
from gaitbench.tasks.arrays import table_of_arrays

REGISTRY = build_registry([])
SHA256 = {
    "train": "190fc65902b97d2c7d5f900bb439901f4038cfaddb4b4b97c70e4de62abda29a",
    "test": "cfef2f56512956138d2d89fe3f24c3eba5d40d54557692f8812965ebfc959b26",
}


def people(numbers: range) -> list[str]:
    return [f"{number:03d}" for number in numbers]


@pytest.mark.parametrize("spec", ATTRIBUTE_PROTOCOLS, ids=lambda spec: spec.name)
def test_record_holds_all_of_it(spec: object) -> None:
    protocol = REGISTRY.load(spec)  # type: ignore[arg-type]
    assert isinstance(protocol, Protocol)
    assert protocol.name == spec.name  # type: ignore[attr-defined]
    assert Protocol.model_validate(json.loads(json.dumps(protocol.model_dump(mode="json")))) == protocol
    assert protocol.tasks == ("attribute",)


def test_ra_gar_is_the_list_that_circulates() -> None:
    assert list_digest(RA_GAR.train.subjects) == SHA256["train"]
    assert list_digest(RA_GAR.test_subjects) == SHA256["test"]
    assert sorted((*RA_GAR.train.subjects, *RA_GAR.test_subjects)) == people(range(1, 534))


def test_ra_gar_divides_all_its_people() -> None:
    everybody = people(range(1, 534))
    table = table_of_arrays(everybody * 2, ["a"] * 533 + ["b"] * 533, ["x"] * 1066)
    division = RA_GAR.divide(table, needs_matches=False)
    assert not division.is_partial
    assert (division.train.size, division.probes["all"].size, division.num_test_subjects) == (500, 566, 283)
    some = table_of_arrays(everybody[:400], ["a"] * 400, ["x"] * 400)
    with pytest.raises(IncompleteDataError, match=r"of 250 training subjects have no|of 283 test subjects"):
        RA_GAR.divide(some, needs_matches=False)


def test_the_discrepancy_is_told() -> None:
    text = protocol_text(RA_GAR)
    for words in ("283 required", "250 required", "the text of the paper says 288", "45 or 38"):
        assert words in text, words
    assert "averaging" not in text  # nothing is searched, so nothing is averaged over cells
    shown = [line for found in find(REGISTRY, "ra-gar") for detail in found.details for line in detail.lines]
    assert any("288" in line for line in shown)


def test_ma_gait_needs_a_division() -> None:
    everybody = people(range(1, 96))
    table = table_of_arrays(everybody, ["a"] * 95, ["x"] * 95)
    with pytest.raises(ProtocolError, match="95 subjects are in training and test"):
        MA_GAIT.divide(table, needs_matches=False)
    own = MA_GAIT.with_partition({"TRAIN_SET": everybody[:60], "TEST_SET": everybody[60:]})
    with pytest.raises(ProtocolError, match="is not the published division"):
        own.divide(table, needs_matches=False)
    division = own.divide(table, needs_matches=False, allow_partial=True)
    assert division.is_partial
    assert (division.train.size, division.probes["all"].size) == (60, 35)


def test_embeddings_are_not_scored_under_them() -> None:
    with pytest.raises(ProtocolError, match="protocol 'ra-gar' is for the task attribute, not for 'identity'"):
        score_file("nowhere.npz", "ra-gar")
