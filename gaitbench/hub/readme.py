"""The README of a dataset repository: the header that the hub and `datasets` read, and a page for people."""

import re
from typing import TYPE_CHECKING, Any

from gaitbench.hub.columns import Form, FrameColumn

if TYPE_CHECKING:
    import datasets

    from gaitbench.hub.contents import Contents

__all__ = ["readme_text"]

_LICENSES = (
    *("apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "unlicense", "pddl", "odbl", "odc-by", "gpl-3.0"),
    *("cc", "cc0-1.0", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0"),
    *("cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0"),
    *("cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "cdla-sharing-1.0"),
)
"""Words that the hub knows and that datasets have."""

_SIZES = (("n<1K", 1e3), ("1K<n<10K", 1e4), ("10K<n<100K", 1e5), ("100K<n<1M", 1e6), ("1M<n<10M", 1e7))

_CELLS: dict[Form, str] = {
    "jpeg": "list of pictures, the JPEG files as they are stored",
    "mask": "list of pictures (PNG, one bit per pixel)",
    "classes": "list of pictures (PNG with a palette; the index of a pixel is its class)",
    "grey": "list of pictures (PNG, exact values)",
    "colour": "list of pictures (PNG)",
    "numbers": "nested list",
    "points": "`points` float16 `[M, D]` of all frames, `offsets` `[T + 1]` (frame t holds `points[offsets[t]:"
    "offsets[t + 1]]`) and `origin` float32 `[D]`, which is added to the points",
}


def readme_text(contents: "Contents", features: "datasets.Features") -> str:
    """Write README.md.

    Args:
        contents: What the repository holds.
        features: Of its rows.
    """
    import yaml  # type: ignore[import-untyped]

    header = yaml.safe_dump(_header(contents, features), sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{header}---\n\n{_page(contents)}"


def _header(contents: "Contents", features: "datasets.Features") -> dict[str, Any]:
    card, total = contents.card, sum(file.num_bytes for file in contents.files)
    is_raster = any(contents.modality(name).kind == "raster" for name in contents.streams)
    sizes = [name for name, end in _SIZES if contents.num_sequences < end]
    splits = [
        {
            "name": split,
            "num_bytes": sum(file.num_bytes for file in contents.files if file.split == split),
            "num_examples": num,
        }
        for split, num in contents.splits.items()
    ]
    return {
        **_license(card.licence),
        "pretty_name": card.title,
        "task_categories": ["video-classification", "image-feature-extraction"] if is_raster else ["other"],
        "tags": ["gait-recognition", "biometrics", "gaitbench", *sorted(contents.streams)],
        "size_categories": [sizes[0] if sizes else "n>10M"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*.parquet"} for split in contents.splits],
            }
        ],
        "dataset_info": {
            "features": [{"name": name, **_yaml(feature)} for name, feature in features.to_dict().items()],
            "splits": splits,
            "download_size": total,
            "dataset_size": total,
        },
    }


def _license(text: str) -> dict[str, str]:
    """The licence's word on the hub, or ``other`` with the text beside it.

    Example:
        >>> _license("CC0-1.0: generated data"), _license("research only, on request")["license"]
        ({'license': 'cc0-1.0'}, 'other')
    """
    first = re.split(r"[\s:;,]", text.strip().lower(), maxsplit=1)[0]
    if first in _LICENSES:
        return {"license": first}
    return {"license": "other", "license_name": "see-terms", "license_details": text or "not stated"}


def _yaml(feature: Any) -> dict[str, Any]:
    """A feature as the header writes it: ``dtype``, ``list`` or ``struct``."""
    kind = feature.get("_type") if isinstance(feature, dict) else None
    if kind is None:
        return {"struct": [{"name": name, **_yaml(inner)} for name, inner in feature.items()]}
    if kind == "Value":
        return {"dtype": feature["dtype"]}
    if kind == "Image":
        return {"dtype": "image"}
    if kind == "ClassLabel":
        return {"dtype": {"class_label": {"names": {str(i): name for i, name in enumerate(feature["names"])}}}}
    assert kind in ("List", "Sequence"), kind
    inner = _yaml(feature["feature"])
    return {"list": inner["dtype"] if list(inner) == ["dtype"] and isinstance(inner["dtype"], str) else inner}


def _page(contents: "Contents") -> str:
    card = contents.card
    splits = "".join(f"| {split} | {num} |\n" for split, num in contents.splits.items())
    rows = [
        ("sequence_id, subject_id, condition, view", "text"),
        ("view_deg", "angle in degrees, null where the dataset has none"),
        ("num_frames", "frames of the fastest modality"),
    ]
    if card.attributes:
        names = ", ".join(attribute.name for attribute in card.attributes)
        rows.append(("attributes", f"a class each of {names}; null where unknown"))
    rows += [(name, _describe(contents, name)) for name in contents.streams]
    columns = "".join(f"| {name} | {text} |\n" for name, text in rows)
    undivided = f"\nOne split: {contents.undivided}.\n" if contents.undivided else ""
    notes = "" if card.redistribution else _TERMS
    return f"""# {card.title}

{card.description}

{card.name} {card.version}, {contents.num_sequences} sequences, a row each.

| split | sequences |
|---|---|
{splits}{undivided}
| column | content |
|---|---|
{columns}
```python
from datasets import load_dataset

data = load_dataset("ORG/NAME")  # or the path of this folder
```

With [gaitbench](https://pypi.org/project/gaitbench/) it is the very dataset it was made of, fingerprint
`{contents.fingerprint[:16]}`: `gaitbench run --task identity --dataset hf:ORG/NAME`.
{notes}
## Licence

{card.licence or "Not stated."}

## Source

{card.source or "Not stated."}

## Citation

{card.citation or "Not stated."}
"""


_TERMS = """
The terms of these data do not allow, or do not say, that they may be passed on: keep this repository private.
"""


def _describe(contents: "Contents", name: str) -> str:
    modality, info = contents.modality(name), contents.card.streams[name]
    axes = " x ".join(map(str, info.frame_shape))
    unit = f", {modality.unit}" if modality.unit else ""
    rate = f"{info.frame_rate_hz:g} frames per second"
    return f"{modality.title}; {_CELLS[FrameColumn(modality, info).form]}; {axes} per frame{unit}, {rate}"
