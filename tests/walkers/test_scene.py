"""Backgrounds of the colour pictures, and the masks that lie in their frame."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

import gaitbench
from gaitbench.errors import UsageError
from gaitbench.sequence import SequenceInfo
from gaitbench.walkers.builder import WalkersBuilder
from gaitbench.walkers.options import WalkersOptions

KINDS = ("plain", "textured", "changing")
SMALL = WalkersOptions(num_train_subjects=2, num_test_subjects=2, views_deg=(0, 45, 90), num_frames=6)


def frames_of(
    infos: list[SequenceInfo], modality: str, background: str = "plain", **options: object
) -> list[np.ndarray]:
    chosen = WalkersOptions.model_validate({**SMALL.model_dump(), "background": background, **options})
    return [np.asarray(frames) for frames in WalkersBuilder(chosen).frames(infos, modality)]


@pytest.fixture(scope="module")
def some() -> list[SequenceInfo]:
    """One sequence of every condition, of changing people and views."""
    everything = WalkersBuilder(SMALL).sequences()
    return [next(s for s in everything[7 * i :] if s.condition == c) for i, c in enumerate(SMALL.conditions)]


@pytest.mark.parametrize("size", [(128, 64), (96, 96)], ids=lambda s: f"{s[0]}x{s[1]}")
def test_masks_lie_on_the_walker_pixel_by_pixel(some: list[SequenceInfo], size: tuple[int, int]) -> None:
    options = {"rgb_height_px": size[0], "rgb_width_px": size[1]}
    pictures = {kind: frames_of(some, "rgb", kind, **options) for kind in ("plain", "textured")}
    for info, mask, plain, textured in zip(
        some, frames_of(some, "silhouette-raw", **options), pictures["plain"], pictures["textured"], strict=True
    ):
        assert mask.shape == (6, 1, *size)
        is_same = (plain == textured).all(axis=1)
        is_walker = mask[:, 0] > 0
        assert 0.05 < is_walker.mean() < 0.6, info.sequence_id
        assert is_same[is_walker].all(), info.sequence_id
        # Posts and low walls stand before the background and are the same too.
        if not info.condition.startswith(("oc", "nt")):
            assert is_same[~is_walker].mean() < 0.05, info.sequence_id


def test_masks_leave_out_what_is_hidden() -> None:
    infos = [s for s in WalkersBuilder(SMALL).sequences() if s.condition == "oc-01"]
    masks, plain, textured = (
        frames_of(infos, modality, kind)
        for modality, kind in (("silhouette-raw", "plain"), ("rgb", "plain"), ("rgb", "textured"))
    )
    # What looks the same before every background and is not the walker: the post or wall that hides part of him.
    hides = [((a == b).all(axis=1) & (m[:, 0] == 0)).mean() for m, a, b in zip(masks, plain, textured, strict=True)]
    assert np.mean(np.array(hides) > 0.02) > 0.7


def test_only_the_background_differs(some: list[SequenceInfo]) -> None:
    for modality in ("silhouette", "silhouette-raw", "skeleton2d"):
        first, *others = (frames_of(some, modality, kind) for kind in KINDS)
        for other in others:
            assert all(np.array_equal(a, b) for a, b in zip(first, other, strict=True)), modality


def test_light_alone_changes_the_walker(some: list[SequenceInfo]) -> None:
    infos = [s for s in some if not s.condition.startswith("nt")]
    masks = frames_of(infos, "silhouette-raw")
    plain, changing = (frames_of(infos, "rgb", kind) for kind in ("plain", "changing"))
    spread = []
    for mask, before, after in zip(masks, plain, changing, strict=True):
        is_clear = (mask > 0) & (before > 60) & (before < 220) & (after < 250)
        # Pictures hold the square root of the light.
        factor = np.where(is_clear, (after / np.maximum(before, 1.0)) ** 2, np.nan)
        light = np.nanmedian(factor, axis=(2, 3), keepdims=True)  # [T, 3, 1, 1]
        assert np.nanquantile(np.abs(factor / light - 1), 0.9) < 0.06
        spread.append(np.ptp(light, axis=0).max())
    assert np.median(spread) > 0.1


def test_a_changing_background_moves(some: list[SequenceInfo]) -> None:
    towards = [s for s in WalkersBuilder(SMALL).sequences() if s.view == "000" and s.condition[:2] == "nm"]
    masks = [mask[:, 0] > 0 for mask in frames_of(towards, "silhouette-raw")]

    def change(kind: str) -> float:
        """How much the background of a window that stays differs from frame to frame, without what the light does."""
        found = []
        for frames, mask in zip(frames_of(towards, "rgb", kind), masks, strict=True):
            beside = ~(mask[1:] | mask[:-1])
            bright = frames.mean(axis=1) / frames.mean(axis=(1, 2, 3))[:, None, None]
            found.append(np.abs(np.diff(bright, axis=0))[beside].mean())
        return float(np.mean(found))

    plain, textured, changing = (change(kind) for kind in KINDS)
    assert changing > 1.4 * textured > 1.4 * plain


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_sequence_is_the_same_in_any_company(some: list[SequenceInfo], kind: str) -> None:
    together = frames_of(some, "rgb", kind)
    for i in (0, 5, 9):
        assert np.array_equal(frames_of([some[i]], "rgb", kind)[0], together[i])
    assert not np.array_equal(together[0], together[1])


def test_two_takes_stand_before_other_backgrounds() -> None:
    takes = [s for s in WalkersBuilder(SMALL).sequences() if s.subject_id == "0001" and s.view == "000"][:4]
    corners = [frames[0, :, :24, :8].reshape(-1).astype(float) for frames in frames_of(takes, "rgb", "textured")]
    assert min(np.abs(a - b).mean() for i, a in enumerate(corners) for b in corners[:i]) > 10


def test_the_default_dataset_keeps_its_place_and_fingerprint() -> None:
    """Records and caches know the walkers by these options: a field more would make all of them strangers."""
    text = json.dumps({"options": WalkersOptions().model_dump(mode="json")}, sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest().startswith("0bcbfd236a80")


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_frame_and_large_pictures_have_a_background_too(kind: str) -> None:
    info = WalkersBuilder(SMALL).sequences()[2]
    (frames,) = frames_of([info], "rgb", kind, num_frames=1, rgb_height_px=300, rgb_width_px=200)
    assert frames.shape == (1, 3, 300, 200)
    assert np.ptp(frames[:, :, :50]) > 5


def test_older_options_are_written_as_they_were() -> None:
    assert "background" not in WalkersBuilder(SMALL).card().options
    other = WalkersBuilder(SMALL.model_copy(update={"background": "changing"})).card().options
    assert other["background"] == "changing"
    assert WalkersOptions.model_validate(other).background == "changing"
    with pytest.raises(ValidationError, match="textured"):
        WalkersOptions.model_validate({"background": "busy"})


def test_a_prepared_folder_is_not_taken_for_one_with_another_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAITBENCH_CACHE", str(tmp_path / "cache"))
    size = {"num_train_subjects": 1, "num_test_subjects": 1, "views_deg": (0,), "num_frames": 2}
    folder = tmp_path / "plain"
    modalities = ["rgb", "silhouette-raw"]
    plain = gaitbench.prepare("walkers", out=folder, modalities=modalities, options=size, workers=1)
    assert plain.bank("silhouette-raw").frames(0).max() == 1
    with pytest.raises(UsageError, match="prepared with background='plain', you ask for 'changing'"):
        gaitbench.load("walkers", source=folder, background="changing")
    again = gaitbench.load("walkers", source=folder, modalities=["rgb"], background="plain")
    assert len(again) == len(plain)
    other = gaitbench.load("walkers", modalities=modalities, background="changing", **size)  # type: ignore[call-overload]
    assert other.fingerprint(modalities) != plain.fingerprint(modalities)
    assert other.manifest("silhouette-raw")["sha256"].equals(plain.manifest("silhouette-raw")["sha256"])
