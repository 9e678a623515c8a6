import json
import shutil
from pathlib import Path

import pytest
from scored import embed, evaluate, protocol, record_of, table

from gaitbench.board import ExtraColumn
from gaitbench.board_text import board_markdown, board_text
from gaitbench.errors import RecordError
from gaitbench.leaderboard import add, build, check, from_folders, from_records, show
from gaitbench.results import read_record, write_record
from gaitbench.tasks import CrossmodalTask, EmbeddingSet, Evaluation, IdentityTask, Task

MODELS = {"gaitset": (0.6, (0, 1)), "gei": (1.5, (0,)), "nearest-raw": (6.0, (0,))}


def write_runs(folder: Path, task: Task, **changes: object) -> list[Path]:
    folders = []
    for model, (noise, seeds) in MODELS.items():
        for seed in seeds:
            evaluation = evaluate(task, noise=noise, seed=seed)
            record = record_of(evaluation, task, model=model, seed=seed, **changes)
            folders.append(folder / record.run_id)
            write_record(folders[-1], record, evaluation.tables)
    return folders


@pytest.fixture(scope="module")
def identity_runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_runs(tmp_path_factory.mktemp("identity"), IdentityTask())


@pytest.fixture(scope="module")
def crossmodal_runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_runs(tmp_path_factory.mktemp("crossmodal"), CrossmodalTask())


@pytest.fixture
def root(identity_runs: list[Path], tmp_path: Path) -> Path:
    add(identity_runs, tmp_path / "boards")
    return tmp_path / "boards"


def test_add_builds_what_check_accepts(root: Path) -> None:
    assert check(root) == []
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert {"README.md", "identity/small/README.md", "identity/small/leaderboard.json"} <= files
    assert len([name for name in files if name.endswith("record.json")]) == 4
    before = {path: path.read_bytes() for path in build(root)}
    assert all(path.read_bytes() == content for path, content in before.items())


def test_rows(root: Path) -> None:
    [board] = show(root).boards
    [section] = board.sections
    rows = {row.model: row for row in section.rows}
    assert [row.model for row in section.rows] == ["gaitset", "gei", "nearest-raw"]
    best, worst = rows["gaitset"], rows["nearest-raw"]
    assert (best.rank_low, best.rank_high) == (1, 1)
    assert (worst.rank_low, worst.rank_high) == (3, 3)
    assert (best.seeds, best.train_seconds, worst.is_trivial) == ((0, 1), 50.5, True)
    values = [evaluate(IdentityTask(), noise=0.6, seed=seed).score("rank_1", "mean").value for seed in (0, 1)]
    cell = best.cells[section.headline]
    assert cell.value == pytest.approx(sum(values) / 2)
    assert cell.seed_sd == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    assert cell.ci_low is not None
    assert cell.ci_high is not None
    assert cell.ci_low <= cell.value <= cell.ci_high
    assert cell.chance == pytest.approx(0.1)
    assert rows["gei"].cells[section.headline].seed_sd is None


def test_equal_models_share_their_rank(tmp_path: Path) -> None:
    folders = []
    for model, seed in (("one", 0), ("other", 1), ("twin", 1)):
        evaluation = evaluate(IdentityTask(), seed=seed)
        write_record(tmp_path / model, record_of(evaluation, IdentityTask(), model=model), evaluation.tables)
        folders.append(tmp_path / model)
    rows = from_folders(folders).boards[0].sections[0].rows
    assert [(row.rank_low, row.rank_high) for row in rows] == [(1, 3)] * 3
    assert "1-3" in str(from_folders(folders))


def test_crossmodal_has_both_directions_and_context(crossmodal_runs: list[Path], tmp_path: Path) -> None:
    add(crossmodal_runs, tmp_path)
    [section] = show(tmp_path).boards[0].sections
    row = section.rows[0]
    value = {
        c.directions: row.cells[c.key].value for c in section.columns if c.table == "main" and c.metric == "rank_1"
    }
    both = value[("silhouette->lidar",)], value[("lidar->silhouette",)]
    assert value[("silhouette->lidar", "lidar->silhouette")] == pytest.approx(sum(v or 0 for v in both) / 2)
    assert ("silhouette->silhouette",) in value
    assert ("lidar->lidar",) in value
    text = (tmp_path / "crossmodal" / "small" / "README.md").read_text()
    for word in ("silhouette->lidar", "lidar->silhouette", "silhouette->silhouette", "*chance*", "*(trivial)*"):
        assert word in text


def fused_evaluation(*, noise: float, seed: int = 0) -> Evaluation:
    """Two modalities, and the mean of both."""
    rows, proto = table(), protocol()
    silhouette, lidar = (embed(rows, noise=noise, seed=seed + more) for more in (0, 100))
    both = EmbeddingSet((silhouette.embeddings + lidar.embeddings) / 2, rows)
    sets = {"silhouette": silhouette, "lidar": lidar, "silhouette+lidar": both}
    return CrossmodalTask().evaluate(sets, proto, proto.divide(rows, needs_train=False), seed=seed, bootstrap=100)


def test_fused_rows_stand_beside_models_that_do_not_fuse(tmp_path: Path) -> None:
    plain = evaluate(CrossmodalTask(), noise=0.6)
    fusing = fused_evaluation(noise=1.5)
    folders = []
    for model, evaluation in (("plain", plain), ("fusing", fusing)):
        folders.append(tmp_path / "runs" / model)
        write_record(folders[-1], record_of(evaluation, CrossmodalTask(), model=model), evaluation.tables)
    add(folders, tmp_path / "boards")
    assert check(tmp_path / "boards") == []
    [section] = show(tmp_path / "boards").boards[0].sections
    # Neither what ranks nor what is broken down is a fusion.
    assert section.columns[0].directions == ("silhouette->lidar", "lidar->silhouette")
    fused = [column for column in section.columns if "+" in "".join(column.directions)]
    assert [column.directions[0] for column in fused] == [
        "silhouette+lidar->silhouette+lidar",
        "silhouette+lidar->silhouette",
        "silhouette->silhouette+lidar",
        "silhouette+lidar->lidar",
        "lidar->silhouette+lidar",
    ]
    assert {(column.table, column.metric) for column in fused} == {("main", "rank_1")}
    rows = {row.model: row for row in section.rows}
    assert (rows["plain"].rank_low, rows["fusing"].rank_low) == (1, 2)
    for column in fused:
        assert rows["plain"].cells[column.key].value is None
        cell, score = rows["fusing"].cells[column.key], fusing.score("rank_1", "mean", column.directions[0])
        assert (cell.value, cell.chance) == (pytest.approx(score.value), pytest.approx(0.1))
        assert cell.ci_low is not None
    counted = [(d.direction, d.group) for d in section.denominators]
    assert len(set(counted)) == len(counted) == 9 * 3
    text = (tmp_path / "boards" / "crossmodal" / "small" / "README.md").read_text()
    chance = next(line for line in text.splitlines() if "*chance*" in line)
    assert chance.count(" 10.0 |") == 10
    assert "`a+b` stands for sequences that the model embedded from both streams as one" in text


def test_an_older_seed_without_fused_rows_leaves_them_empty() -> None:
    older, later = evaluate(CrossmodalTask()), fused_evaluation(noise=1.0, seed=1)
    records = [record_of(e, CrossmodalTask(), seed=seed) for seed, e in enumerate((older, later))]
    [section] = from_records(records).boards[0].sections
    [row] = section.rows
    assert row.seeds == (0, 1)
    values = {column.directions: row.cells[column.key].value for column in section.columns if column.table == "main"}
    assert values[("lidar->silhouette+lidar",)] is None
    assert values[("lidar->silhouette",)] is not None


def test_boards_without_fusions_do_not_speak_of_them(crossmodal_runs: list[Path], tmp_path: Path) -> None:
    add(crossmodal_runs, tmp_path)
    assert "a+b" not in (tmp_path / "crossmodal" / "small" / "README.md").read_text()


def test_markdown_tables_are_whole(root: Path) -> None:
    text = (root / "identity" / "small" / "README.md").read_text()
    width = 0
    for line in text.splitlines():
        width = (width or line.count("|")) if line.startswith("|") else 0
        assert line.count("|") == width or not width, line
    for word in ("## How to read this", "Denominators", "quick", "Rank-1 by probe group", "0123456789ab", "seed 3"):
        assert word in text


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"task_version": 2}, id="task-version"),
        pytest.param({"fingerprint": "fedcba"}, id="fingerprint"),
        pytest.param({"options": {"seed": 4}}, id="options"),
        pytest.param({"version": "2"}, id="dataset-version"),
    ],
)
def test_what_cannot_be_compared_stands_apart(tmp_path: Path, changes: dict[str, object]) -> None:
    evaluation = evaluate(IdentityTask())
    record = record_of(evaluation, IdentityTask())
    data = record.data.model_copy(update={k: v for k, v in changes.items() if k != "task_version"})
    other = record.model_copy(update={"data": data, "run_id": "other"} | {
        k: v for k, v in changes.items() if k == "task_version"
    })  # fmt: skip
    sections = from_records([record, other]).boards[0].sections
    assert [len(section.rows) for section in sections] == [1, 1]
    assert all(section.rows[0].rank_low == 1 for section in sections)


def test_different_configurations_are_different_rows() -> None:
    evaluation = evaluate(IdentityTask())
    record = record_of(evaluation, IdentityTask())
    wide = record.model_copy(update={"model": record.model.model_copy(update={"config": {"width": 16}})})
    [section] = from_records([record, wide]).boards[0].sections
    assert len(section.rows) == 2


def test_rows_say_what_was_set_otherwise_than_in_the_preset() -> None:
    record = record_of(evaluate(IdentityTask()), IdentityTask())
    other = evaluate(IdentityTask(), noise=2.0)
    model = record.model.model_copy(update={"config": {"width": 16}, "changes": ("width=16",)})
    wide = record_of(other, IdentityTask(), model="gei").model_copy(update={"model": model, "run_id": "wide"})
    [board] = from_records([record, wide]).boards
    assert [row.configured for row in board.sections[0].rows] == ["quick", "quick, width=16"]
    assert "| quick, width=16 |" in board_markdown(board)


def test_what_the_source_leaves_open_is_told_once_for_all_rows_of_a_model() -> None:
    record = record_of(evaluate(IdentityTask()), IdentityTask())
    model = record.model.model_copy(update={"open_points": ("width: ours",), "note": "short training"})
    wide = model.model_copy(update={"config": {"width": 16}, "changes": ("width=16",)})
    runs = [record.model_copy(update={"model": each, "run_id": each.configured}) for each in (model, wide)]
    text = board_markdown(from_records(runs).boards[0])
    assert text.count("width: ours") == 1
    assert "(quick, gaitbench-made-up 1.0): short training" in text
    assert "(quick, width=16, gaitbench-made-up 1.0): before width=16 the preset was: short training" in text


def test_what_was_read_in_training_alone_parts_no_rows() -> None:
    record = record_of(evaluate(IdentityTask()), IdentityTask())
    read = {"modalities": ("silhouette", "parsing"), "fingerprint": "f" * 16, "training_only": ("parsing",)}
    data = record.data.model_copy(update={**read, "test_fingerprint": record.data.fingerprint})
    taught = record_of(evaluate(IdentityTask(), noise=2.0), IdentityTask(), model="taught", data=data)
    [board] = from_records([record, taught]).boards
    [section] = board.sections
    assert (section.modalities, section.fingerprint) == (("silhouette",), record.data.fingerprint)
    assert [row.training_only for row in section.rows] == [(), ("parsing",)]
    assert "taught (quick): in training it also read parsing" in board_text(board)
    other = taught.model_copy(update={"data": data.model_copy(update={"test_fingerprint": "e" * 16})})
    assert len(from_records([record, other]).boards[0].sections) == 2


def test_what_the_preset_has_anyway_is_not_named_as_changed() -> None:
    runs = [record_of(evaluate(IdentityTask(), seed=seed), IdentityTask(), seed=seed) for seed in (0, 1)]
    named = runs[0].model.model_copy(update={"changes": ("width=8",)})
    [section] = from_records([runs[0].model_copy(update={"model": named}), runs[1]]).boards[0].sections
    assert [row.configured for row in section.rows] == ["quick"]


def test_two_results_for_one_seed() -> None:
    one, other = (record_of(evaluate(IdentityTask(), noise=noise), IdentityTask()) for noise in (1.0, 2.0))
    with pytest.raises(RecordError, match="are both gei with seed 0 and differ in their scores"):
        from_records([one, other.model_copy(update={"run_id": "other"})])
    assert from_records([one, one]).boards[0].sections[0].rows[0].seeds == (0,)


def test_partial_runs_are_off_the_ranking(identity_runs: list[Path]) -> None:
    records = [read_record(folder) for folder in identity_runs]
    records[-1] = records[-1].model_copy(update={"status": "partial"})
    board = from_records(records)
    [section] = board.boards[0].sections
    assert [row.model for row in section.rows] == ["gaitset", "gei"]
    [partial] = section.partial_rows
    assert (partial.model, partial.rank_low) == ("nearest-raw", None)
    assert "Partial, off the ranking" in str(board)


def test_reported_numbers_stand_apart() -> None:
    proto = protocol(
        probes={"A": protocol().probes["NM"], "B": protocol().probes["BG"]}, published={"dataset": "usf-gait17"}
    )
    evaluation = evaluate(IdentityTask(), proto=proto)
    board = from_records([record_of(evaluation, IdentityTask(), proto=proto)])
    [section] = board.boards[0].sections
    assert [row.model for row in section.rows] == ["gei"]
    best = section.reported[0]
    assert (best.model, best.values, best.mean) == ("HMM", {"A": 99.0, "B": 89.0}, 94.0)
    assert "Table VII" in str(board)


def test_reported_numbers_have_columns_doubt_and_sources_of_their_own(tmp_path: Path) -> None:
    proto = protocol(name="grew", probes={"all": protocol().probes["NM"]}, headline="all")
    evaluation = evaluate(IdentityTask(), proto=proto)
    write_record(tmp_path / "run", record_of(evaluation, IdentityTask(), proto=proto), evaluation.tables)
    add(tmp_path / "run", tmp_path / "boards")
    assert check(tmp_path / "boards") == []
    text = str(show(tmp_path / "boards"))
    measured, reported = text.split("Reported by others")
    assert "GaitGL" not in measured
    assert "gei" not in reported
    for word in ("47.3?", "GaitGL: not read in the paper itself", "is in doubt", "quoted second-hand"):
        assert word in reported
    page = (tmp_path / "boards" / "identity" / "small" / "README.md").read_text()
    assert "| model | modality | rank-1 | source |" in page
    assert page.index("### Measured") < page.index("### Reported") < page.index("47.3?")


def test_columns_of_plugins(root: Path) -> None:
    column = ExtraColumn("licence", lambda record: f"free {record.model.name}")
    build(root, columns=[column])
    assert "free gaitset" in (root / "identity" / "small" / "README.md").read_text()
    assert check(root, columns=[column]) == []
    assert check(root) != []


def test_check_finds_edited_tables(root: Path) -> None:
    readme, data = root / "identity" / "small" / "README.md", root / "identity" / "small" / "leaderboard.json"
    readme.write_text(readme.read_text().replace("gaitset", "mymodel"))
    [problem] = check(root)
    assert "README.md is not what its records give" in problem
    board = json.loads(data.read_text())
    next(iter(board["sections"][0]["rows"][0]["cells"].values()))["value"] += 1e-6
    data.write_text(json.dumps(board))
    assert len(check(root)) == 2
    (root / "README.md").unlink()
    assert any("is missing" in problem for problem in check(root))


def test_check_finds_edited_records_and_tables(root: Path) -> None:
    runs = sorted((root / "identity" / "small" / "runs").iterdir())
    record = runs[0] / "record.json"
    text = record.read_text()
    value = json.loads(text)["scores"][0]["value"]
    record.write_text(text.replace(f'"value": {value}', '"value": 0.99', 1))
    probes = runs[1] / "probes.parquet"
    probes.write_bytes(probes.read_bytes()[:-8])
    (runs[2] / "verification.parquet").unlink()
    problems = check(root)
    assert len(problems) == 3
    assert "is 0.99 in the record" in problems[0]
    assert "changed after the run" in problems[1]
    with pytest.raises(RecordError):
        build(root)


def test_check_finds_strays(root: Path) -> None:
    shutil.copytree(root / "identity" / "small", root / "identity" / "elsewhere")
    assert any("move it to" in problem for problem in check(root))
    shutil.rmtree(root / "identity" / "elsewhere" / "runs")
    [problem] = check(root)
    assert "has no record behind it" in problem


def test_nothing_is_copied_when_one_run_is_bad(identity_runs: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(identity_runs[0], broken)
    (broken / "probes.parquet").write_bytes(b"")
    with pytest.raises(RecordError, match="changed after the run"):
        add([*identity_runs, broken], tmp_path / "boards")
    assert not (tmp_path / "boards").exists()
    with pytest.raises(RecordError, match=r"has no record\.json"):
        add(tmp_path, tmp_path / "boards")


def test_empty_leaderboards(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="holds no record"):
        build(tmp_path)
    with pytest.raises(RecordError, match="has no board of identity"):
        show(tmp_path, "identity")
    assert len(check(tmp_path)) == 1


def test_show_one_task(root: Path, crossmodal_runs: list[Path]) -> None:
    add(crossmodal_runs[0], root)
    assert [board.task for board in show(root).boards] == ["crossmodal", "identity"]
    assert [board.task for board in show(root, "identity", "small").boards] == ["identity"]
    assert "crossmodal on small" in str(show(root))
