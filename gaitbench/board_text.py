"""Boards as Markdown and as plain text. Percent is rounded here, once."""

from collections.abc import Iterable, Iterator, Sequence

from gaitbench.attribute_text import ATTRIBUTES_REPORTED, HOW_TO_READ_ATTRIBUTES, TABLE_TITLES, about_labels
from gaitbench.board import Board, Cell, Column, Row, Section
from gaitbench.reported import ReportedElsewhere
from gaitbench.reported_text import reported_notes, reported_table
from gaitbench.results import TrainedOn

__all__ = ["HOW_TO_READ", "board_markdown", "board_text", "index_markdown"]

HOW_TO_READ = (
    (
        "Numbers are percent. The value is the mean over seeds, with the standard deviation between seeds after ±, in "
        "brackets the 95 % interval of that mean from a bootstrap over test subjects (the gallery stays as it is)."
    ),
    (
        "Rows are ordered by the first measured column. A rank like 1-2 is shared: the paired difference to another is"
        " not significant at 95 %."
    ),
    (
        "A tie between distances counts against the probe. A row marked *trivial* is the baseline of the task; "
        "*quick* presets are small versions and say little about the published method."
    ),
    "EER and TAR@FAR pool the pairs of all cells of a probe group; other numbers are averaged as the protocol says.",
    (
        "*Measured* numbers were made by this library, with the records in `runs/`; *reported* numbers were read in "
        "the cited source and never share a table with them."
    ),
)
"""Lines under every board."""

_CROSS_DATASET = (
    "A table of `A -> B` was trained on A and scored on B. Its rows are ranked among themselves, never among rows that "
    "were trained on B."
)
_FUSED = (
    "In a direction, `a+b` stands for sequences that the model embedded from both streams as one. Such columns, like "
    "those of one stream against itself, are context and do not rank; a model that fuses nothing has none."
)
_USES_LABELS = (
    "The rows of a table *with true attributes* knew labels of the test sequences, which nobody has where a method is "
    "used. They are ranked among themselves, never among rows that did not."
)
_REPORTED = (
    "Percent as printed; columns with the name of a probe group are rank-1. The mean is our arithmetic over the "
    "groups; a mean that the source prints stands apart, as it may be over more groups than are shown."
)


def board_markdown(board: Board) -> str:
    """Render a board as the README.md beside its records.

    Args:
        board: Any board.

    Returns:
        Markdown with a line break at its end.
    """
    lines = [
        f"# {board.task} on {board.dataset}",
        "",
        "Built by `gaitbench leaderboard build` from the records in `runs/`; do not edit.",
    ]
    for section in board.sections:
        lines += ["", *_section_markdown(section)]
    is_crossing = any(section.trained_on for section in board.sections)
    reading = HOW_TO_READ_ATTRIBUTES if any(section.labels for section in board.sections) else HOW_TO_READ
    reading = (*reading, _CROSS_DATASET) if is_crossing else reading
    reading = (*reading, _FUSED) if any(_is_fused(section) for section in board.sections) else reading
    reading = (*reading, _USES_LABELS) if any(section.uses_labels for section in board.sections) else reading
    lines += ["", "## How to read this", "", *(f"- {line}" for line in reading)]
    return "\n".join(lines) + "\n"


def index_markdown(boards: Sequence[tuple[str, Board]]) -> str:
    """Render the list of all boards.

    Args:
        boards: Folder, relative to the list, and board.

    Returns:
        Markdown with a line break at its end.
    """
    rows = []
    for folder, board in boards:
        for section in board.sections:
            best = section.rows[0] if section.rows else None
            title = f"[{_title(board.task, section)}]({folder}/README.md)"
            about = f"{section.dataset_version}, {' + '.join(section.modalities)}"
            leader = f"{best.model} ({best.configured})" if best else "no complete run"
            value = _percent(best.cells[section.headline].value) if best else ""
            rows.append([title, about, str(len(section.rows)), leader, value])
    has_labels = any(section.labels for _, board in boards for section in board.sections)
    head = ["board", "data", "models", "first row", "rank-1 or mA, %" if has_labels else "rank-1, %"]
    lines = ["# Leaderboards", "", "Built by `gaitbench leaderboard build`; do not edit.", "", *_markdown(head, rows)]
    return "\n".join(lines) + "\n"


def board_text(board: Board) -> str:
    """Render a board for a terminal.

    Args:
        board: Any board.

    Returns:
        Lines of text without markup.
    """
    lines = []
    for section in board.sections:
        head, rows = _main_table(section)
        title = _title(board.task, section)
        if len(board.sections) > 1:
            title += f", {' + '.join(section.modalities)}"
        lines += [title, *_about(section, with_options=False), *_aligned(head, rows)]
        tables = ("groups", "attributes", "classes")
        lines += _broken_down(section, section.rows, tables)
        shown = (*section.rows, *section.partial_rows)
        if notes := [f"{row.model} ({row.configured}): {note}" for row in shown for note in _run_notes(row)]:
            lines += ["", *dict.fromkeys(notes)]
        if section.partial_rows:
            lines += ["", "Partial, off the ranking:", *_aligned(*_partial_table(section))]
            lines += _broken_down(section, _partial_alone(section), tables)
        if section.reported:
            lines += ["", "Reported by others, percent as printed (not measured here):"]
            lines += [ATTRIBUTES_REPORTED] if section.labels else []
            lines += _aligned(*reported_table(section.reported, _reported_groups(section)))
            lines += ["", *reported_notes(section.reported)]
        for other in section.reported_elsewhere:
            lines += ["", *_elsewhere(section, other)]
            lines += [*_aligned(*reported_table(other.rows, other.groups)), "", *reported_notes(other.rows)]
        lines.append("")
    return "\n".join(lines).rstrip()


def _broken_down(section: Section, rows: Sequence[Row], tables: Sequence[str]) -> list[str]:
    """The tables below the main one, for a terminal."""
    titles = _TABLES if section.labels is None else TABLE_TITLES
    return [
        line
        for table in tables
        for label, head, body in _tables_by(section, table, rows)
        for line in ("", f"{titles[table]}{label and f', {label}'}", *_aligned(head, body)[1:])
    ]


def _section_markdown(section: Section) -> list[str]:
    known = _WITH_LABELS if section.uses_labels else ""
    lines = [f"## {_route(section)} {section.dataset_version}, {' + '.join(section.modalities)}{known}", ""]
    lines += [f"- {line}" for line in _about(section)]
    lines += ["", "### Measured", "", *_markdown(*_main_table(section))]
    titles = _TABLES if section.labels is None else TABLE_TITLES
    for table, title in titles.items():
        for label, head, rows in _tables_by(section, table, section.rows):
            lines += ["", f"### {title}{label and f', {label}'}", "", *_markdown(head, rows)]
    if section.partial_rows:
        lines += ["", "### Partial runs, off the ranking", ""]
        lines += ["Subjects or sequences that the protocol needs were missing.", ""]
        lines += _markdown(*_partial_table(section))
        for table, title in titles.items():
            for label, head, rows in _tables_by(section, table, _partial_alone(section)):
                lines += ["", f"#### {title}{label and f', {label}'}", "", *_markdown(head, rows)]
    if section.reported:
        lines += ["", "### Reported", "", _REPORTED if section.labels is None else ATTRIBUTES_REPORTED, ""]
        lines += _markdown(*reported_table(section.reported, _reported_groups(section)))
        lines += ["", *(f"- {note}" for note in reported_notes(section.reported))]
    for other in section.reported_elsewhere:
        title, *said = _elsewhere(section, other)
        lines += ["", f"### {title}", "", " ".join(said), ""]
        lines += _markdown(*reported_table(other.rows, other.groups))
        lines += ["", *(f"- {note}" for note in reported_notes(other.rows))]
    lines += ["", "### Denominators", "", *_markdown(*_denominators(section))]
    if notes := _model_notes((*section.rows, *section.partial_rows)):
        lines += ["", "### Notes on models", "", *(f"- {note}" for note in dict.fromkeys(notes))]
    return lines


_TABLES = {
    "groups": "Rank-1 by probe group",
    "gaps": "Rank-1 by angle between probe and gallery view, mean over groups",
}
"""Tables below the main one."""


def _elsewhere(section: Section, other: ReportedElsewhere) -> list[str]:
    """What stands above reported numbers of other data; the title first."""
    title = f"Reported of other data: {other.title}"
    known = [] if section.labels is None else [ATTRIBUTES_REPORTED]
    return [title, f"Not comparable with what was measured on {section.dataset}: other people, other labels.", *known]


def _reported_groups(section: Section) -> tuple[str, ...]:
    return section.groups if section.labels is None else ("all",)


def _about(section: Section, *, with_options: bool = True) -> list[str]:
    lines = [
        (
            f"Task version {section.task_version}; protocol {section.protocol} version {section.protocol_version}: "
            f"{section.protocol_title}. Source: {section.protocol_source}"
        ),
        (
            f"{section.num_test_subjects} test subjects, {section.num_gallery} gallery and {section.num_probes} probe "
            f"sequences. Data fingerprint {section.fingerprint[:12]}."
        ),
    ]
    if section.labels is not None:
        people = f"{section.num_test_subjects} test subjects. Data fingerprint {section.fingerprint[:12]}."
        lines[1] = f"{people} {about_labels(section.labels)}"
    if section.options and with_options:
        lines.append(f"Dataset options: {_options(section.options)}")
    if section.trained_on is not None:
        lines.insert(0, _training(section.trained_on, with_options=with_options))
    return lines


def _training(source: TrainedOn, *, with_options: bool) -> str:
    said = f" Options: {_options(source.options)}." if source.options and with_options else ""
    return (
        f"Trained on {source.name} {source.version}, the training part of protocol {source.protocol} version "
        f"{source.protocol_version}: {source.num_subjects} subjects, {source.num_sequences} sequences. Data "
        f"fingerprint {source.fingerprint[:12]}.{said} {_PEOPLE[source.people]}"
    )


_PEOPLE = {
    "others": "Nothing of the test data was seen in training.",
    "divided": "Both data show the same people; nobody is in training and test.",
    "unknown": "Whether people of the test were seen in training is not known.",
}


def _options(options: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items())


def _title(task: str, section: Section) -> str:
    known = _WITH_LABELS if section.uses_labels else ""
    if section.trained_on is None:
        return f"{task} on {section.dataset}{known}"
    return f"{task}, {_route(section)}{known}"


_WITH_LABELS = " with true attributes"


def _route(section: Section) -> str:
    """The dataset, behind an arrow where others were trained on; what tells them apart follows equal names."""
    source = section.trained_on
    if source is None:
        return section.dataset
    if source.name != section.dataset:
        return f"{source.name} -> {section.dataset}"
    differing = [
        name for name in {**source.options, **section.options} if source.options.get(name) != section.options.get(name)
    ]
    ends = [
        ", ".join(f"{name} {options[name]}" for name in differing if name in options) or protocol
        for options, protocol in ((source.options, source.protocol), (section.options, section.protocol))
    ]
    return " -> ".join(f"{section.dataset} ({end})" for end in ends)


def _main_table(section: Section) -> tuple[list[str], list[list[str]]]:
    return _beside_simple(section, section.rows)


def _partial_table(section: Section) -> tuple[list[str], list[list[str]]]:
    if _partial_alone(section):
        return _beside_simple(section, section.partial_rows)
    return _rows_table(section, section.partial_rows, "main")


def _partial_alone(section: Section) -> tuple[Row, ...]:
    """Partial rows where no row can be complete, as nobody published how the data are divided; all are of one test."""
    return section.partial_rows if section.labels is not None and not section.rows else ()


def _beside_simple(section: Section, shown: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Rows with what guessing and the majority have."""
    head, rows = _rows_table(section, shown, "main")
    if shown:
        first = shown[0]
        chances = [_percent(_chance(shown, column)) for column in _of(section, "main")]
        rest = [""] * (len(head) - 5 - len(chances))
        rows.append(["", "*chance*", "", "", "", *chances, *rest])
        majorities = [_percent(first.cells[column.key].majority) for column in _of(section, "main")]
        if any(majorities):
            rows.append(["", "*majority*", "", "", "", *majorities, *rest])
    return head, rows


def _rows_table(section: Section, rows: Iterable[Row], table: str) -> tuple[list[str], list[list[str]]]:
    rows = list(rows)
    columns = _of(section, table)
    extra = list(dict.fromkeys(title for row in rows for title in row.extra))
    head = ["rank", "model", "preset", "fidelity", "seeds", *(_head(section, column) for column in columns)]
    head += [*([] if section.labels is None else ["decides"]), "parameters", "train, s", *extra]
    body = [
        [
            _rank(row),
            row.model + (" *(trivial)*" if row.is_trivial else ""),
            row.configured,
            row.fidelity,
            str(len(row.seeds)),
            *(_cell(row.cells[column.key], column.key == section.headline) for column in columns),
            *([] if section.labels is None else [row.decides]),
            _count(row.num_parameters),
            f"{row.train_seconds:.0f}",
            *(row.extra.get(title, "") for title in extra),
        ]
        for row in rows
    ]
    return head, body


def _is_fused(section: Section) -> bool:
    return any("+" in direction for column in section.columns for direction in column.directions)


def _chance(shown: Sequence[Row], column: Column) -> float | None:
    """What a random ranking scores: that of the first row which has the column at all."""
    return next((chance for row in shown if (chance := row.cells[column.key].chance) is not None), None)


def _tables_by(section: Section, table: str, shown: Sequence[Row]) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Direction, head and rows of each table of a kind; none without rows."""
    columns = _of(section, table)
    for directions in dict.fromkeys(column.directions for column in columns) if shown else ():
        chosen = [column for column in columns if column.directions == directions]
        label = " ".join(directions)
        head = ["model", "preset", *(column.title.removesuffix(label).strip() for column in chosen)]
        rows = [[row.model, row.configured, *(_cell(row.cells[c.key], False) for c in chosen)] for row in shown]
        first = shown[0]
        rows.append(["*chance*", "", *(_percent(_chance(shown, c)) for c in chosen)])
        if any(first.cells[c.key].majority is not None for c in chosen):
            rows.append(["*majority*", "", *(_percent(first.cells[c.key].majority) for c in chosen)])
        yield label, head, rows


def _denominators(section: Section) -> tuple[list[str], list[list[str]]]:
    head = ["group", "direction", "comparisons", "counted", "absent", "pairs left out"]
    if section.labels is not None:
        head = ["group", "", "sequences", "counted", "without labels", "labels unknown"]
    rows = [
        [d.group, d.direction, *(str(n) for n in (d.num_probes, d.num_counted, d.num_absent, d.num_excluded))]
        for d in section.denominators
    ]
    return head, rows


def _model_notes(rows: Sequence[Row]) -> list[str]:
    """Notes of every row, then what each model's source leaves open, once for all of its rows."""
    notes = [f"{row.model} ({row.configured}, {row.plugin}): {text}" for row in rows for text in _run_notes(row)]
    return notes + [f"{row.model} ({row.plugin}), open: {text}" for row in rows for text in row.open_points]


def _run_notes(row: Row) -> list[str]:
    """What a reader of its numbers must know: the preset's own words, and towers that are not the published ones."""
    notes = [row.note] if row.note else []
    if row.training_only:
        notes.append(f"in training it also read {' + '.join(row.training_only)}, which those beside it may not have")
    return notes + [tower.says for tower in row.towers if tower.is_stand_in]


def _of(section: Section, table: str) -> list[Column]:
    return [column for column in section.columns if column.table == table]


def _head(section: Section, column: Column) -> str:
    if section.labels is not None:
        return f"{column.title} (ranks)" if column.key == section.headline else column.title
    where = "" if column.group == "mean" else f" {column.group}"
    if column.key == section.headline:
        return f"{column.title}{where} (ranks)" if "rank" in column.title else f"rank-1 {column.title}{where} (ranks)"
    is_rank_1 = column.metric == "rank_1" and "rank" not in column.title
    return f"rank-1 {column.title}" if is_rank_1 else column.title


def _rank(row: Row) -> str:
    if row.rank_low is None or row.rank_high is None:
        return ""
    return str(row.rank_low) if row.rank_low == row.rank_high else f"{row.rank_low}-{row.rank_high}"


def _cell(cell: Cell, is_headline: bool) -> str:
    if cell.value is None:
        return "-"
    text = _percent(cell.value)
    if cell.seed_sd is not None:
        text += f" ±{_percent(cell.seed_sd)}"
    if is_headline and cell.ci_low is not None and cell.ci_high is not None:
        text += f" [{_percent(cell.ci_low)}, {_percent(cell.ci_high)}]"
    return text


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _count(number: int) -> str:
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.1f} {letter}"
    return str(number)


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return [line(head), "|" + "---|" * len(head), *map(line, rows)]


def _aligned(head: Sequence[str], rows: Sequence[Sequence[str]], *, width: int = 100) -> list[str]:
    """Lines of a table; one too wide for a terminal goes on below itself, the columns up to the model's repeated."""
    table = [[cell.replace("*", "") for cell in cells] for cells in (head, *rows)]
    columns = list(zip(*table, strict=True))
    sizes = [max(map(len, column)) for column in columns]
    keys = list(range(head.index("model") + 1))
    lines: list[str] = []
    rest = list(range(len(keys), len(head)))
    while rest:
        room = width - sum(sizes[i] + 2 for i in keys)
        taken = [rest.pop(0)]
        while rest and sum(sizes[i] + 2 for i in taken) + sizes[rest[0]] <= room:
            taken.append(rest.pop(0))
        chosen = [(columns[i], sizes[i]) for i in keys + taken]
        part = [
            "  ".join(
                column[at].rjust(size) if _is_numeric(column) else column[at].ljust(size) for column, size in chosen
            ).rstrip()
            for at in range(len(table))
        ]
        lines += ["", part[0], "-" * max(map(len, part)), *part[1:]]
    return lines


def _is_numeric(column: Sequence[str]) -> bool:
    return all(cell[0].isdigit() or cell == "-" for cell in column[1:] if cell)
