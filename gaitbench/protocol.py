"""Who is train, probe and gallery; which pairs count; how cells are averaged. Protocols are data.

Axes: N sequences of a table, Q probes, G gallery sequences.
"""

import glob
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, PositiveInt, field_validator, model_validator

from gaitbench import division
from gaitbench.dated import Dated
from gaitbench.division import Division
from gaitbench.errors import DatasetError, ProtocolError
from gaitbench.partition import LIST_KEYS, GivenList, ListRole, OfficialList, check_lists, read_partition
from gaitbench.patterns import words_of
from gaitbench.protocol_text import protocol_text
from gaitbench.selection import Selection, matching, select

if TYPE_CHECKING:
    from gaitbench.table import SequenceTable

__all__ = ["Division", "Exclusion", "Protocol", "Reranking", "Selection", "Submission", "protocol_text", "select"]

Exclusion = Literal["identical_view", "same_subject_and_view", "same_sequence"]
"""A kind of pair that does not count; see :attr:`Protocol.exclude`."""


class Submission(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What is sent to a server that keeps the probes' labels: a row per probe, named by its view."""

    header: tuple[str, ...]
    """First line of the file, a word per column."""
    num_ranks: PositiveInt = 1
    """Nearest gallery sequences per probe; a subject may stand there twice."""
    labels: Literal["words", "integers"] = "words"
    """Subjects as the dataset writes them, or as integers without leading zeros."""


class Reranking(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """k-reciprocal re-ranking, see :mod:`gaitbench.metrics.k_reciprocal`."""

    k1: PositiveInt = 6
    """Neighbours that can be reciprocal."""
    k2: PositiveInt = 6
    """Neighbours whose sets are averaged, the sequence itself among them."""
    weight: float = Field(default=0.3, ge=0, le=1)
    """Share of the original distance."""


class Protocol(Dated, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """An official way to divide a dataset and to count."""

    later_fields = frozenset(
        {
            "left_out_views",
            "is_grid_complete",
            "rounded",
            "evaluator_keys",
            "lists",
            "given",
            "submission",
            "reranking",
            "each_condition",
            "tasks",
            "impostors",
        }
    )

    name: str
    """As on the command line."""
    version: PositiveInt = 1
    """Raised when any number could change."""
    dataset: str
    """The dataset it belongs to."""
    title: str
    """One line."""
    source: str
    """Paper, section or code that fixes it."""
    notes: tuple[str, ...] = ()
    """What a reader must know, a line each."""
    tasks: tuple[str, ...] = ()
    """Tasks that it is for; empty for all. One for attributes has no gallery that anybody would search."""

    train: Selection
    """Sequences that training may see."""
    test_subjects: tuple[str, ...]
    """Patterns or ranges of the subjects who are probe and gallery."""
    gallery: Selection
    """Sequences searched, among the test subjects."""
    galleries: dict[str, Selection] = Field(default_factory=dict)
    """Groups that have a gallery of their own, which takes the place of :attr:`gallery`."""
    impostors: Selection | None = None
    """Test sequences that every cell has besides its own gallery, with the galleries of all other cells, whatever their
    view, where they are of another subject than the probe; :attr:`exclude` says nothing of them. Those of the probe's
    own subject are left out, so that nobody gains a match and no rank, AP or INP gets better; verification may."""
    probes: dict[str, Selection]
    """Name of a group in the table (``NM``, ``BG``, ``A`` ...) to the sequences asked about, of the test subjects."""
    complement: Literal["none", "gallery", "probes"] = "none"
    """``gallery``: whatever is probe in any group is no gallery, for protocols that list their probes and search all
    the rest. ``probes``: whatever is gallery is no probe, for those that list their gallery."""
    each_condition: Literal["no", "probes", "pairs"] = "no"
    """``probes``: the one group in :attr:`probes` stands for many, one for each condition that the gallery does not
    have. ``pairs``: one for each ordered pair of different conditions, the second being its gallery; the group is
    called ``PROBE in GALLERY``. :meth:`for_table` writes them out."""
    optional_groups: tuple[str, ...] = ()
    """Groups that a copy of the dataset may lack as a whole; they are left out of ``mean``, and it is said."""

    exclude: tuple[Exclusion, ...] = ("same_sequence",)
    """Pairs that do not count. ``identical_view``: probe and gallery share the view (the diagonal of the
    view-pair matrix). ``same_subject_and_view``: they share subject and view (re-identification)."""
    left_out_views: tuple[str, ...] = ()
    """Views that are no part of the test, word for word."""
    view_separator: str = ""
    """With a value, views are told apart by what stands before its first occurrence: with ``_`` the views ``01_0``
    and ``01_1`` are one camera."""
    averaging: Literal["view_pairs", "probe_views", "probes"] = "view_pairs"
    """``view_pairs``: a cell per (probe view, gallery view), its gallery being that one view; cells are averaged
    over gallery views, then over probe views. ``probe_views``: a cell per probe view with one pooled gallery, plain
    mean over cells. ``probes``: one pooled gallery, plain mean over probes."""
    absent_probes: Literal["miss", "skip"] = "miss"
    """A probe without any valid match in its gallery counts as a miss of rank-k, or is left out; always counted and
    shown. Other metrics say nothing of such a probe and leave it out either way."""
    is_grid_complete: bool = False
    """True when every view of the test must occur among the probes of every group and, where cells are view pairs, in
    its gallery, because the official evaluator gives no number without. Holes stop a run, or make it partial; cells
    that are there are then averaged."""
    unit: Literal["sequence", "set"] = "sequence"
    """``set``: all sequences of one subject in one condition and view are one probe or gallery unit; the distance
    of two sets is the mean over samples of the distance to the nearest sample of the other set, both ways, added."""
    distance: Literal["euclidean", "cosine"] = "euclidean"
    """Mean over parts of the Euclidean distance, or one minus the mean over parts of the cosine."""
    ranks: tuple[PositiveInt, ...] = (1, 5, 10)
    """The k of the rank-k scores in the record; rank-1 is always there."""
    rounded: tuple[str, ...] = ()
    """Metrics whose cells the official evaluator rounds to two decimals of a percent before it averages them; each is
    reported at full precision and, rounded so, as ``NAME_official``. Empty stands for rank-1 where there are cells,
    and mean_ap where they are probe views."""
    evaluator_keys: dict[str, str] = Field(default_factory=dict)
    """What the official evaluator calls a number, to ``metric/group`` here, such as ``rank_1_official/NM``."""
    reranking: Reranking | None = None
    """Re-ranking of the pooled gallery before anything is counted."""
    submission: Submission | None = None
    """For protocols whose probe labels are withheld: what is sent to the server. They cannot be scored here."""
    headline: str
    """Group whose rank-1 orders the leaderboard; ``mean`` is the plain mean over groups."""
    mean_groups: tuple[str, ...] = ()
    """Groups that enter ``mean``; empty takes all, which is wrong where one group contains others."""

    num_train_subjects: PositiveInt | None = None
    """Training subjects the protocol requires; None where the dataset decides."""
    num_test_subjects: PositiveInt | None = None
    """Test subjects the protocol requires; missing ones stop a run unless partial results are allowed."""
    is_closed_set: bool = False
    """True when training and test subjects are the same people, as in gallery-trained protocols."""
    published: dict[str, str] = Field(default_factory=dict)
    """Where reported numbers stand: dataset and protocol names in the published data. Protocols that
    ``gaitbench/data/published_places.json`` names need none."""
    lists: dict[ListRole, OfficialList] = Field(default_factory=dict)
    """Lists that follow no rule and that only the official partition file has; :meth:`with_partition` fills them in."""
    given: dict[ListRole, GivenList] = Field(default_factory=dict)
    """Lists that were filled in."""

    @field_validator("evaluator_keys")
    @classmethod
    def _check_evaluator_keys(cls, keys: dict[str, str]) -> dict[str, str]:
        if bad := [key for key, ours in keys.items() if "/" not in ours]:
            raise ValueError(f"evaluator_keys of {bad[0]!r} must read metric/group, got {keys[bad[0]]!r}")
        return keys

    @model_validator(mode="after")
    def _check_rounded(self) -> Self:
        known = {"mean_ap", "mean_inp"} | {f"rank_{k}" for k in (1, *self.ranks)}
        if unknown := sorted(set(self.rounded) - known):
            raise ValueError(
                f"{self.name}: rounded names {', '.join(unknown)}, which is not reported ({', '.join(sorted(known))})"
            )
        return self

    @model_validator(mode="after")
    def _check_reranking(self) -> Self:
        if self.reranking and (self.averaging == "view_pairs" or self.unit == "set"):
            raise ValueError(
                f"{self.name}: re-ranking is defined for sequences and a pooled gallery (averaging 'probes' or "
                f"'probe_views'), and this protocol has {self.unit}s averaged over {self.averaging}"
            )
        return self

    @model_validator(mode="after")
    def _check_impostors(self) -> Self:
        if self.impostors is not None and (self.unit == "set" or self.reranking or self.submission):
            raise ValueError(
                f"{self.name}: impostors differ from probe to probe, which is defined for sequences that are scored "
                "here without re-ranking"
            )
        return self

    def check_task(self, task: str) -> None:
        """Stop where the protocol is for other tasks.

        Raises:
            ProtocolError: It is.
        """
        if self.tasks and task not in self.tasks:
            raise ProtocolError(
                f"protocol {self.name!r} is for the task {' or '.join(self.tasks)}, not for {task!r}; nobody published "
                f"how {self.dataset} is divided for that"
            )

    @property
    def rounded_metrics(self) -> tuple[str, ...]:
        """Metrics that are reported with the official rounding as well."""
        by_default = {"view_pairs": ("rank_1",), "probe_views": ("rank_1", "mean_ap"), "probes": ()}
        return self.rounded or by_default[self.averaging]

    def with_partition(self, partition: Path | str | Mapping[str, object]) -> "Protocol":
        """Fill in the lists of a partition file.

        ``TRAIN_SET`` and ``TEST_SET`` take the place of the subjects; ``PROBE_SET`` and ``GALLERY_SET`` are read where
        :attr:`lists` asks for them. Lists that agree with a rule of the protocol change nothing. Lists other than the
        published ones are accepted and remembered: :meth:`divide` reports them.

        Args:
            partition: A JSON file, or its content; see :mod:`gaitbench.partition`.

        Returns:
            The protocol with lists.

        Raises:
            DatasetError: The file cannot be read as a partition, a list is empty, or the lists contradict each other.
            ProtocolError: It lacks the probes or the gallery that the protocol is made of.
        """
        found = read_partition(partition)
        # Nothing depends on the order of a list, so the record has it sorted.
        lists = {
            role: tuple(sorted(words))
            for role, words in found.items()
            if role in self.lists or role in ("train", "test")
        }
        if empty := [LIST_KEYS[role] for role, words in lists.items() if not words]:
            raise DatasetError(
                f"{' and '.join(empty)} of the partition names nobody; take the file that the dataset comes with, or "
                "leave the list out"
            )
        check_lists(lists, is_closed_set=self.is_closed_set)
        if missing := [LIST_KEYS[role] for role in ("probes", "gallery") if role in self.lists and role not in lists]:
            raise ProtocolError(
                f"{self.name} needs {' and '.join(missing)}, and the partition has only "
                f"{', '.join(LIST_KEYS[role] for role in found)}; take the file that the dataset comes with"
            )
        changes: dict[str, object] = {}
        given = dict(self.given)
        for role, words in lists.items():
            if role not in self.lists and self._holds(role, words):
                continue
            given[role] = GivenList.of(words)
            if role == "train":
                changes["train"] = self.train.model_copy(update={"subjects": words})
            elif role == "test":
                changes["test_subjects"] = words
            elif role == "gallery":
                changes["gallery"] = self.gallery.model_copy(update={"keys": words})
            else:
                changes["probes"] = {
                    name: asked.model_copy(update={"keys": words}) for name, asked in self.probes.items()
                }
        return self.model_copy(update=changes | {"given": given}) if changes else self

    def for_embeddings(self) -> "Protocol":
        """The protocol as the official evaluators see it: every sequence handed in is a test sequence.

        Evaluators do not know who belongs to the test set, they count whatever was embedded. :meth:`population` says
        how that differs from the official test subjects. A ``TEST_SET`` that was handed in stays.
        """
        changes: dict[str, object] = {"train": Selection(), "num_train_subjects": None, "num_test_subjects": None}
        if "test" not in self.given:
            changes["test_subjects"] = ("*",)
        changes["given"] = given = {role: found for role, found in self.given.items() if role != "train"}
        changes["lists"] = {
            role: known for role, known in self.lists.items() if role in ("probes", "gallery") or role in given
        }
        return self.model_copy(update=changes)

    def for_table(self, table: "SequenceTable") -> "Protocol":
        """Write out the groups that the conditions of a table make, where :attr:`each_condition` asks for it.

        Args:
            table: The sequences at hand.

        Raises:
            ProtocolError: There are not two conditions to compare.
        """
        if self.each_condition == "no":
            return self
        (template,) = self.probes.values()
        present = np.unique(table.condition[select(table, self._tested(template), allow_unmatched=True)]).tolist()
        searched = np.unique(table.condition[select(table, self._tested(self.gallery), allow_unmatched=True)]).tolist()
        if self.each_condition == "probes":
            pairs = [(condition, "") for condition in present if condition not in searched]
        else:
            pairs = [(probe, gallery) for gallery in searched for probe in present if probe != gallery]
        if not pairs:
            raise ProtocolError(
                f"{self.name} compares each condition with others, and the table has only "
                f"{', '.join(present) or 'none'}; complete the data"
            )
        groups = {f"{probe} in {gallery}" if gallery else probe: (probe, gallery) for probe, gallery in pairs}
        return self.model_copy(
            update={
                "each_condition": "no",
                "probes": {name: _of_condition(template, probe) for name, (probe, _) in groups.items()},
                "galleries": {
                    name: _of_condition(self.gallery, gallery) for name, (_, gallery) in groups.items() if gallery
                },
            }
        )

    def _tested(self, selection: Selection) -> Selection:
        return selection.model_copy(update={"subjects": self.test_subjects})

    def reranked(self) -> "Protocol":
        """The same protocol with k-reciprocal re-ranking of its pooled gallery.

        Raises:
            ProtocolError: Cells are view pairs, or units are sets; re-ranking is not defined for them.
        """
        if self.averaging == "view_pairs" or self.unit == "set" or self.impostors is not None:
            raise ProtocolError(
                f"{self.name} averages {self.averaging} of {self.unit}s"
                f"{'' if self.impostors is None else ' with impostors'}; re-ranking is defined for sequences and a "
                "pooled gallery, so leave it out or take another protocol"
            )
        return self.model_copy(update={"reranking": self.reranking or Reranking()})

    def population(self, table: "SequenceTable") -> tuple[str, ...]:
        """Say how the people of a table differ from the protocol's test subjects.

        Args:
            table: Sequences that somebody wants scored.

        Returns:
            A line each; none where they agree, or where nobody says who the test subjects are.
        """
        people = np.unique(table.subject_id)
        if "test" in self.lists and "test" not in self.given:
            official = self.lists["test"]
            if official.may_be(GivenList.of(people.tolist())):
                return ()
            return (f"{len(people)} subjects, not the {official.num} test subjects of {self.name}",)
        is_known = matching(people, self.test_subjects)
        lines = []
        num_known, required = int(is_known.sum()), self.num_test_subjects
        if required is not None and num_known != required:
            lines.append(f"{num_known} of the {required} test subjects of {self.name}")
        if not is_known.all():
            strangers = people[~is_known]
            claim = "subject is" if len(strangers) == 1 else "subjects are"
            lines.append(
                f"{len(strangers)} {claim} no test subject of {self.name} (first: {', '.join(strangers[:3].tolist())})"
            )
        return tuple(lines)

    def list_problems(self) -> tuple[str, ...]:
        """Say how the lists that were filled in differ from the published ones, a line each."""
        problems = []
        for role, found in self.given.items():
            official = self.lists.get(role)
            if official is None:
                problems.append(f"{self.name}: {LIST_KEYS[role]} ({found.num} entries) is not the published division")
            elif not official.may_be(found):
                problems.append(
                    f"{self.name}: {LIST_KEYS[role]} ({found.num} entries, sha256 {found.sha256[:16]}...) is not the "
                    f"published list ({official})"
                )
        return tuple(problems)

    def _holds(self, role: ListRole, words: tuple[str, ...]) -> bool:
        """Tell whether a list of subjects is what the protocol's rule selects."""
        patterns, num = self.test_subjects, self.num_test_subjects
        if role == "train":
            patterns, num = self.train.subjects, self.num_train_subjects
        is_counted = len(words) == num or sorted(words) == sorted(words_of(patterns))
        return is_counted and bool(matching(np.array(words, dtype=np.str_), patterns).all())

    def cameras(self, views: NDArray[np.str_]) -> NDArray[np.str_]:
        """What tells two views apart under this protocol.

        Args:
            views: ``[N]`` views as the dataset writes them.

        Returns:
            ``[N]``.
        """
        if not self.view_separator:
            return views
        return np.array([view.split(self.view_separator, 1)[0] for view in views.tolist()], dtype=np.str_)

    def divide(
        self,
        table: "SequenceTable",
        *,
        allow_partial: bool = False,
        needs_train: bool = True,
        needs_matches: bool = True,
    ) -> "Division":
        """Find train, gallery and probe sequences, and stop when the protocol cannot be applied as it stands.

        Args:
            table: The sequences at hand.
            allow_partial: Go on when subjects, listed sequences or whole groups are missing; the division says so.
            needs_train: False when embeddings are scored without training, so that no training subject is needed.
            needs_matches: False when probes are only looked up and not scored, their subjects being unknown.

        Returns:
            Indices into the table.

        Raises:
            IncompleteDataError: Subjects or listed sequences are missing.
            ProtocolError: A pattern matches nothing, training and test subjects overlap, or a whole probe group
                has nobody to be found in the gallery.
        """
        return division.divide(
            self, table, allow_partial=allow_partial, needs_train=needs_train, needs_matches=needs_matches
        )


def _of_condition(selection: Selection, condition: str) -> Selection:
    # A condition is meant word for word, whatever glob letters it may hold.
    return selection.model_copy(update={"conditions": (glob.escape(condition),)})
