"""Who trains, is searched and is asked about in one's own data, where nobody published it.

Axes: N sequences of a table.
"""

import glob
import hashlib
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from gaitbench.errors import ProtocolError
from gaitbench.folder.options import FolderOptions, words_in
from gaitbench.protocol import Protocol, Selection
from gaitbench.selection import matching, select

if TYPE_CHECKING:
    from gaitbench.table import SequenceTable

__all__ = ["FOLDER", "FolderProtocol", "folder_protocol"]

_NOTES = (
    "Subjects: the options train_subjects and test_subjects; without them a hash of their names divides them.",
    "Gallery: the option gallery; without it the first condition by name.",
    "With one condition only, every test sequence is compared with all the others.",
    "The record of a run names the subjects and conditions that were taken.",
)


class FolderProtocol(Protocol, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A protocol that is written out when the sequences are known: a record has the words, not the rule."""

    train_fraction: float = Field(default=0.5, gt=0, lt=1)
    """Share of the subjects that trains, where neither training nor test subjects are named."""

    def for_table(self, table: "SequenceTable") -> Protocol:
        """Name the subjects, the gallery and the groups of probes.

        Args:
            table: The sequences at hand.

        Raises:
            ProtocolError: There is nobody to train on or to test, or no condition to ask about.
        """
        train, test = self._people(table)
        changes: dict[str, object] = {"train": train, "test_subjects": test}
        rows = select(table, Selection(subjects=test), allow_unmatched=True)
        present = np.unique(table.condition[rows]).tolist()
        if not self.gallery.conditions and len(present) > 1:
            changes["gallery"] = Selection(conditions=(_literal(present[0]),))
        elif not self.gallery.conditions:
            changes |= {"each_condition": "no", "probes": {present[0] if present else "all": Selection()}}
        # What is named is no list of anybody else that this could deviate from.
        fields = {name: getattr(self, name) for name in Protocol.model_fields} | changes | {"given": {}}
        return Protocol(**fields).for_table(table)

    def list_problems(self) -> tuple[str, ...]:
        """No list is published, so that none deviates from it."""
        return ()

    def _people(self, table: "SequenceTable") -> tuple[Selection, tuple[str, ...]]:
        people = np.unique(table.subject_id)
        train, test = self.train.subjects, self.test_subjects
        if train and test:
            return self.train, test
        if test or train:
            rest = tuple(map(_literal, people[~matching(people, test or train)].tolist()))
            if test:
                # Where all are tested nothing can train, which is told where something should.
                return Selection(subjects=rest), test
            if not rest:
                raise ProtocolError(f"{self.name}: all {len(people)} subjects train and none is left to test")
            return self.train, rest
        if len(people) < 2:
            raise ProtocolError(
                f"{self.name}: the data has {len(people)} subject, and training and testing need one each; is the "
                "level of the subject the right one? See the option levels"
            )
        drawn = sorted(people.tolist(), key=lambda subject: hashlib.sha256(subject.encode()).digest())
        num_train = min(max(1, round(self.train_fraction * len(drawn))), len(drawn) - 1)
        first, second = (tuple(map(_literal, sorted(words))) for words in (drawn[:num_train], drawn[num_train:]))
        return Selection(subjects=first), second


def folder_protocol(options: FolderOptions) -> FolderProtocol:
    """The protocol that a user's options ask for.

    Example:
        >>> folder_protocol(FolderOptions(test_subjects="061..120", gallery="nm-01,nm-02")).gallery.conditions
        ('nm-01', 'nm-02')
    """
    excluded = ("identical_view", "same_sequence") if options.exclude_identical_view else ("same_sequence",)
    return FolderProtocol.model_validate(
        {
            "name": "folder",
            "dataset": "folder",
            "title": "One's own data: some conditions searched, the others asked about",
            "source": "gaitbench; the user's own division, by the options of the dataset",
            "notes": _NOTES,
            "train": {"subjects": words_in(options.train_subjects)},
            "test_subjects": words_in(options.test_subjects),
            "gallery": {"conditions": words_in(options.gallery)},
            "probes": {"each": {}},
            "each_condition": "probes",
            "exclude": excluded,
            "averaging": options.averaging,
            "headline": "mean",
            "train_fraction": options.train_fraction,
        }
    )


def _literal(word: str) -> str:
    """A pattern that means this word, whatever letters of globs and ranges it holds."""
    return glob.escape(word).replace("..", "[.][.]")


FOLDER = folder_protocol(FolderOptions())
"""Without options: half of the subjects train, the first condition is searched."""
