"""Prompts of an LLM: the file that ``gaitbench annotate --schema prompts`` writes becomes part of the configuration."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from gaitbench_lmgait.config import LMGaitConfig, TextConfig
from gaitbench_lmgait.model import LMGait
from gaitbench_lmgait.presets import PRESETS
from gaitbench_lmgait.prompt_file import PromptFile
from pydantic import ValidationError

from gaitbench.annotating import motion_prompts, read_annotations
from gaitbench.cells.cell import override
from gaitbench.digest import file_digest, json_digest
from gaitbench.errors import UsageError

Write = Callable[..., Path]
ROUNDS = (("Arms swing.", "Legs step.", "They alternate."), ("Both arms swing.", "Legs step.", "Sides take turns."))


@pytest.mark.parametrize("suffix", [".parquet", ".json"])
def test_the_sentences_of_a_file_become_the_text(suffix: str, tmp_path: Path, write_prompts: Write) -> None:
    path = write_prompts(tmp_path / f"prompts{suffix}")
    config = TextConfig(prompts_file=path)
    assert config.sentences == ("Arms swing.", "Legs step.", "They alternate.", "Both arms swing.", "Sides take turns.")
    found = config.prompts_file
    assert found is not None
    assert (found.name, found.sha256, found.asked) == (path.name, file_digest(path), "some-llm")
    assert str(tmp_path) not in config.model_dump_json()


def test_agrees_with_what_core_takes_from_the_file(tmp_path: Path, write_prompts: Write) -> None:
    path = write_prompts(tmp_path / "p.json")
    assert TextConfig(prompts_file=path).sentences == motion_prompts(read_annotations(path))


def test_a_random_text_is_one_of_its_rounds(tmp_path: Path, write_prompts: Write) -> None:
    path = write_prompts(tmp_path / "p.json")
    for number, sentences in enumerate(ROUNDS):
        assert TextConfig(prompts_file=path, prompt="random", prompt_seed=number).sentences == sentences
    with pytest.raises(ValidationError, match="number of a round of prompts_file, from 0 to 1"):
        TextConfig(prompts_file=path, prompt="random", prompt_seed=2)


def test_a_record_rebuilds_it_without_the_file(tmp_path: Path, write_prompts: Write) -> None:
    path = write_prompts(tmp_path / "p.parquet")
    config = TextConfig(prompts_file=path)
    path.unlink()
    assert TextConfig(**json.loads(config.model_dump_json())) == config


def test_a_path_on_the_command_line_and_what_the_digest_depends_on(tmp_path: Path, write_prompts: Write) -> None:
    def digest(path: Path) -> str:
        config, _ = override("lmgait", LMGaitConfig, PRESETS["quick"], {"prompts_file": str(path)})
        return json_digest(config.model_dump(mode="json"))

    first = digest(write_prompts(tmp_path / "p.parquet"))
    (tmp_path / "elsewhere").mkdir()
    assert digest(write_prompts(tmp_path / "elsewhere" / "p.parquet")) == first
    assert digest(write_prompts(tmp_path / "p.parquet", (ROUNDS[0], ROUNDS[0]))) != first


def test_a_pinned_file_must_be_that_file(tmp_path: Path, write_prompts: Write) -> None:
    path = write_prompts(tmp_path / "p.json")
    sha256 = file_digest(path)
    assert PromptFile.model_validate({"path": str(path), "sha256": sha256}) == PromptFile.model_validate(path)
    write_prompts(path, (ROUNDS[1], ROUNDS[0]))
    with pytest.raises(ValidationError, match="is not the file that was configured"):
        PromptFile.model_validate({"path": str(path), "sha256": sha256})
    with pytest.raises(ValidationError, match="and no rounds"):
        PromptFile.model_validate({"path": str(path), "rounds": [["a"]]})


def test_faults_name_the_file_and_the_next_step(tmp_path: Path, write_prompts: Write) -> None:
    with pytest.raises(ValidationError, match=r"cannot read the file of prompts .*gone\.json.*--schema prompts"):
        TextConfig(prompts_file=tmp_path / "gone.json")
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(ValidationError, match=r"cannot read the file of prompts .*pipe\.json: it is no regular file"):
        TextConfig(prompts_file=tmp_path / "pipe.json")
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(ValidationError, match=r"broken\.json holds no annotations.*--schema prompts"):
        TextConfig(prompts_file=tmp_path / "broken.json")
    with pytest.raises(
        ValidationError, match=r"g\.json: annotations of the schema prompts are needed, these are of gmtd"
    ):
        TextConfig(prompts_file=write_prompts(tmp_path / "g.json", schema_name="gmtd"))
    with pytest.raises(ValidationError, match=r"version 1 of the schema prompts are needed, these are of version 2"):
        TextConfig(prompts_file=write_prompts(tmp_path / "v.json", schema_version=2))
    with pytest.raises(ValidationError, match=r"has 2 of 4 rounds; run the same gaitbench annotate again"):
        TextConfig(prompts_file=write_prompts(tmp_path / "p.json", num_rounds=4))
    with pytest.raises(ValidationError, match=r"has 0 of 0 rounds"):
        TextConfig(prompts_file=write_prompts(tmp_path / "none.json", (), num_rounds=0))
    with pytest.raises(ValidationError, match="give one of them"):
        TextConfig(prompts_file=write_prompts(tmp_path / "p.json"), prompts=("An arm swings.",))
    with pytest.raises(ValidationError, match="prompts_file would not be read with prompt='wrong'"):
        TextConfig(prompts_file=tmp_path / "p.json", prompt="wrong")
    with pytest.raises(ValidationError, match="leave prompts_file out"):
        TextConfig(prompts_file=tmp_path / "p.json", has_text=False)
    with pytest.raises(UsageError, match=r"config\.prompts_file: .*cannot read the file of prompts"):
        override("lmgait", LMGaitConfig, PRESETS["quick"], {"prompts_file": str(tmp_path / "gone.json")})


def test_a_model_is_led_by_it(tmp_path: Path, small: Callable[..., LMGait], write_prompts: Write) -> None:
    path = write_prompts(tmp_path / "p.json")
    own = small(prompts=TextConfig(prompts_file=path).sentences)
    assert torch.equal(small(prompts_file=path).text(), own.text())
    assert not torch.allclose(small().text(), own.text())
