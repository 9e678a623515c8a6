import json

import pytest
from scored import SHARED, protocol

from gaitbench.errors import UsageError
from gaitbench.published import published, published_for, published_key


def test_usf_gait17_is_the_table_of_the_paper() -> None:
    numbers = published(dataset="usf-gait17")
    assert len(numbers) == 6 * 8 * 2
    assert {number.model for number in numbers} == {"Baseline", "HMM", "LTN", "GEI", "ETG", "ETGLDA"}
    assert all("IEEE TNN 19(1)" in number.source and "Table VII" in number.source for number in numbers)
    best = {n.metric: n.value for n in published(dataset="usf-gait17", model="ETGLDA")}
    assert sum(best[f"Rank-1 {probe}"] for probe in "ABCD") / 4 == 76.5


@pytest.mark.parametrize("k", [1, 5])
def test_usf_gait17_averages_are_those_of_its_probes(k: int) -> None:
    for model in {number.model for number in published(dataset="usf-gait17")}:
        value = {n.metric: n.value for n in published(dataset="usf-gait17", model=model)}
        mean = sum(value[f"Rank-{k} {probe}"] for probe in "ABCDEFG") / 7
        assert abs(mean - value[f"Rank-{k} average"]) <= 1  # printed without decimals


def test_doubt_and_notes_are_kept() -> None:
    [number] = published(dataset="CCPG", model="GPGait", metric="Rank-1 DN", protocol=None)[:1]
    assert number.doubtful
    assert "FastPoseGait" in number.note


def test_keys() -> None:
    assert published_key("CASIA-B*") != published_key("CASIA-B")
    assert published_key("Rank-1 (%)") == published_key("rank 1")


def test_numbers_for_a_protocol() -> None:
    assert published_for(protocol()) == ()
    numbers = published_for(protocol(published={"dataset": "USF-Gait17"}))
    assert numbers == published(dataset="usf-gait17")
    with pytest.raises(UsageError, match="unknown keys data"):
        published_for(protocol(published={"data": "x"}))


@pytest.mark.needs_data
@pytest.mark.parametrize("name", ["identity", "crossmodal", "attribute"])
def test_every_fact_is_carried_over(name: str) -> None:
    path = SHARED / "reference" / "published" / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"needs {path} (set GAITBENCH_SHARED)")
    ours = {number.model_dump_json() for number in published()}
    for fact in json.loads(path.read_text()):
        number = {"doubtful": False, "note": ""} | fact
        assert any(json.loads(n) == number for n in ours if json.loads(n)["value"] == fact["value"]), fact
