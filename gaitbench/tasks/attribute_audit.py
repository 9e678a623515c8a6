"""Recompute the scores of the attribute task from their evidence, by another way than the one that made them.

Answers are counted by what is equal in them (Arrow's group-by), and sums are taken over these few cases; the intervals
of F1 are drawn from sums by subject. Chance and the other intervals are covered by computing everything again as it was
at first, which :mod:`gaitbench.tasks.audit` does.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gaitbench.errors import RecordError
from gaitbench.metrics.bootstrap import percentile_interval, subject_weights
from gaitbench.protocol import Protocol
from gaitbench.results import RunRecord, Score
from gaitbench.tasks.attribute_evidence import ANSWERS, EVERYBODY, IN, AnswerSheet, condition_groups
from gaitbench.tasks.attribute_scores import BY_ATTRIBUTE, BY_CLASS
from gaitbench.tasks.scores import Bootstrap

__all__ = ["check_answers", "recount_answers"]


def check_answers(record: RunRecord, tables: dict[str, pa.Table], protocol: Protocol) -> None:
    """Stop when the tables of an attribute record contradict themselves or its protocol.

    Raises:
        RecordError: They do.
    """
    where = f"run {record.run_id}"
    sheet = AnswerSheet.read(tables, where)
    if set(protocol.probes) == {EVERYBODY}:
        found = condition_groups(sheet.condition, sheet.label)
        if found.keys() != sheet.groups.keys() or any((of != sheet.groups[name]).any() for name, of in found.items()):
            raise RecordError(f"{where}: the groups of the table sequences are not its conditions")
    elif unknown := sorted(set(sheet.groups) - set(protocol.probes)):
        raise RecordError(f"{where}: the table sequences has groups that the protocol lacks: {', '.join(unknown)}")


def recount_answers(tables: dict[str, pa.Table], scores: Sequence[Score]) -> Iterator[tuple[Score, dict[str, object]]]:
    """Each score with the fields that were found again.

    Args:
        tables: Checked before.
        scores: Of the record.
    """
    sheet = AnswerSheet.read(tables)
    counts = {attribute.name: len(attribute.classes) for attribute in sheet.attributes}
    most = {
        attribute.name: int(part.argmax()) if part.any() else None
        for attribute, part in ((a, sheet.num_train[s]) for a, s in zip(sheet.attributes, sheet.slices(), strict=True))
    }
    has_majority = bool(sheet.num_train.any())
    classes = {attribute.name: attribute.classes for attribute in sheet.attributes}
    recounts: dict[tuple[str, str], _Recount] = {}
    for score in scores:
        group, _, part = score.group.partition(BY_ATTRIBUTE)
        attribute, _, cls = part.partition(BY_CLASS)
        if (group, attribute) not in recounts:
            chosen = counts if not attribute else {attribute: counts[attribute]}
            recounts[group, attribute] = _Recount(tables, group, chosen, counts, sheet.bootstrap)
        recount, majority = recounts[group, attribute], most if has_majority else None
        if cls:
            yield score, recount.found_of_class(score, attribute, classes[attribute].index(cls), majority)
        else:
            yield score, recount.found(score, majority)


class _Case(NamedTuple):
    """Answers about one attribute that are equal in everything."""

    attribute: str
    label: int
    prediction: int
    positive: frozenset[int]
    num: int


class _Recount:
    """The answers of one group."""

    def __init__(
        self,
        tables: dict[str, pa.Table],
        group: str,
        counts: dict[str, int],
        schema: dict[str, int],
        bootstrap: Bootstrap,
    ) -> None:
        self.counts, self.schema, self.bootstrap = counts, schema, bootstrap
        sequences = tables["sequences"]
        self.subjects = sorted(set(sequences["subject"].cast(pa.string()).to_pylist()))
        if group != EVERYBODY:
            sequences = sequences.filter(sequences[IN + group])
        ids = sequences["sequence"].cast(pa.string())
        self.subject_of = dict(zip(ids.to_pylist(), sequences["subject"].cast(pa.string()).to_pylist(), strict=True))
        answers = tables[ANSWERS]
        answers = answers.filter(pc.is_in(answers["attribute"].cast(pa.string()), pa.array(list(counts))))
        self.answers = answers.filter(pc.is_in(answers["sequence"].cast(pa.string()), ids.combine_chunks()))
        keys = ["attribute", "label", "prediction", "positive"]
        rows = self.answers.group_by(keys).aggregate([("score", "count")]).to_pylist()
        self.cases = [
            _Case(r["attribute"], r["label"], r["prediction"], _set(r["positive"]), r["score_count"]) for r in rows
        ]

        self.by_sequence: dict[str, dict[str, list[int]]] = {}
        known = self.answers.filter(pc.greater_equal(self.answers["label"], 0))
        self.num_asked = len(set(known["sequence"].cast(pa.string()).to_pylist()))

    def found(self, score: Score, majority: dict[str, int | None] | None) -> dict[str, object]:
        """What the evidence says of a score."""
        found = self._denominators()
        metric, _, encoding = score.metric.rpartition("_")
        kind = encoding.rstrip("0123456789")
        if kind in ("onehot", "binary"):
            if encoding != f"{kind}{sum(len(self._labels(name, kind)) for name in self.schema)}":
                raise RecordError(f"{score.metric} of {score.group} is of an encoding that the schema does not have")
            if metric in ("ma", "ma_zero", "acc_elementwise"):
                return found | self._of_labels(metric, kind, majority)
            return found | self._of_instances(metric, kind)
        return found | self._of_classes(score.metric, majority)

    def found_of_class(
        self, score: Score, attribute: str, cls: int, majority: dict[str, int | None] | None
    ) -> dict[str, object]:
        """What the evidence says of a score of one class against the others."""
        is_own = score.metric == "sensitivity"
        asked = [case for case in self.cases if case.label >= 0 and (case.label == cls) == is_own]
        num = sum(case.num for case in asked)
        right = sum(case.num for case in asked if (case.prediction == cls) == is_own)
        found = {**self._denominators(), "value": right / num if num else math.nan, "num_counted": num}
        return found if majority is None else found | {"majority": float((majority[attribute] == cls) == is_own)}

    def _denominators(self) -> dict[str, object]:
        return {
            "num_probes": len(self.subject_of),
            "num_absent": len(self.subject_of) - self.num_asked,
            "num_excluded": sum(case.num for case in self.cases if case.label < 0),
            "num_counted": self.num_asked,
        }

    def _labels(self, attribute: str, kind: str) -> list[int]:
        """Classes of an attribute that are labels."""
        count = self.schema[attribute]
        return [1] if kind == "binary" and count == 2 else list(range(count))

    def _of_labels(self, metric: str, kind: str, majority: dict[str, int | None] | None) -> dict[str, object]:
        values, simple, right, cells = [], [], 0, 0
        num_empty = 0
        for name in self.counts:
            known = [case for case in self.cases if case.attribute == name and case.label >= 0]
            for cls in self._labels(name, kind):
                positive = sum(case.num for case in known if case.label == cls)
                negative = sum(case.num for case in known if case.label != cls)
                hits = sum(case.num for case in known if case.label == cls and cls in case.positive)
                misses = sum(case.num for case in known if case.label != cls and cls not in case.positive)
                right, cells = right + hits + misses, cells + positive + negative
                is_told = majority is not None and majority[name] == cls
                if metric == "ma_zero" and positive + negative:
                    values.append((_share(hits, positive) + _share(misses, negative)) / 2)
                    # Telling the label of everybody gets the positive cells right, otherwise the negative ones.
                    simple.append(float(positive > 0 if is_told else negative > 0) / 2)
                elif metric == "ma" and positive and negative:
                    values.append((hits / positive + misses / negative) / 2)
                    simple.append(0.5)
                else:
                    num_empty += 1
        if metric == "acc_elementwise":
            return {"value": right / cells if cells else math.nan}
        found: dict[str, object] = {
            "value": _mean(values),
            "num_labels": len(values),
            "num_labels_empty": num_empty,
        }
        return found if majority is None else found | {"majority": _mean(simple)}

    def _of_instances(self, metric: str, kind: str) -> dict[str, object]:
        if metric == "f1_of_means":
            means = [self._of_instances(name, kind) for name in ("precision_skip", "recall_skip")]
            precision, recall = (float(str(mean["value"])) for mean in means)
            both = precision + recall
            value = 2 * precision * recall / both if both else (0.0 if both == 0 else math.nan)
            return {"value": value, "num_counted": min(int(str(mean["num_counted"])) for mean in means)}
        name, is_skipped = metric.removesuffix("_skip"), metric.endswith("_skip")
        values = {sequence: _ratio(name, *counts) for sequence, counts in self._by_sequence(kind).items()}
        kept = {s: 0.0 if v is None else v for s, v in values.items() if v is not None or not is_skipped}
        found: dict[str, object] = {"value": _mean(list(kept.values())), "num_counted": len(kept)}
        if metric == "f1" and self.bootstrap.resamples:
            found |= self._interval(kept)
        return found

    def _by_sequence(self, kind: str) -> dict[str, list[int]]:
        """Sequence to how many of its labels are true, told, and both."""
        if kind in self.by_sequence:
            return self.by_sequence[kind]
        counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        labels = {name: frozenset(self._labels(name, kind)) for name in self.counts}
        known = self.answers.filter(pc.greater_equal(self.answers["label"], 0))
        sequences, names, words = (
            known[name].cast(pa.string()).to_pylist() for name in ("sequence", "attribute", "positive")
        )
        sets = {word: _set(word) for word in set(words)}
        for sequence, name, label, word in zip(sequences, names, known["label"].to_pylist(), words, strict=True):
            told, of_sequence = sets[word] & labels[name], counts[sequence]
            of_sequence[0] += label in labels[name]
            of_sequence[1] += len(told)
            of_sequence[2] += label in told
        self.by_sequence[kind] = counts
        return counts

    def _interval(self, values: dict[str, float]) -> dict[str, object]:
        """Ends of the interval of a mean over sequences, drawn by subject."""
        by_subject: dict[str, list[float]] = defaultdict(list)
        for sequence, value in values.items():
            by_subject[self.subject_of[sequence]].append(value)
        sums = np.array([math.fsum(by_subject[subject]) for subject in self.subjects])
        nums = np.array([float(len(by_subject[subject])) for subject in self.subjects])
        weights = subject_weights(len(self.subjects), self.bootstrap.resamples, seed=self.bootstrap.seed)
        with np.errstate(invalid="ignore", divide="ignore"):
            low, high = percentile_interval((weights @ sums) / (weights @ nums))
        return {"ci_low": low, "ci_high": high}

    def _of_classes(self, metric: str, majority: dict[str, int | None] | None) -> dict[str, object]:
        values, simple = [], []
        for name, count in self.counts.items():
            known = [case for case in self.cases if case.attribute == name and case.label >= 0]
            total = Counter({cls: sum(case.num for case in known if case.label == cls) for cls in range(count)})
            right = {cls: sum(c.num for c in known if c.label == cls == c.prediction) for cls in range(count)}
            present = [cls for cls in range(count) if total[cls]]
            common = majority[name] if majority is not None else None
            if metric == "class_accuracy" and present:
                values.append(sum(right.values()) / total.total())
                simple.append((total[common] if common is not None else 0) / total.total())
            elif metric == "ma_classes" and len(present) > 1:
                values.append(_mean([right[cls] / total[cls] for cls in present]))
                simple.append(_mean([float(cls == common) for cls in present]))
            elif metric.endswith("_macro") and present:
                told = {cls: sum(c.num for c in known if c.prediction == cls) for cls in range(count)}
                values.append(_macro(metric, total, told, right))
                told = {cls: total.total() if cls == common else 0 for cls in range(count)}
                simple.append(_macro(metric, total, told, {cls: total[cls] if told[cls] else 0 for cls in told}))
        found: dict[str, object] = {
            "value": _mean(values),
            "num_labels": len(values),
            "num_labels_empty": len(self.counts) - len(values),
        }
        return found if majority is None else found | {"majority": _mean(simple)}


def _set(word: str) -> frozenset[int]:
    return frozenset(map(int, word.split())) if word else frozenset()


def _share(part: float, of: int) -> float:
    return part / of if of else 0.0


def _ratio(name: str, true: int, told: int, both: int) -> float | None:
    part, of = {
        "precision": (both, told),
        "recall": (both, true),
        "f1": (2 * both, true + told),
        "acc_jaccard": (both, true + told - both),
    }[name]
    return part / of if of else None


def _macro(metric: str, total: Mapping[int, int], told: Mapping[int, int], right: Mapping[int, int]) -> float:
    """Mean over the classes that are true or told of somebody; empty denominators count as 0."""
    name = metric.removesuffix("_macro")
    there = [cls for cls in right if total[cls] or told[cls]]
    return _mean([_ratio(name, total[cls], told[cls], right[cls]) or 0.0 for cls in there])


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
