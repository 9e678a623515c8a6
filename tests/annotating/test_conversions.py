import pytest

from gaitbench.annotating import (
    Annotation,
    AnnotationHeader,
    Annotations,
    attribute_indices,
    gait_factors,
    motion_prompts,
    sentences_by_sequence,
    text_dictionary,
)
from gaitbench.annotating.attributes import AttributesSchema
from gaitbench.annotating.directions import DIRECTIONS
from gaitbench.annotating.gdf import GDF_FIELDS
from gaitbench.card import Attribute
from gaitbench.errors import DatasetError

TOE = Attribute(name="toe", title="Toe", classes=("in", "out"))
HAIR = Attribute(name="hair", title="Hair", classes=("short", "long", "none"))


def annotations(schema: str, records: list[Annotation], **changes: object) -> Annotations:
    header = AnnotationHeader(
        **{
            "schema_name": schema,
            "schema_version": 1,
            "prompt_sha256": "",
            "fields": (),
            "dataset": "d",
            "dataset_version": "1",
            "model": "m",
            "endpoint_host": "h",
            "answer_format": "text",
            "written_by": "0",
            **changes,
        }
    )
    return Annotations(header=header, records=tuple(records))


def ok(name: str, values: dict[str, object], sentences: tuple[str, ...] = ("s",)) -> Annotation:
    return Annotation(sequence_id=name, status="ok", values=values, sentences=sentences)


BAD = Annotation(sequence_id="bad", status="invalid", reason="no JSON")


def test_sentences_of_what_is_usable() -> None:
    found = annotations("prompts", [ok("a", {"x": "One."}, ("One.",)), BAD])
    assert sentences_by_sequence(found) == {"a": ("One.",)}


def test_class_indices_are_those_of_a_table() -> None:
    fields = AttributesSchema("d", [TOE, HAIR]).fields
    records = [ok("a", {"toe": "out", "hair": None, "summary": "s"}), BAD]
    found = annotations("attributes", records, fields=fields)
    assert attribute_indices(found, [TOE, HAIR]) == {"a": (1, -1)}
    assert attribute_indices(found, [HAIR, TOE]) == {"a": (-1, 1)}


def test_other_attributes_are_refused() -> None:
    found = annotations("attributes", [], fields=AttributesSchema("d", [TOE]).fields)
    with pytest.raises(DatasetError, match=r"other attributes or classes \(hair\)"):
        attribute_indices(found, [TOE, HAIR])
    with pytest.raises(DatasetError, match=r"other attributes or classes \(toe\)"):
        attribute_indices(found, [TOE.model_copy(update={"classes": ("out", "in")})])


def test_factors_are_typed() -> None:
    values = dict.fromkeys((field.name for field in GDF_FIELDS), 1) | {"humpback": None, "summary": "s"}
    found = gait_factors(annotations("gdf", [ok("a", values), BAD], fields=GDF_FIELDS))
    assert found["a"].humpback is None
    assert found["a"].viewpoint == 1
    assert list(found) == ["a"]


def rounds(
    num: int, modalities: tuple[str, ...] = ("silhouette",), views: tuple[str, ...] = DIRECTIONS
) -> list[Annotation]:
    found = []
    for modality in modalities:
        found.append(ok(f"{modality}/description", {"description": "d"}))
        found += [
            ok(f"{modality}/round-{i}", {view: f"{modality} {view} {i}" for view in views}) for i in range(1, num + 1)
        ]
    return found


def test_a_dictionary() -> None:
    two = ("silhouette", "lidar-depth")
    found = text_dictionary(annotations("gmtd", rounds(3, two), modalities=two, num_rounds=3))
    assert found.directions == DIRECTIONS
    assert len(found.of("silhouette")) == 8 * 3
    assert found.of("silhouette")[:2] == ("silhouette front 1", "silhouette front-left 1")
    assert found.of("lidar-depth")[-1] == "lidar-depth front-right 3"
    assert found.num_distinct == 2 * 8 * 3


def test_a_dictionary_with_a_hole_is_none() -> None:
    records = [each for each in rounds(3) if each.sequence_id != "silhouette/round-2"]
    with pytest.raises(DatasetError, match="lacks silhouette/round-2; run the same"):
        text_dictionary(annotations("gmtd", records, modalities=("silhouette",), num_rounds=3))
    mixed = [*rounds(1), *rounds(2, views=("front",))[2:]]
    with pytest.raises(DatasetError, match="other directions"):
        text_dictionary(annotations("gmtd", mixed, modalities=("silhouette",), num_rounds=2))


def test_prompts_once_each() -> None:
    records = [
        ok("motion/round-1", {"arms": "A", "legs": "L"}, ("A", "L")),
        ok("motion/round-2", {"arms": "A"}, ("A",)),
    ]
    assert motion_prompts(annotations("prompts", records)) == ("A", "L")
    with pytest.raises(DatasetError, match="hold no prompt"):
        motion_prompts(annotations("prompts", []))


@pytest.mark.parametrize("convert", [gait_factors, text_dictionary, motion_prompts])
def test_each_wants_its_schema(convert: object) -> None:
    with pytest.raises(DatasetError, match="are needed, these are of attributes"):
        convert(annotations("attributes", []))
