import numpy as np
import pyarrow as pa

from gaitbench.tasks.columns import Words, table_of


def test_words_of_all_parts_share_one_sorted_dictionary() -> None:
    parts = [
        {"view": Words(np.array(["c", "a", "unused"]), np.array([0, 1, 0])), "n": np.arange(3, dtype=np.int32)},
        {"view": Words.repeated("b", 2), "n": np.arange(3, 5, dtype=np.int32)},
    ]
    table = table_of(parts)
    assert table["view"].to_pylist() == ["c", "a", "c", "b", "b"]
    assert table["view"].combine_chunks().dictionary.to_pylist() == ["a", "b", "c"]
    assert table.schema.field("n").type == pa.int32()
    assert table["n"].to_pylist() == [0, 1, 2, 3, 4]


def test_a_table_without_rows() -> None:
    table = table_of([{"view": Words(np.array(["a"]), np.zeros(0, np.int32)), "n": np.zeros(0, np.int64)}])
    assert table.num_rows == 0
    assert table["view"].type == pa.dictionary(pa.int32(), pa.string())
