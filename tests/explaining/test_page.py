import re

from gaitbench.explaining.explanation import DrawnHeatmap, ExplainedSequence, Explanation, Told
from gaitbench.explaining.page import explanation_page

SEQUENCE = ExplainedSequence(
    sequence_id='<script>"x"</script>',
    subject="001",
    condition="a&b",
    view="090",
    num_frames=9,
    frames=(0, 8),
    file="001.png",
    heatmaps=(
        DrawnHeatmap(title="<b>map", modality="rgb", rows=4, columns=3, low=0, high=1, lowest=0.25, highest=0.5),
    ),
    findings=(Told(title="said", text="1 < 2 & 3"),),
)


def page(**changes: object) -> str:
    found = Explanation.model_validate(
        {
            "run_id": "0123456789abcdef",
            "model": "m",
            "preset": "quick",
            "fidelity": "paper",
            "task": "identity",
            "dataset": "b",
            "dataset_version": "1",
            "trained_on": "b",
            "protocol": "p",
            "split": "test",
            "seed": 0,
            "sequences": (SEQUENCE,),
            **changes,
        }
    )
    return explanation_page(found, {"001.png": b"\x89PNG"})


def test_the_page_needs_nothing_but_itself() -> None:
    text = page()
    assert re.findall(r'(?:src|href)="([^"]{0,22})', text) == ["#s0", "data:image/png;base64,"]
    assert "http" not in text
    assert "@import" not in text
    assert 'src="data:image/png;base64,iVBORw=="' in text


def test_nothing_of_the_data_is_markup() -> None:
    text = page(notes=("<i>note",), model="<m>")
    assert "<script>" not in text
    assert '"x"' not in text
    for escaped in ("&lt;script&gt;", "a&amp;b", "1 &lt; 2 &amp; 3", "&lt;b&gt;map", "&lt;i&gt;note", "&lt;m&gt;"):
        assert escaped in text


def test_what_was_changed_in_the_preset_is_told() -> None:
    assert "m (quick, paper)" in page()
    assert "m (quick, width=8, paper)" in page(changes=("width=8",))


def test_what_was_trained_elsewhere_says_so() -> None:
    assert "<dd>b 1</dd>" in page()
    assert "<dd>a -&gt; b 1</dd>" in page(trained_on="a")


def test_a_model_that_only_talks_has_no_picture() -> None:
    quiet = SEQUENCE.model_copy(update={"file": "", "heatmaps": ()})
    text = page(sequences=(quiet,))
    assert "<img" not in text
    assert "<table" not in text
    assert "<blockquote>" in text
