"""What a protocol says, in words: who is compared with whom and how it is counted."""

from typing import TYPE_CHECKING

from gaitbench.partition import LIST_KEYS, ListRole

if TYPE_CHECKING:
    from gaitbench.protocol import Protocol, Selection

__all__ = ["protocol_text"]

_SHOWN = 6
"""Words of a longer list that are shown."""


def protocol_text(protocol: "Protocol") -> str:
    """Say in words who is compared with whom and how it is counted.

    Args:
        protocol: Any protocol.

    Returns:
        Lines of text without markup.

    Example:
        >>> from gaitbench.protocol import Protocol, Selection
        >>> probes = {"NM": Selection(conditions=("nm-0[56]",))}
        >>> protocol = Protocol(name="p", dataset="d", title="A protocol", source="us", train=Selection(),
        ...     test_subjects=("061..100",), gallery=Selection(conditions=("nm-0[1-4]",)), probes=probes, headline="NM")
        >>> print(protocol_text(protocol).splitlines()[3])
        gallery         conditions nm-0[1-4]
    """
    title = f"{protocol.name}, version {protocol.version}: {protocol.title}"
    if protocol.tasks == ("attribute",):
        asked = [f"asked {name:<10}{_say(selection)}" for name, selection in protocol.probes.items()]
        scored = "scored          the attributes of every test sequence, known labels only; nothing is searched"
        return "\n".join([title, *_people(protocol), *asked, scored, *_ends(protocol)])
    lines = [title, *_people(protocol), *_roles(protocol)]
    if protocol.tasks:
        lines.append(f"tasks           {', '.join(protocol.tasks)}")
    groups = ", ".join(protocol.mean_groups or protocol.probes)
    lines += [
        f"unit            {_UNITS[protocol.unit]}",
        f"distance        {_DISTANCES[protocol.distance]}",
        f"left out        {'; '.join(_EXCLUSIONS[kind] for kind in protocol.exclude) or 'no pair'}",
        f"averaging       {_AVERAGING[protocol.averaging]}",
        f"absent probes   {_ABSENT[protocol.absent_probes]}",
        "ties            count against the probe",
        f"ranks           {', '.join(map(str, sorted({1, *protocol.ranks})))}",
    ]
    if rounded := protocol.rounded_metrics:
        lines.append(f"rounding        {_ROUNDING[protocol.averaging]}: {', '.join(f'{m}_official' for m in rounded)}")
    if protocol.is_grid_complete:
        lines.append(
            "empty cells     every view must occur in every group and its gallery; without, a result is partial"
        )
    lines.append(f"headline        rank-1 of {protocol.headline}; mean is the plain mean over {groups}")
    if protocol.view_separator:
        lines.append(f"views           told apart by what stands before the first {protocol.view_separator!r}")
    if protocol.left_out_views:
        lines.append(f"views left out  {', '.join(protocol.left_out_views)}")
    if protocol.reranking:
        used = protocol.reranking
        lines.append(f"re-ranking      k-reciprocal, k1 {used.k1}, k2 {used.k2}, original distance {used.weight:g}")
    if protocol.submission:
        entries = "integer labels" if protocol.submission.labels == "integers" else "labels"
        lines.append(
            f"submission      probe labels are withheld; per probe the {entries} of its "
            f"{protocol.submission.num_ranks} nearest gallery sequences: {','.join(protocol.submission.header)}"
        )
    named = [f"official name   {theirs} is {ours}" for theirs, ours in protocol.evaluator_keys.items()]
    lines += named[: 2 * _SHOWN]
    if len(named) > 2 * _SHOWN:
        lines.append(
            f"official name   and {len(named) - 2 * _SHOWN} more, up to {named[-1].removeprefix('official name   ')}"
        )
    return "\n".join([*lines, *_ends(protocol)])


def _ends(protocol: "Protocol") -> list[str]:
    return [
        f"source          {protocol.source}",
        *(f"note            {note}" for note in protocol.notes),
        *(f"deviation       {problem}" for problem in protocol.list_problems()),
    ]


_UNITS = {
    "sequence": "one sequence",
    "set": "all sequences of one subject in one condition and view; distance of sets: mean over samples of the "
    "distance to the nearest sample of the other set, both ways, added",
}
_DISTANCES = {
    "euclidean": "mean over parts of the Euclidean distance",
    "cosine": "one minus the mean over parts of the cosine",
}
_EXCLUSIONS = {
    "identical_view": "pairs of one view",
    "same_subject_and_view": "pairs of one subject in one view",
    "same_sequence": "a sequence with itself",
}
_AVERAGING = {
    "view_pairs": "a cell per probe view and gallery view; mean over gallery views, then over probe views",
    "probe_views": "one pooled gallery; a cell per probe view, mean over probe views",
    "probes": "one pooled gallery, mean over probes",
}
_ROUNDING = {
    "view_pairs": "each cell to two decimals of a percent before averaging",
    "probe_views": "each cell to two decimals of a percent before averaging",
    "probes": "to two decimals of a percent",
}
_ABSENT = {
    "miss": "a probe without a valid match is a miss of rank-k and left out of AP and INP",
    "skip": "a probe without a valid match is left out",
}


def _people(protocol: "Protocol") -> list[str]:
    count = {True: "any number", False: "{} required"}
    train, test = protocol.num_train_subjects, protocol.num_test_subjects
    trained = _waiting(protocol, "train") or _say(protocol.train)
    tested = _waiting(protocol, "test") or _say_words(protocol.test_subjects) or "as the data are divided"
    return [
        f"train           {trained}; subjects: {count[train is None].format(train)}",
        f"test subjects   {tested}; {count[test is None].format(test)}"
        + ("; the training subjects themselves (closed set)" if protocol.is_closed_set else ""),
    ]


def _roles(protocol: "Protocol") -> list[str]:
    rest = {"none": "", "gallery": ", less every probe sequence", "probes": ""}[protocol.complement]
    if protocol.each_condition == "pairs":
        rest += ", one condition at a time"
    gallery = _waiting(protocol, "gallery") or _say(protocol.gallery)
    lines = []
    if set(protocol.galleries) < set(protocol.probes):
        lines.append(f"gallery         {gallery}{rest}")
    lines += [f"gallery of {name:<5}{_say(s)}{rest}" for name, s in protocol.galleries.items()]
    if protocol.impostors is not None:
        everyone = "of all subjects but the probe's, in every cell, whatever their view"
        lines.append(f"impostors       {_say(protocol.impostors)}; {everyone}")
    if protocol.each_condition != "no":
        (asked,) = protocol.probes.values()
        others = {"probes": "the gallery's", "pairs": "that of its gallery"}[protocol.each_condition]
        lines.append(f"probes          {_say(asked)}; a group for each condition but {others}")
        return lines
    return lines + [
        f"probes {name:<9}{_waiting(protocol, 'probes') or _say(s)}"
        + (", less every gallery sequence" if protocol.complement == "probes" else "")
        + (" (a copy of the dataset may lack it)" if name in protocol.optional_groups else "")
        for name, s in protocol.probes.items()
    ]


def _waiting(protocol: "Protocol", role: ListRole) -> str:
    """What to say of a list that is not there yet."""
    if role not in protocol.lists or role in protocol.given:
        return ""
    official = protocol.lists[role]
    kind = "subjects" if role in ("train", "test") else "sequences"
    digest = f" (sha256 {official.sha256[:16]}...)" if official.sha256 else "; which ones they are is not published"
    return f"the {official.num} {kind} of {LIST_KEYS[role]} in the partition file, to be handed in{digest}"


def _say(selection: "Selection") -> str:
    said = [
        f"{name} {_say_words(patterns)}"
        for name, patterns in (
            ("subjects", selection.subjects),
            ("conditions", selection.conditions),
            ("views", selection.views),
        )
        if patterns
    ]
    if selection.sequence_ids:
        said.append(f"a list of {len(selection.sequence_ids)} sequences")
    if selection.keys:
        said.append(f"a list of {len(selection.keys)} sequences by subject-condition-view")
    return "; ".join(said) or "everything"


def _say_words(words: tuple[str, ...]) -> str:
    if len(words) <= 2 * _SHOWN:
        return ", ".join(words)
    return f"{', '.join(words[:_SHOWN])} and {len(words) - _SHOWN} more"
