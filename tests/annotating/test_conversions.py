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


def factors(**changes: object) -> dict[str, object]:
    return dict.fromkeys((field.name for field in GDF_FIELDS), 1) | {"summary": "s"} | changes


@pytest.mark.parametrize(
    ("number", "changes", "match"),
    [
        pytest.param(2, {"name": "foo"}, r"asks for 'foo' \(.*\) where the schema gdf has 'humpback'", id="name"),
        pytest.param(2, {"choices": tuple(range(10))}, r"'humpback' \(0, 1, .*9, -1\) where", id="grades"),
        pytest.param(2, {"unknown": None}, r"'humpback' \(0, 1, 2, 3, 4, 5\) where", id="unknown"),
        pytest.param(13, {"choices": ("x",), "unknown": "y"}, r"'summary' \(x, y\) where .* \(a sentence\)", id="free"),
    ],
)
def test_factors_of_other_fields_are_refused(number: int, changes: dict[str, object], match: str) -> None:
    fields = list(GDF_FIELDS)
    fields[number] = fields[number].model_copy(update=changes)
    with pytest.raises(DatasetError, match=match):
        gait_factors(annotations("gdf", [], fields=tuple(fields)))
    with pytest.raises(DatasetError, match="asks for no further field where the schema gdf has 'summary'"):
        gait_factors(annotations("gdf", [], fields=GDF_FIELDS[:-1]))


def test_a_value_outside_its_field_is_named() -> None:
    # Records are checked where they are read; what changes them later is told, too.
    found = annotations("gdf", [ok("a", factors())], fields=GDF_FIELDS)
    found["a"].values["humpback"] = 9
    with pytest.raises(DatasetError, match="record 'a', field humpback: Input should be less than or equal to 5"):
        gait_factors(found)


def rounds(
    num: int, modalities: tuple[str, ...] = ("silhouette",), views: tuple[str, ...] = DIRECTIONS
) -> list[Annotation]:
    found = []
    for modality in modalities:
        found.append(ok(f"{modality}/description", {"description": "d"}))
        found += [
            ok(f"{modality}/round-{i}", said, tuple(said.values()))
            for i, said in ((i, {view: f"{modality} {view} {i}" for view in views}) for i in range(1, num + 1))
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


def test_only_the_modalities_that_are_taken_must_be_whole() -> None:
    two = ("silhouette", "rgb")
    found = annotations("gmtd", rounds(2), modalities=two, num_rounds=2)
    assert list(text_dictionary(found, ("silhouette", "lidar-depth")).sentences) == ["silhouette"]
    with pytest.raises(DatasetError, match="lacks rgb/round-1"):
        text_dictionary(found)


def test_a_dictionary_that_contradicts_itself_is_refused() -> None:
    _, first = rounds(1)
    said = first.sentences

    def repeated(*sentences: str) -> Annotations:
        record = first.model_copy(update={"sentences": sentences})
        return annotations("gmtd", [record], modalities=("silhouette",), num_rounds=1)

    for sentences in ((), said, said[::-1]):
        assert text_dictionary(repeated(*sentences)).of("silhouette") == said
    with pytest.raises(DatasetError, match="sentences of silhouette/round-1 are not those of its values"):
        text_dictionary(repeated("x", *said[1:]))


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


@pytest.mark.parametrize(
    ("convert", "schema"), [(gait_factors, "gdf"), (text_dictionary, "gmtd"), (motion_prompts, "prompts")]
)
def test_each_wants_its_version(convert: object, schema: str) -> None:
    with pytest.raises(DatasetError, match=f"version 1 of the schema {schema} are needed, these are of version 7"):
        convert(annotations(schema, [], schema_version=7))
