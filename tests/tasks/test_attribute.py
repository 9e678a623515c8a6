import dataclasses
import math

import numpy as np
import pytest
import torch
from scored import protocol
from told import ATTRIBUTE_PROTOCOL, NUM_CLASSES, NUM_TRAIN, SCHEMA, labelled, logits_for, task, task_data, tell

from gaitbench.card import Attribute
from gaitbench.errors import DatasetError, IncompleteDataError, ModelError, ShapeError, UsageError
from gaitbench.metrics.class_based import class_accuracy, class_recall, macro_scores
from gaitbench.metrics.instance_based import instance_means
from gaitbench.metrics.label_based import element_accuracy, mean_accuracy
from gaitbench.metrics.label_encoding import EncodingKind, label_encoding
from gaitbench.model import GaitOutput
from gaitbench.results import Score
from gaitbench.tasks import AttributeTask, EmbeddingSet
from gaitbench.tasks.attribute_evidence import condition_groups
from gaitbench.testing import check_task

OF_INSTANCES = {"precision": "precision", "recall": "recall", "f1": "f1", "jaccard": "acc_jaccard"}


def test_contract() -> None:
    check_task(AttributeTask())
    check_task(AttributeTask(), modalities=("silhouette",))


@pytest.mark.parametrize("kind", ["onehot", "binary"])
def test_every_number_is_that_of_the_plain_metric(kind: EncodingKind) -> None:
    rows = labelled()
    logits = logits_for(rows)
    evaluation = tell(rows, logits, bootstrap=0)
    encoding = label_encoding(NUM_CLASSES, kind)
    truth = encoding.of_classes(rows.attributes)
    told = encoding.of_sets((logits[..., 0] > 0).numpy())
    for group, members in {"all": np.arange(len(rows)), "BG": np.flatnonzero(rows.condition == "bg-01")}.items():
        part = truth.value[members], told[members], truth.known[members]
        zero, skip = (instance_means(*part, empty=rule) for rule in ("zero", "skip"))
        expected = {
            "ma": mean_accuracy(*part),
            "ma_zero": mean_accuracy(*part, empty="zero"),
            "acc_elementwise": element_accuracy(*part),
            "f1_of_means": skip.f1_of_means,
            **{ours: getattr(zero, name) for name, ours in OF_INSTANCES.items()},
            **{f"{o}_skip": getattr(skip, n) for n, o in OF_INSTANCES.items() if n != "f1"},
        }
        for metric, value in expected.items():
            assert evaluation.score(f"{metric}_{encoding.name}", group).value == pytest.approx(value), metric


def test_numbers_of_classes() -> None:
    rows = labelled()
    logits = logits_for(rows)
    evaluation = tell(rows, logits, bootstrap=0)
    parts = torch.split(logits[..., 0], list(NUM_CLASSES), dim=1)
    labels = rows.attributes.astype(np.int64).T
    recalls = [class_recall(y, p.argmax(1).numpy(), p.shape[1]) for y, p in zip(labels, parts, strict=True)]
    shares = [class_accuracy(y, p.argmax(1).numpy(), p.shape[1]) for y, p in zip(labels, parts, strict=True)]
    assert evaluation.score("ma_classes", "all").value == pytest.approx(np.mean(recalls))
    assert evaluation.score("class_accuracy", "all").value == pytest.approx(np.mean(shares))
    for attribute, recall in zip(SCHEMA, recalls, strict=True):
        assert evaluation.score("ma_classes", f"all/attribute={attribute.name}").value == pytest.approx(recall)


def test_numbers_of_each_class() -> None:
    rows = labelled()
    logits = logits_for(rows)
    evaluation = tell(rows, logits, bootstrap=0)
    told = logits[:, 2:6, 0].argmax(1).numpy()
    pace = rows.attributes[:, 1].astype(np.int64)
    for index, cls in enumerate(SCHEMA[1].classes[:3]):
        group = f"all/attribute=pace/class={cls}"
        own, others = pace == index, (pace != index) & (pace >= 0)
        sensitivity, specificity = (evaluation.score(name, group) for name in ("sensitivity", "specificity"))
        assert sensitivity.value == pytest.approx((told[own] == index).mean())
        assert specificity.value == pytest.approx((told[others] != index).mean())
        assert (sensitivity.num_counted, specificity.num_counted) == (own.sum(), others.sum())
        assert (sensitivity.num_probes, sensitivity.num_excluded) == (200, int((pace < 0).sum()))
        assert (sensitivity.chance, specificity.chance) == (0.25, 0.75)
        assert (sensitivity.majority, specificity.majority) == (float(index == 0), float(index != 0))
    # Nobody runs: there is nothing to be sensitive to.
    running = {s.metric for s in evaluation.scores if s.group == "all/attribute=pace/class=running"}
    assert running == {"specificity"}


def test_macro_averages_are_means_over_attributes() -> None:
    rows = labelled()
    logits = logits_for(rows)
    evaluation = tell(rows, logits, bootstrap=0)
    parts = torch.split(logits[..., 0], list(NUM_CLASSES), dim=1)
    labels = rows.attributes.astype(np.int64).T
    each = [macro_scores(y, p.argmax(1).numpy(), p.shape[1]) for y, p in zip(labels, parts, strict=True)]
    for name, values in zip(("precision", "recall", "f1"), zip(*each, strict=True), strict=True):
        assert evaluation.score(f"{name}_macro", "all").value == pytest.approx(np.mean(values))
        assert evaluation.score(f"{name}_macro", "all/attribute=pace").value == pytest.approx(values[1])


def test_denominators_tell_what_was_left_out() -> None:
    rows = labelled()
    labels = rows.attributes.copy()
    labels[:3] = -1
    score = tell(dataclasses.replace(rows, attributes=labels), logits_for(rows)).score("ma_onehot8", "all")
    assert (score.num_probes, score.num_absent, score.num_counted) == (200, 3, 197)
    assert score.num_excluded == int((labels < 0).sum())
    # Nobody runs: the label is left out, and said to be.
    assert (score.num_labels, score.num_labels_empty) == (7, 1)


def test_what_is_unknown_changes_nothing() -> None:
    rows = labelled()
    logits = logits_for(rows)
    other = logits.clone()
    is_unknown = ~label_encoding(NUM_CLASSES).of_classes(rows.attributes).known
    other[torch.from_numpy(is_unknown)] *= -1
    assert values(tell(rows, logits).scores) == values(tell(rows, other).scores)


def values(scores: tuple[Score, ...]) -> list[tuple[str, str, str]]:
    return [(s.metric, s.group, f"{s.value:.12f} {s.ci_low} {s.ci_high} {s.majority} {s.chance}") for s in scores]


def test_the_order_of_rows_does_not_matter() -> None:
    rows = labelled()
    logits = logits_for(rows)
    order = np.random.default_rng(0).permutation(len(rows))
    shuffled = tell(rows.take(order), logits[torch.from_numpy(order)])
    assert values(tell(rows, logits).scores) == values(shuffled.scores)
    assert all(a.equals(b) for a, b in zip(tell(rows, logits).tables.values(), shuffled.tables.values(), strict=True))


def test_argmax_tells_one_class_and_threshold_as_many_as_there_are() -> None:
    rows = labelled(unknown=0.0)
    logits = torch.full((len(rows), 8, 1), -1.0)  # nothing is above 0
    logits[:, [0, 2, 6]] = -0.5
    nothing = tell(rows, logits, decides="threshold")
    assert nothing.score("recall_onehot8", "all").value == 0
    assert math.isnan(nothing.score("precision_skip_onehot8", "all").value)
    assert nothing.score("ma_onehot8", "all").value == 0.5
    one = tell(rows, logits, decides="argmax")
    right = (rows.attributes == 0).mean()
    assert one.score("recall_onehot8", "all").value == pytest.approx(right)
    assert one.score("precision_onehot8", "all").value == pytest.approx(right)
    # What is most likely is the same in both.
    assert one.score("class_accuracy", "all").value == nothing.score("class_accuracy", "all").value


def test_of_equal_logits_the_first_is_told() -> None:
    rows = labelled(unknown=0.0)
    told = tell(rows, torch.zeros(len(rows), 8, 1), decides="argmax").tables["answers"]
    assert set(told["prediction"].to_pylist()) == {0}


def test_majority_is_the_commonest_class_of_the_training_data() -> None:
    rows = labelled(unknown=0.0)
    constant = torch.zeros(len(rows), 8, 1)
    constant[:, [1, 2, 6]] = 1.0  # tall, slow, no hat, as in NUM_TRAIN
    told = tell(rows, constant, decides="argmax")
    for score in told.scores:
        assert score.majority == pytest.approx(score.value, nan_ok=True), (score.metric, score.group)
    assert tell(rows).score("ma_onehot8", "all").majority == 0.5


def test_without_training_data_there_is_no_majority() -> None:
    rows = labelled()
    proto = protocol()
    division = proto.divide(rows, needs_train=False, needs_matches=False)
    answers = {"x": EmbeddingSet(logits_for(rows), rows)}
    evaluation = AttributeTask(SCHEMA).evaluate(answers, proto, division, bootstrap=0)
    assert all(score.majority is None and score.ci_low is None for score in evaluation.scores)


def test_chance_is_what_guesses_score_on_average() -> None:
    rows = labelled()
    rng = np.random.default_rng(0)
    sums: dict[tuple[str, str], list[float]] = {}
    for _ in range(150):
        guess = np.stack([rng.integers(0, count, len(rows)) for count in NUM_CLASSES], axis=1)
        logits = torch.from_numpy(label_encoding(NUM_CLASSES).of_classes(guess).value.astype(np.float32))[..., None]
        for score in tell(rows, logits, decides="argmax", bootstrap=0).scores:
            sums.setdefault((score.metric, score.group), []).append(score.value)
    for score in tell(rows, bootstrap=0).scores:
        if score.metric.startswith("f1_of_means"):  # a mean of ratios is not the ratio of means
            continue
        guessed = float(np.mean(sums[score.metric, score.group]))
        assert guessed == pytest.approx(score.chance, abs=0.02), (score.metric, score.group)


def test_groups_and_breakdowns() -> None:
    groups = {score.group for score in tell().scores}
    of_attributes = {f"all/attribute={a.name}" for a in SCHEMA}
    of_classes = {f"all/attribute={a.name}/class={cls}" for a in SCHEMA for cls in a.classes}
    assert groups == {"all", "NM", "BG", "CL"} | of_attributes | of_classes
    alone = {score.group for score in tell(proto=ATTRIBUTE_PROTOCOL).scores}
    assert "all" in alone
    assert "NM" not in alone


def test_a_protocol_without_groups_is_broken_down_by_condition() -> None:
    rows = labelled()
    told = tell(rows, proto=ATTRIBUTE_PROTOCOL, bootstrap=0)
    conditions = set(rows.condition.tolist())
    assert {s.group for s in told.scores if "=" not in s.group} == {"all"} | conditions
    named = tell(rows, proto=protocol(), bootstrap=0)
    for condition in ("bg-01", "cl-01"):
        members = rows.condition == condition
        part = dataclasses.replace(rows.take(members))
        alone = tell(part, logits_for(rows)[torch.from_numpy(members)], proto=ATTRIBUTE_PROTOCOL, bootstrap=0)
        assert told.score("f1_onehot8", condition).value == alone.score("f1_onehot8", "all").value
    assert told.score("ma_onehot8", "cl-01").value == named.score("ma_onehot8", "CL").value


def test_conditions_in_which_nothing_can_be_told_apart_are_no_group() -> None:
    label = np.array([[0, -1], [1, -1], [0, 2], [0, 2], [0, 3], [-1, 2]])
    groups = condition_groups(np.array(["a", "a", "b", "b", "c", "c"]), label)
    assert {name: of.tolist() for name, of in groups.items()} == {
        "a": [True, True, False, False, False, False],
        "c": [False, False, False, False, True, True],
    }
    assert condition_groups(np.array(["a"] * 6), label) == {}
    many = np.array([f"{number:02d}" for number in range(30)]).repeat(2)
    assert condition_groups(many, np.arange(60)[:, None] % 2) == {}


def test_intervals_hold_their_value() -> None:
    for score in tell(bootstrap=200).scores:
        if not math.isnan(score.value):
            assert score.ci_low is not None
            assert score.ci_high is not None
            assert score.ci_low - 0.05 <= score.value <= score.ci_high + 0.05, score


def test_for_data_counts_the_training_labels() -> None:
    rows = labelled(unknown=0.0)
    known = AttributeTask().for_data(task_data(rows))
    assert known.num_train is not None
    # 011, 012, 013: odd, even, odd; thirds 2, 0, 1; no multiple of 5.
    assert (known.num_train / 20).tolist() == [1, 2, 1, 1, 1, 0, 3, 0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"attributes": ()}, "declare no attributes", id="no-schema"),
        pytest.param({"tested": SCHEMA[:2]}, "the test data tall .2 classes., pace .4 classes.: a model", id="other"),
        pytest.param({"attributes": (*SCHEMA, SCHEMA[0])}, "declare the attribute 'tall' twice", id="twice"),
        pytest.param(
            {"attributes": (Attribute(name="a", title="A", classes=("x",)),)}, "two or more different", id="one-class"
        ),
    ],
)
def test_schemas_that_cannot_be_asked(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        AttributeTask().for_data(dataclasses.replace(task_data(labelled()), **changes))  # type: ignore[arg-type]


def test_nothing_known_to_learn_or_to_score() -> None:
    rows = labelled()
    blank = dataclasses.replace(rows, attributes=np.full_like(rows.attributes, -1))
    with pytest.raises(DatasetError, match="nothing to learn"):
        AttributeTask().for_data(task_data(blank))
    with pytest.raises(DatasetError, match="nothing can be scored"):
        AttributeTask().for_data(dataclasses.replace(task_data(rows), asked=blank))
    with pytest.raises(DatasetError, match="nothing can be scored"):
        tell(blank, logits_for(rows))


def test_labels_that_do_not_fit_the_schema() -> None:
    rows = labelled()
    wrong = rows.attributes.copy()
    wrong[7, 1] = 4
    with pytest.raises(DatasetError, match="a test sequence has class 4 of pace, which has 4 classes"):
        tell(dataclasses.replace(rows, attributes=wrong), logits_for(rows))
    with pytest.raises(DatasetError, match="2 labels each, the schema has 3 attributes"):
        tell(dataclasses.replace(rows, attributes=rows.attributes[:, :2]), logits_for(rows))


def test_answers_that_do_not_fit() -> None:
    rows = labelled()
    with pytest.raises(ShapeError, match=r"logits \[N, 8, 1\]"):
        tell(rows, logits_for(rows)[:, :7])
    with pytest.raises(ModelError, match="hold NaN"):
        tell(rows, logits_for(rows).index_fill(0, torch.tensor([4]), torch.nan))
    division = protocol().divide(rows, needs_train=False, needs_matches=False)
    some = EmbeddingSet(logits_for(rows)[:150], rows.take(np.arange(150)))
    with pytest.raises(IncompleteDataError, match="50 of 200 sequences"):
        task().evaluate({"x": some}, protocol(), division)
    whole = {"x": EmbeddingSet(logits_for(rows), rows)}
    with pytest.raises(UsageError, match="half: further metrics"):
        task().evaluate(whole, protocol(), division, metrics={"half": lambda *_: torch.zeros(1)})


def test_answers_come_in_the_order_of_the_schema() -> None:
    parts = [torch.randn(4, count) for count in NUM_CLASSES]
    told = dict(reversed([(a.name, part) for a, part in zip(SCHEMA, parts, strict=True)]))
    answer = task().answer(GaitOutput(embedding=torch.zeros(4, 1, 1), attributes=told))
    assert torch.equal(answer[..., 0], torch.cat(parts, dim=1))
    with pytest.raises(ModelError, match="tells hat, pace, and not tall"):
        task().answer(GaitOutput(embedding=torch.zeros(4, 1, 1), attributes={k: told[k] for k in ("hat", "pace")}))
    wrong = {**told, "hat": torch.zeros(4, 3)}
    with pytest.raises(ModelError, match=r"logits of hat must be \[4, 2\].*got \[4, 3\]"):
        task().answer(GaitOutput(embedding=torch.zeros(4, 1, 1), attributes=wrong))


def test_training_counts_are_kept_with_the_evidence() -> None:
    classes = tell().tables["classes"]
    assert classes["num_train"].to_pylist() == NUM_TRAIN.tolist()
    assert classes["cls"].to_pylist()[2:6] == ["slow", "middle", "fast", "running"]


def test_the_example_of_the_documents() -> None:
    true, told = (label_encoding((2, 3)).of_classes(classes).value for classes in ([[0, 2], [1, 2]], [[0, 2], [0, 1]]))
    assert element_accuracy(true, told) == pytest.approx(0.6)
    means = instance_means(true, told)
    assert (means.precision, means.recall, means.f1, means.jaccard) == (0.5, 0.5, 0.5, 0.5)
    assert mean_accuracy(true, told) == 0.5
    assert mean_accuracy(true, told, empty="zero") == pytest.approx(0.4)
