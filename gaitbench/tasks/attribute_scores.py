"""From the answers of a model to the scores of the attribute task: both encodings, chance, majority and intervals.

Metrics, ``E`` standing for an encoding such as ``onehot45`` or ``binary38``:

``ma_E``, ``ma_zero_E``
    mA; labels that nobody or everybody has are left out, or count 0 for the missing half
``acc_elementwise_E``
    share of the cells of the label matrix that are right
``precision_E``, ``recall_E``, ``f1_E``, ``acc_jaccard_E``
    means over sequences, empty ones as 0
``precision_skip_E``, ``recall_skip_E``, ``f1_of_means_E``, ``acc_jaccard_skip_E``
    means over sequences, empty ones left out; F1 from the two means
``ma_classes``, ``class_accuracy``
    means over attributes of the mean recall of their classes, and of the share told right, by the prediction alone
``precision_macro``, ``recall_macro``, ``f1_macro``
    means over attributes of the means over classes, empty denominators as 0, by the prediction alone
``sensitivity``, ``specificity``
    shares told right of the sequences of one class and of those of the others, by the prediction alone

Groups: ``all``, the protocol's probe groups, and ``all/attribute=NAME``; the last two metrics alone are of
``all/attribute=NAME/class=CLASS``, and left out where they have no sequence to count.

Axes: N sequences, A attributes, S classes of all attributes, L labels, B resamples, P subjects. Row 0 of a
``[1 + B, ...]`` array is the value itself, the rows after it are the resamples.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gaitbench.errors import RecordError
from gaitbench.metrics.attribute_chance import chance_instances, chance_label_counts
from gaitbench.metrics.bootstrap import percentile_interval, subject_weights
from gaitbench.metrics.class_based import (
    ClassCounts,
    class_recall_of,
    macro_scores_of,
    sensitivity_of,
    specificity_of,
)
from gaitbench.metrics.instance_based import harmonic_mean, instance_scores
from gaitbench.metrics.label_based import (
    LabelCounts,
    element_accuracy_of,
    known_mean,
    label_accuracy_of,
    mean_accuracy_of,
    ratio,
)
from gaitbench.metrics.label_encoding import ENCODINGS, LabelEncoding, label_encoding
from gaitbench.results import Score
from gaitbench.tasks.attribute_evidence import EVERYBODY, AnswerSheet

__all__ = ["BY_ATTRIBUTE", "BY_CLASS", "attribute_samples", "encodings_of", "scores_of_answers"]

BY_ATTRIBUTE = "/attribute="
"""What stands between a group and an attribute in the name of a breakdown."""

BY_CLASS = "/class="
"""What stands between an attribute and one of its classes."""

_MACRO = ("precision_macro", "recall_macro", "f1_macro")

Floats = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class _Number:
    """A metric of one group with its resamples."""

    metric: str
    samples: Floats
    """``[1 + B]``; the value first."""
    num_counted: int
    num_labels: int | None = None
    num_labels_empty: int | None = None


def encodings_of(sheet: AnswerSheet) -> tuple[LabelEncoding, ...]:
    """Both label vectors of a schema."""
    return tuple(label_encoding(sheet.num_classes, kind) for kind in ENCODINGS)


def scores_of_answers(tables: dict[str, pa.Table]) -> tuple[Score, ...]:
    """Compute every score of an attribute record from its evidence.

    Args:
        tables: ``answers``, ``sequences`` and ``classes``; see :mod:`gaitbench.tasks.attribute_evidence`.

    Returns:
        Scores by group and metric.

    Raises:
        RecordError: The tables contradict themselves.
    """
    sheet = AnswerSheet.read(tables)
    weights = _weights(sheet, sheet.bootstrap.resamples, sheet.bootstrap.seed)
    majority = _majority(sheet)
    everybody = np.ones(len(sheet.sequence), dtype=np.bool_)

    def of(members: BoolArray, attribute: int | None = None) -> tuple[_Told, _Told | None]:
        simple = None if majority is None else _Told(majority, members, attribute)
        return _Told(sheet, members, attribute), simple

    scores: list[Score] = []
    for name, members in {EVERYBODY: everybody, **sheet.groups}.items():
        scores += _scores(name, *of(members), weights)
    # Of all sequences alone: a table of every group by every attribute would have more numbers than readers.
    for at, attribute in enumerate(sheet.attributes):
        group, (told, simple) = f"{EVERYBODY}{BY_ATTRIBUTE}{attribute.name}", of(everybody, at)
        scores += _scores(group, told, simple, weights)
        for index, cls in enumerate(attribute.classes):
            scores += _class_scores(f"{group}{BY_CLASS}{cls}", index, told, simple, weights)
    return tuple(scores)


def attribute_samples(
    tables: dict[str, pa.Table], metric: str, groups: Sequence[str], *, resamples: int = 1000, seed: int = 0
) -> dict[str, Floats]:
    """One metric of several groups, with resamples that other runs share.

    Two runs on the same test subjects get the same resamples, so their differences are paired.

    Args:
        tables: The evidence.
        metric: As in the record.
        groups: As in the record, without breakdowns by attribute.
        resamples: B.
        seed: Of the resamples.

    Returns:
        Group to ``[1 + B]`` float64: the value, then the resamples.

    Raises:
        RecordError: The tables contradict themselves, or have no such group or metric.
    """
    sheet = AnswerSheet.read(tables)
    members = {EVERYBODY: np.ones(len(sheet.sequence), dtype=np.bool_), **sheet.groups}
    if missing := [group for group in groups if group not in members]:
        raise RecordError(f"the evidence has no group {missing[0]!r}; there are {', '.join(members)}")
    weights = _weights(sheet, resamples, seed)
    found: dict[str, Floats] = {}
    for group in groups:
        numbers = _Told(sheet, members[group]).numbers(weights)
        samples = next((number.samples for number in numbers if number.metric == metric), None)
        if samples is None:
            raise RecordError(f"attributes have no metric {metric!r} with this schema")
        found[group] = samples
    return found


def _weights(sheet: AnswerSheet, resamples: int, seed: int) -> Floats:
    """``[1 + B, P]`` how often each subject counts."""
    num_subjects = len(np.unique(sheet.subject))
    weights = np.ones((1, num_subjects))
    if resamples:
        weights = np.concatenate([weights, subject_weights(num_subjects, resamples, seed=seed)])
    return weights


def _majority(sheet: AnswerSheet) -> AnswerSheet | None:
    """The same sheet with the commonest class of the training data told of everybody; None where nobody counted."""
    if not sheet.num_train.any():
        return None
    prediction, positive = np.zeros_like(sheet.prediction), np.zeros_like(sheet.positive)
    for at, part in enumerate(sheet.slices()):
        commonest = int(sheet.num_train[part].argmax())
        # Of an attribute that no training sequence has, nothing can be told; class 0 would be a guess.
        prediction[:, at] = commonest if sheet.num_train[part].any() else -1
        positive[:, part.start + commonest] = bool(sheet.num_train[part].any())
    return dataclasses.replace(sheet, prediction=prediction, positive=positive)


def _scores(group: str, told: "_Told", simple: "_Told | None", weights: Floats) -> Iterator[Score]:
    """Every number of a group beside what guessing and the majority score."""
    alone = () if simple is None else simple.numbers(weights[:1])
    return _beside(group, told, told.numbers(weights), told.chance(), alone)


def _class_scores(group: str, cls: int, told: "_Told", simple: "_Told | None", weights: Floats) -> Iterator[Score]:
    """The numbers of one class of a single attribute."""
    alone = () if simple is None else simple.numbers_of_class(cls, weights[:1])
    return _beside(group, told, told.numbers_of_class(cls, weights), told.chance_of_class(cls), alone)


def _beside(
    group: str, told: "_Told", numbers: Iterable[_Number], chance: dict[str, float], majority: Iterable[_Number]
) -> Iterator[Score]:
    """Numbers as scores, with what guessing and the majority have."""
    alone = {number.metric: float(number.samples[0]) for number in majority}
    for number in numbers:
        low = high = None
        if number.samples.size > 1:
            low, high = percentile_interval(number.samples[1:])
        yield Score(
            metric=number.metric,
            group=group,
            value=float(number.samples[0]),
            ci_low=low,
            ci_high=high,
            chance=chance[number.metric],
            majority=alone.get(number.metric),
            num_probes=told.num_sequences,
            num_counted=number.num_counted,
            num_absent=told.num_sequences - told.num_asked,
            num_excluded=told.num_unknown,
            num_labels=number.num_labels,
            num_labels_empty=number.num_labels_empty,
        )


class _Told:
    """The answers of some sequences, about all attributes or one of them."""

    def __init__(self, sheet: AnswerSheet, members: BoolArray, attribute: int | None = None) -> None:
        rows = np.flatnonzero(members)
        parts = sheet.slices()
        chosen = list(range(len(parts))) if attribute is None else [attribute]
        self.is_single = attribute is not None
        self.label, self.prediction = (array[rows][:, chosen] for array in (sheet.label, sheet.prediction))
        self.positive = np.concatenate([sheet.positive[rows, parts[at]] for at in chosen], axis=1)
        self.num_classes = tuple(sheet.num_classes[at] for at in chosen)
        # Labels keep the names of the whole schema's encodings, whichever attributes are looked at.
        self.encodings = [(whole.name, label_encoding(self.num_classes, whole.kind)) for whole in encodings_of(sheet)]
        subjects, index = np.unique(sheet.subject, return_inverse=True)
        self.num_subjects = len(subjects)
        self.subject = index.reshape(-1)[rows]
        self.num_sequences = len(rows)
        self.num_asked = int((self.label >= 0).any(axis=1).sum())
        self.num_unknown = int((self.label < 0).sum())

    def numbers(self, weights: Floats) -> Iterator[_Number]:
        """Every metric; of a single attribute, those that are means over labels or sequences of one class each."""
        for name, encoding in self.encodings:
            counts = LabelCounts(*(weights @ part for part in self._label_counts(encoding)))
            yield self._of_labels(f"ma_{name}", counts, mean_accuracy_of(counts))
            if self.is_single:
                continue
            yield self._of_labels(f"ma_zero_{name}", counts, mean_accuracy_of(counts, empty="zero"), is_zero=True)
            yield _Number(f"acc_elementwise_{name}", element_accuracy_of(counts), self.num_asked)
            yield from self._of_instances(name, encoding, weights)
        yield from self._of_classes(weights)

    def chance(self) -> dict[str, float]:
        """What guessing scores in expectation, metric by metric."""
        found: dict[str, float] = {}
        for name, encoding in self.encodings:
            counts = chance_label_counts(self.label, encoding)
            zero, skip = chance_instances(self.label, encoding)
            found |= {
                f"ma_{name}": float(mean_accuracy_of(counts)),
                f"ma_zero_{name}": float(mean_accuracy_of(counts, empty="zero")),
                f"acc_elementwise_{name}": float(element_accuracy_of(counts)),
                f"precision_{name}": zero.precision,
                f"recall_{name}": zero.recall,
                f"f1_{name}": zero.f1,
                f"acc_jaccard_{name}": zero.jaccard,
                f"precision_skip_{name}": skip.precision,
                f"recall_skip_{name}": skip.recall,
                f"f1_of_means_{name}": skip.f1_of_means,
                f"acc_jaccard_skip_{name}": skip.jaccard,
            }
        guess = 1 / np.array(self.num_classes, dtype=np.float64)
        present = [np.unique(column[column >= 0]).size for column in self.label.T]
        found["ma_classes"] = float(known_mean(np.where(np.array(present) >= 2, guess, np.nan)))
        found["class_accuracy"] = float(known_mean(np.where(np.array(present) >= 1, guess, np.nan)))
        # Of the expected counts, as these are ratios of two numbers that both depend on the guess.
        guessed = [macro_scores_of(self._guessed(at)) for at in range(len(self.num_classes))]
        for metric, values in zip(_MACRO, zip(*guessed, strict=True), strict=True):
            found[metric] = float(known_mean(np.array(values)))
        return found

    def numbers_of_class(self, cls: int, weights: Floats) -> Iterator[_Number]:
        """Sensitivity and specificity of one class of a single attribute, where there are sequences to count."""
        counts = self._class_counts(0, weights)
        num, num_known = int(counts.total[0, cls]), int(counts.total[0].sum())
        if num:
            yield _Number("sensitivity", sensitivity_of(counts)[:, cls], num)
        if num_known > num:
            yield _Number("specificity", specificity_of(counts)[:, cls], num_known - num)

    def chance_of_class(self, cls: int) -> dict[str, float]:
        """What guessing scores of one class of a single attribute."""
        counts = self._guessed(0)
        return {
            "sensitivity": float(sensitivity_of(counts)[cls]),
            "specificity": float(specificity_of(counts)[cls]),
        }

    def _guessed(self, at: int) -> ClassCounts:
        """``[classes]`` expected counts of an attribute when each class is told with the same probability."""
        count = self.num_classes[at]
        total = (self.label[:, [at]] == np.arange(count)).sum(axis=0).astype(np.float64)
        return ClassCounts(total / count, total, np.full(count, total.sum() / count))

    def _label_counts(self, encoding: LabelEncoding) -> LabelCounts:
        """``[P, L]`` counts of each subject."""
        truth, told = encoding.of_classes(self.label), encoding.of_sets(self.positive)
        cells = (truth.value & told, truth.value, ~truth.value & ~told, ~truth.value)
        return LabelCounts(*(self._by_subject(cell & truth.known) for cell in cells))

    def _of_labels(self, metric: str, counts: LabelCounts, samples: Floats, *, is_zero: bool = False) -> _Number:
        whole = LabelCounts(*(part[0] for part in counts))
        by_label = label_accuracy_of(whole, empty="zero" if is_zero else "skip")
        num = int((~np.isnan(by_label)).sum())
        return _Number(metric, samples, self.num_asked, num, len(by_label) - num)

    def _of_instances(self, name: str, encoding: LabelEncoding, weights: Floats) -> Iterator[_Number]:
        truth = encoding.of_classes(self.label)
        scores = instance_scores(truth.value, encoding.of_sets(self.positive), truth.known)
        values = np.stack(scores[:4], axis=1)[scores.is_asked]  # [N, 4]
        is_there = ~np.isnan(values)
        subject = self.subject[scores.is_asked]
        total, asked = (
            weights @ self._by_subject(part, subject) for part in (np.where(is_there, values, 0.0), is_there)
        )
        everybody = weights @ self._by_subject(np.ones((len(subject), 1)), subject)
        precision, recall, f1, jaccard = ratio(total, everybody).T
        yield _Number(f"precision_{name}", precision, self.num_asked)
        yield _Number(f"recall_{name}", recall, self.num_asked)
        yield _Number(f"f1_{name}", f1, self.num_asked)
        yield _Number(f"acc_jaccard_{name}", jaccard, self.num_asked)
        precision, recall, _, jaccard = ratio(total, asked).T
        counted = is_there.sum(axis=0).tolist()
        yield _Number(f"precision_skip_{name}", precision, counted[0])
        yield _Number(f"recall_skip_{name}", recall, counted[1])
        yield _Number(f"f1_of_means_{name}", harmonic_mean(precision, recall), min(counted[:2]))
        yield _Number(f"acc_jaccard_skip_{name}", jaccard, counted[3])

    def _of_classes(self, weights: Floats) -> Iterator[_Number]:
        columns: dict[str, list[Floats]] = {metric: [] for metric in ("ma_classes", "class_accuracy", *_MACRO)}
        for at in range(len(self.num_classes)):
            counts = self._class_counts(at, weights)
            accuracy = ratio(counts.right.sum(axis=1), counts.total.sum(axis=1))
            found = (class_recall_of(counts), accuracy, *macro_scores_of(counts))
            for parts, of_attribute in zip(columns.values(), found, strict=True):
                parts.append(of_attribute)
        for metric, parts in columns.items():
            values = np.stack(parts, axis=1)  # [1 + B, A]
            num = int((~np.isnan(values[0])).sum())
            yield _Number(metric, known_mean(values), self.num_asked, num, values.shape[1] - num)

    def _class_counts(self, at: int, weights: Floats) -> ClassCounts:
        """``[1 + B, classes]`` of an attribute."""
        label, prediction = self.label[:, [at]], self.prediction[:, [at]]
        classes = np.arange(self.num_classes[at])
        of_class, told = label == classes, (prediction == classes) & (label >= 0)
        return ClassCounts(*(weights @ self._by_subject(cells) for cells in (of_class & told, of_class, told)))

    def _by_subject(self, cells: NDArray[np.generic], subject: NDArray[np.int64] | None = None) -> Floats:
        """``[P, columns]`` sums of ``[n, columns]`` over the sequences of each subject."""
        subject = self.subject if subject is None else subject
        width = cells.shape[1]
        place = (subject[:, None] * width + np.arange(width)).reshape(-1)
        sums = np.bincount(place, cells.reshape(-1).astype(np.float64), self.num_subjects * width)
        return sums.astype(np.float64).reshape(self.num_subjects, width)
