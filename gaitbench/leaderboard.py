"""Leaderboards on disk: records in, tables out, and a check that the tables are what the records give.

::

    ROOT/README.md                          all boards
    ROOT/TASK/DATASET/README.md             the tables
    ROOT/TASK/DATASET/leaderboard.json      the same as data (:class:`gaitbench.board.Board`)
    ROOT/TASK/DATASET/runs/RUN/             record.json and its evidence
"""

import json
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError

from gaitbench.aggregate import Finished, boards_of
from gaitbench.atomic import write_bytes, write_text
from gaitbench.board import Board, ExtraColumn
from gaitbench.board_text import board_markdown, board_text, index_markdown
from gaitbench.errors import GaitbenchError, RecordError
from gaitbench.results import RECORD_FILE, RunRecord
from gaitbench.tasks.audit import read_audited

__all__ = ["Leaderboard", "add", "build", "check", "from_folders", "from_records", "read_run", "show"]

BOARD_FILE = "leaderboard.json"
"""Name of a board's data."""

TOLERANCE = 1e-9
"""Largest difference between a committed number and its recomputation on another machine."""


class Leaderboard(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One or several boards; ``str()`` gives the text for a terminal."""

    boards: tuple[Board, ...]
    """By task and dataset."""

    def __str__(self) -> str:
        return "\n\n".join(board_text(board) for board in self.boards)


def build(root: Path | str, *, columns: Sequence[ExtraColumn] = ()) -> list[Path]:
    """Audit every record under a leaderboard's folder and write its tables.

    Args:
        root: The folder.
        columns: Of plugins.

    Returns:
        The files written.

    Raises:
        RecordError: There is no record, or one does not agree with its evidence.
        OutputError: A file cannot be written.
    """
    root = Path(root)
    contents = _contents(root, [_run_in_place(root, folder) for folder in _run_folders(root)], columns)
    for path, text in contents.items():
        write_text(path, text)
    return list(contents)


def check(root: Path | str, *, columns: Sequence[ExtraColumn] = ()) -> list[str]:
    """Audit every record and compare the tables with what the records give.

    Args:
        root: A leaderboard's folder.
        columns: Of plugins, as they were given to :func:`build`.

    Returns:
        What is wrong, a line each; empty when everything follows from the records.
    """
    root = Path(root)
    problems, runs = [], []
    for folder in _run_folders(root):
        try:
            runs.append(_run_in_place(root, folder))
        except GaitbenchError as error:
            problems.append(str(error))
    if problems:
        return problems
    try:
        contents = _contents(root, runs, columns)
    except GaitbenchError as error:
        return [str(error)]
    for path, text in contents.items():
        if not path.is_file():
            problems.append(f"{path} is missing; run `gaitbench leaderboard build {root}`")
        elif not _agrees(path, text):
            problems.append(
                f"{path} is not what its records give; run `gaitbench leaderboard build {root}` and compare"
            )
    known = {path.parent for path in contents}
    stale = [path for path in root.glob(f"*/*/{BOARD_FILE}") if path.parent not in known]
    return problems + [f"{path} has no record behind it; remove it" for path in stale]


def show(root: Path | str, task: str | None = None, dataset: str | None = None) -> Leaderboard:
    """Read the tables of a leaderboard.

    Args:
        root: The folder.
        task: Only this task.
        dataset: Only this dataset.

    Returns:
        The boards.

    Raises:
        RecordError: There is no such board, or its file is damaged.
    """
    root = Path(root)
    boards = []
    for path in sorted(root.glob(f"*/*/{BOARD_FILE}")):
        if (task or path.parts[-3]) != path.parts[-3] or (dataset or path.parts[-2]) != path.parts[-2]:
            continue
        try:
            boards.append(Board.model_validate_json(path.read_bytes()))
        except (OSError, ValidationError) as error:
            raise RecordError(f"{path} cannot be read ({error}); run `gaitbench leaderboard build {root}`") from error
    if not boards:
        wanted = " ".join(word for word in (task, dataset) if word) or "any task"
        raise RecordError(
            f"{root} has no board of {wanted}; add runs with `gaitbench leaderboard add`, or run "
            f"`gaitbench leaderboard build {root}`"
        )
    return Leaderboard(boards=tuple(boards))


def add(
    runs: Iterable[Path | str] | Path | str, root: Path | str, *, columns: Sequence[ExtraColumn] = ()
) -> list[Path]:
    """Copy finished runs into a leaderboard, after an audit, and build it again.

    Args:
        runs: Folders of finished runs, or one of them.
        root: The leaderboard's folder; created when needed.
        columns: Of plugins.

    Returns:
        The files written.

    Raises:
        RecordError: A run is not finished or does not agree with its evidence; nothing is copied then.
        OutputError: A file cannot be written.
    """
    root = Path(root)
    folders = [Path(runs)] if isinstance(runs, str | Path) else [Path(folder) for folder in runs]
    records = [(folder, read_run(folder).record) for folder in folders]
    written = []
    for folder, record in records:
        target = _place(root, record)
        for name in [*(f"{table}.parquet" for table in record.evidence), RECORD_FILE]:
            write_bytes(target / name, (folder / name).read_bytes())
            written.append(target / name)
    return written + build(root, columns=columns)


def from_folders(folders: Iterable[Path | str], *, columns: Sequence[ExtraColumn] = ()) -> Leaderboard:
    """Rank finished runs where they lie, without a leaderboard's folder.

    Args:
        folders: Of finished runs.
        columns: Of plugins.

    Returns:
        The boards.

    Raises:
        RecordError: A run is not finished or does not agree with its evidence.
    """
    return Leaderboard(boards=boards_of([read_run(Path(folder)) for folder in folders], columns=columns))


def from_records(records: Iterable[RunRecord], *, columns: Sequence[ExtraColumn] = ()) -> Leaderboard:
    """Rank records alone. Without their tables ties cannot be told, so ranks are by value.

    Args:
        records: Of finished runs.
        columns: Of plugins.

    Returns:
        The boards.
    """
    return Leaderboard(boards=boards_of([Finished(record, None) for record in records], columns=columns))


def read_run(folder: Path) -> Finished:
    """Read a finished run, check its files and audit it.

    Args:
        folder: With ``record.json`` and the tables.

    Returns:
        Record and tables.

    Raises:
        RecordError: The run is not finished or does not agree with its evidence.
    """
    return Finished(*read_audited(folder))


def _contents(root: Path, runs: list[Finished], columns: Sequence[ExtraColumn]) -> dict[Path, str]:
    """Path to text of every table that the records give."""
    if not runs:
        raise RecordError(f"{root} holds no record (TASK/DATASET/runs/RUN/{RECORD_FILE}); add runs first")
    boards = boards_of(runs, columns=columns)
    contents = {}
    for board in boards:
        folder = root / _word(board.task) / _word(board.dataset)
        contents[folder / BOARD_FILE] = board.model_dump_json(indent=1) + "\n"
        contents[folder / "README.md"] = board_markdown(board)
    contents[root / "README.md"] = index_markdown([(f"{_word(b.task)}/{_word(b.dataset)}", b) for b in boards])
    return contents


def _run_folders(root: Path) -> list[Path]:
    return sorted(path.parent for path in root.glob(f"*/*/runs/*/{RECORD_FILE}"))


def _run_in_place(root: Path, folder: Path) -> Finished:
    run = read_run(folder)
    place = _place(root, run.record).parent
    if folder.parent != place:
        raise RecordError(f"{folder} holds a record of {run.record.task} on {run.record.data.name}; move it to {place}")
    return run


def _place(root: Path, record: RunRecord) -> Path:
    model = record.model
    name = f"{_word(model.name)}-{_word(model.preset)}-s{record.training.seed}-{_word(record.run_id)[:10]}"
    return root / _word(record.task) / _word(record.data.name) / "runs" / name


def _word(text: str) -> str:
    """Text as a file name."""
    return re.sub(r"[^A-Za-z0-9_.+@=-]", "_", text).lstrip(".") or "_"


def _agrees(path: Path, text: str) -> bool:
    try:
        found = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    if path.suffix != ".json":
        return found == text
    try:
        return _same(json.loads(found), json.loads(text))
    except json.JSONDecodeError:
        return False


def _same(a: object, b: object) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=0, abs_tol=TOLERANCE)
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return a == b
