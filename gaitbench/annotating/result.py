"""What became of a run: how many are annotated, what it took, what is left and why."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from gaitbench.annotating.budget import Spent
from gaitbench.annotating.cleaning import clean_text
from gaitbench.annotating.records import Annotation, AnnotationHeader, Status

__all__ = ["Annotated", "Problem", "problems_of"]

_MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """A sequence without a usable answer."""

    sequence_id: str
    status: Status
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotated:
    """The result of :func:`gaitbench.annotate`; ``str()`` gives the summary.

    Attributes:
        path: The file; None where nothing could be written into it yet.
        header: Of the file.
        num_asked_for: Sequences, or entries of a text schema, that were asked for.
        num_ok: Of these, with a usable answer.
        num_from_file: Of these, answered in the file already.
        num_from_cache: Of these, answered before and found in the cache.
        num_left: Of these, not asked yet, or stopped while asking.
        spent: Requests and tokens of this run.
        problems: Those without a usable answer.
        stopped: Why the run ended before all was asked; empty when it did not.
    """

    path: Path | None
    header: AnnotationHeader
    num_asked_for: int
    num_ok: int
    num_from_file: int
    num_from_cache: int
    num_left: int
    spent: Spent
    problems: tuple[Problem, ...]
    stopped: str = ""

    @property
    def is_complete(self) -> bool:
        """True when every sequence has a usable answer."""
        return self.num_ok == self.num_asked_for

    def __str__(self) -> str:
        """The summary, a few lines."""
        what = "entries" if not self.header.fields else "sequences"
        where = "nothing written" if self.path is None else str(self.path)
        head = f"{where}: {self.header.schema_name} of {clean_text(self.header.dataset)} by {self.header.model}"
        lines = [f"{head}, {self.num_ok} of {self.num_asked_for} {what}"]
        known = []
        if self.num_from_file:
            known.append(f"{self.num_from_file} in the file before")
        if self.num_from_cache:
            known.append(f"{self.num_from_cache} from the cache")
        known.append(f"{self.spent.num_requests} requests sent, {self.spent.num_tokens:,} tokens")
        lines.append("  " + ", ".join(known))
        for status, count in Counter(problem.status for problem in self.problems).items():
            lines.append(f"  {count} {status}:")
            of_kind = [problem for problem in self.problems if problem.status == status]
            lines += [f"    {clean_text(each.sequence_id)}: {each.reason}" for each in of_kind[:_MOST_SHOWN]]
            if count > _MOST_SHOWN:
                lines.append(f"    and {count - _MOST_SHOWN} more; --json lists all")
        if self.num_left:
            lines.append(f"  {self.num_left} left")
        if self.stopped:
            lines.append(f"stopped: {self.stopped}")
        return "\n".join(lines)


def problems_of(records: list[Annotation]) -> tuple[Problem, ...]:
    """Those without a usable answer."""
    return tuple(Problem(each.sequence_id, each.status, each.reason) for each in records if not each.is_ok)
