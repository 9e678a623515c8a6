"""The dictionary: our own sentences, a file that gaitbench annotate writes, or sentences of one's own."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from gaitbench_tcfdnet.config import TcfdNetConfig
from gaitbench_tcfdnet.dictionary import MODALITIES, SHIPPED, Dictionary, read_dictionary
from gaitbench_tcfdnet.presets import PRESETS
from pydantic import ValidationError

from gaitbench.annotating import Annotation, AnnotationHeader, Annotations, read_annotations, write_annotations
from gaitbench.annotating.directions import DIRECTIONS
from gaitbench.cells.cell import override
from gaitbench.digest import file_digest
from gaitbench.errors import DatasetError, UsageError

OWN = {"silhouette": ["A flat shape.", "A white body."], "lidar-depth": ["Far points.", "Near points."]}


def write(path: Path, modalities: tuple[str, ...] = MODALITIES, *, num_rounds: int = 2, **header: Any) -> Path:
    about = {
        "schema_name": "gmtd",
        "schema_version": 1,
        "prompt_sha256": "",
        "fields": (),
        "dataset": "walkers",
        "dataset_version": "",
        "modalities": modalities,
        "num_rounds": num_rounds,
        "model": "some-llm",
        "endpoint_host": "localhost:8000",
        "answer_format": "json_schema",
        "written_by": "0",
        **header,
    }
    records = []
    for modality in modalities:
        for number in (1, 2):
            values: Any = {view: f"{modality} {view} {number}" for view in DIRECTIONS}
            records.append(
                Annotation(
                    sequence_id=f"{modality}/round-{number}",
                    status="ok",
                    values=values,
                    sentences=tuple(values.values()),
                )
            )
    write_annotations(path, Annotations(header=AnnotationHeader(**about), records=tuple(records)))
    return path


def test_ours_has_two_modalities_eight_directions_and_eight_rounds() -> None:
    found = Dictionary.model_validate("shipped")
    assert [len(found.of(modality)) for modality in MODALITIES] == [64, 64]
    every = [sentence for modality in MODALITIES for sentence in found.of(modality)]
    assert len(set(every)) == 128
    assert TcfdNetConfig().dictionary == found == read_dictionary(SHIPPED)


def test_ours_keeps_to_what_an_llm_is_told() -> None:
    header = read_annotations(SHIPPED).header
    assert (header.schema_name, header.num_rounds, header.modalities) == ("gmtd", 8, MODALITIES)
    for modality in MODALITIES:
        for number, sentence in enumerate(read_dictionary(SHIPPED).of(modality)):
            assert sentence == sentence.strip()
            assert not sentence.endswith(".")
            assert sentence[0].islower()
            assert len(sentence.split()) <= 30
            words = sentence.replace("-", " ").replace(",", " ").replace(":", " ").split()
            wanted = DIRECTIONS[number % 8].split("-")
            assert all(any(word.startswith(part) for word in words) for part in wanted), (sentence, wanted)
            assert not {"left", "right"}.difference(wanted) & set(words), sentence


@pytest.mark.parametrize("suffix", [".json", ".parquet"])
def test_a_file_becomes_part_of_the_configuration(suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"gmtd{suffix}", ("rgb", *MODALITIES))
    config = TcfdNetConfig(dictionary=path)
    assert config.dictionary.of("lidar-depth")[:2] == ("lidar-depth front 1", "lidar-depth front-left 1")
    assert (config.dictionary.num_each, config.dictionary.asked) == (16, "some-llm")
    assert (config.dictionary.name, config.dictionary.sha256) == (path.name, file_digest(path))
    assert str(tmp_path) not in config.model_dump_json()
    path.unlink()
    assert TcfdNetConfig(**json.loads(config.model_dump_json())) == config


def test_the_command_line_takes_a_path_sentences_and_the_shipped_ones(tmp_path: Path) -> None:
    def set_to(value: str, **more: str) -> Dictionary:
        config, _ = override("tcfdnet", TcfdNetConfig, PRESETS["quick"], {"dictionary": value, **more})
        assert isinstance(config, TcfdNetConfig)
        return config.dictionary

    assert set_to(str(write(tmp_path / "g.json"))).name == "g.json"
    assert set_to(json.dumps(OWN), num_retrieved="2").of("silhouette") == tuple(OWN["silhouette"])
    with pytest.raises(UsageError, match=r"cannot read the dictionary .*: this is no name of a file"):
        set_to("a\0b.json")
    assert set_to("shipped") == Dictionary.model_validate("shipped")
    with pytest.raises(UsageError, match=r"cannot read the dictionary .*gone\.json"):
        set_to(str(tmp_path / "gone.json"))


def test_a_pinned_file_must_be_that_file(tmp_path: Path) -> None:
    path = write(tmp_path / "g.json")
    sha256 = file_digest(path)
    pinned = {"path": str(path), "sha256": sha256}
    assert Dictionary.model_validate(pinned) == Dictionary.model_validate(path)
    write(path, model="another-llm")
    with pytest.raises(ValidationError, match="is not the file that was configured"):
        Dictionary.model_validate(pinned)
    with pytest.raises(ValidationError, match="and no sentences"):
        Dictionary.model_validate({"path": str(path), "sentences": OWN})


def test_bad_files_are_named_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"cannot read the dictionary .*gone\.json.*--schema gmtd"):
        read_dictionary(tmp_path / "gone.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(DatasetError, match=r"broken\.json.*--schema gmtd"):
        read_dictionary(tmp_path / "broken.json")
    (tmp_path / "other.json").write_text("[1]")
    with pytest.raises(DatasetError, match=r"other\.json holds no annotations"):
        read_dictionary(tmp_path / "other.json")
    (tmp_path / "g.txt").write_text("a sentence")
    with pytest.raises(DatasetError, match=r"g\.txt.*\.parquet or \.json"):
        read_dictionary(tmp_path / "g.txt")
    with pytest.raises(DatasetError, match="schema gmtd are needed, these are of prompts"):
        read_dictionary(write(tmp_path / "p.json", schema_name="prompts"))
    with pytest.raises(DatasetError, match="lacks silhouette/round-3"):
        read_dictionary(write(tmp_path / "short.json", num_rounds=3))
    with pytest.raises(DatasetError, match="is about silhouette, rgb and lacks lidar-depth"):
        read_dictionary(write(tmp_path / "rgb.json", ("silhouette", "rgb")))
    with pytest.raises(DatasetError, match="lacks silhouette and lidar-depth"):
        read_dictionary(write(tmp_path / "none.json", num_rounds=0))
    with pytest.raises(DatasetError, match="version 1 of the schema gmtd are needed, these are of version 2"):
        read_dictionary(write(tmp_path / "later.json", schema_version=2))


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "zero.parquet").symlink_to("/dev/zero")
    for name in ("pipe.json", "zero.parquet"):
        with pytest.raises(DatasetError, match=rf"cannot read the dictionary .*{name}: it is no regular file"):
            read_dictionary(tmp_path / name)
    with pytest.raises(DatasetError, match="this is no name of a file"):
        read_dictionary("a\0b.json")


def test_a_file_with_a_hole_in_another_modality_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "g.json", ("rgb", *MODALITIES))
    content = json.loads(path.read_text())
    content["records"] = [each for each in content["records"] if each["sequence_id"] != "rgb/round-1"]
    path.write_text(json.dumps(content))
    assert set(read_dictionary(path).sentences) == set(MODALITIES)


@pytest.mark.parametrize(
    ("view", "sentences", "match"),
    [
        pytest.param("...", [], r"dictionary .*g\.json: sentence 0 of silhouette has no word in it", id="no-word"),
        pytest.param("a shape", ["x"] * 8, "silhouette/round-1 are not those of its values", id="contradiction"),
    ],
)
def test_an_altered_file_is_refused(view: str, sentences: list[str], match: str, tmp_path: Path) -> None:
    path = write(tmp_path / "g.json")
    content = json.loads(path.read_text())
    content["records"][0]["values"]["front"] = view
    content["records"][0]["sentences"] = sentences
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=match):
        read_dictionary(path)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        pytest.param({"silhouette": ["a"]}, "this one of silhouette", id="one-modality"),
        pytest.param({**OWN, "rgb": ["a", "b"]}, "of silhouette, lidar-depth, rgb", id="three"),
        pytest.param({**OWN, "lidar-depth": ["a"]}, "need as many sentences", id="unequal"),
        pytest.param(
            {"silhouette": ["a b", "c"], "lidar-depth": ["c", "a b"]}, "lidar-depth have the same sentences", id="same"
        ),
        pytest.param({"silhouette": [], "lidar-depth": []}, "need as many sentences", id="empty"),
        pytest.param({**OWN, "silhouette": ["a", " ... "]}, "sentence 1 of silhouette has no word", id="no-word"),
        pytest.param({**OWN, "silhouette": ["a", "b\x1b"]}, "sentence 1 of silhouette is no plain line", id="control"),
        pytest.param(
            {**OWN, "silhouette": ["a \ud800", "b"]}, "sentence 0 of silhouette is no plain line", id="letter"
        ),
        pytest.param({**OWN, "lidar-depth": ["a", "b " * 301]}, "1 of lidar-depth has 602 characters", id="long"),
        pytest.param({"sentences": OWN, "sha256": "x"}, "sha256", id="no-hash"),
        pytest.param(7, "valid dictionary or instance", id="a-number"),
    ],
)
def test_sentences_that_cannot_be_a_dictionary_are_refused(given: Any, match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        Dictionary.model_validate(given)


def test_more_cannot_be_retrieved_than_there_are() -> None:
    with pytest.raises(ValidationError, match="num_retrieved 16: there are 2 sentences of each modality"):
        TcfdNetConfig(dictionary=OWN)
    assert TcfdNetConfig(dictionary=OWN, has_tfd=False).dictionary.num_each == 2
