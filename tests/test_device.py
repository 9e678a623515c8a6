import pytest
import torch

from gaitbench.device import device_named
from gaitbench.errors import UsageError


@pytest.mark.parametrize("is_there", [True, False])
def test_auto_takes_what_is_there(is_there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: is_there)
    assert device_named("auto").type == ("cuda" if is_there else "cpu")
    assert device_named("cpu").type == "cpu"


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=r"no CUDA device here; use --device cpu"):
        device_named("cuda")
    with pytest.raises(UsageError, match="got 'tpu'"):
        device_named("tpu")  # type: ignore[arg-type]
