"""The page of an explanation: one HTML file that needs nothing else, neither the pictures beside it nor a network."""

from base64 import b64encode
from collections.abc import Mapping
from html import escape

from gaitbench.explaining.explanation import DrawnSpace, ExplainedSequence, Explanation

__all__ = ["explanation_page"]

_STYLE = """
:root { color-scheme: light dark; --paper: #f4f3ef; --card: #fff; --ink: #202124; --faint: #6b6e76; --line: #dddbd4; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #17181b; --card: #212327; --ink: #e8e8e6; --faint: #9a9da5; --line: #35373d; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main, header { max-width: 1360px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 40px; }
h1 { font-size: 28px; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 0; overflow-wrap: anywhere; }
p { margin: 4px 0; color: var(--faint); max-width: 80ch; }
dl { display: flex; flex-wrap: wrap; gap: 4px 32px; margin: 20px 0; }
dt { color: var(--faint); font-size: 13px; }
dd { margin: 0; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: 8px; margin: 20px 0 28px; }
nav a { border: 1px solid var(--line); border-radius: 14px; padding: 2px 12px; color: inherit; text-decoration: none;
  font-size: 14px; background: var(--card); }
nav a:hover { border-color: var(--faint); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 20px 24px;
  margin-bottom: 24px; }
section p { margin-bottom: 12px; }
.picture { overflow-x: auto; }
img { display: block; max-width: 100%; height: auto; border-radius: 6px; }
table { border-collapse: collapse; margin-top: 14px; font-size: 14px; }
th, td { text-align: left; padding: 4px 20px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--faint); font-weight: normal; }
blockquote { margin: 14px 0 0; padding-left: 14px; border-left: 3px solid #d44842; }
blockquote b { display: block; font-size: 13px; color: var(--faint); font-weight: normal; }
"""


_OF_MAPS = """Frames as the model is given them, from left to right. Each further row lays one of the model's maps over
them: dark is low, bright is high, and the bar at its end says how much. Maps without limits of their own are stretched
over the values of their sequence, so brightness is not comparable between sequences."""
_OF_SPACE = """Each mark is a test sequence as one modality sees it, along the two directions in which all of them
together differ most; what lies apart in other directions falls together here. Below are the distances that the run was
scored on, of genuine pairs (one person) and of impostor pairs (two). The gap is the distance of the centres of two
modalities over the spread of a person's sequences: 0 where they lie on each other."""


def explanation_page(found: Explanation, pictures: Mapping[str, bytes]) -> str:
    """Write the page.

    Args:
        found: What was drawn.
        pictures: File name to PNG; they become part of the page.

    Returns:
        HTML, with everything of the data and the model escaped.
    """
    arrow = "" if found.trained_on == found.dataset else f"{found.trained_on} -> "
    facts = {
        "model": f"{found.model} ({', '.join((found.preset, *found.changes, found.fidelity))})",
        "data": f"{arrow}{found.dataset} {found.dataset_version}",
        "sequences": f"{len(found.sequences)} of the {found.split} part of protocol {found.protocol}",
        "task": found.task,
        "seed": str(found.seed),
        "run": found.run_id[:12],
        **({"note": "; ".join(found.notes)} if found.notes else {}),
    }
    title = f"What {found.model} looks at"
    links = "".join(
        f'<a href="#s{number}">{escape(each.sequence_id)}</a>' for number, each in enumerate(found.sequences)
    )
    body = "\n".join(_section(number, each, pictures) for number, each in enumerate(found.sequences))
    if found.space is not None:
        links = '<a href="#space">shared space</a>' + links
        body = "\n".join(filter(None, (_space_section(found.space, pictures), body)))
    told_of_maps = f"<p>{_OF_MAPS}</p>" if found.sequences else ""
    told = "".join(f"<div><dt>{name}</dt><dd>{escape(text)}</dd></div>" for name, text in facts.items())
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
{told_of_maps}
<dl>{told}</dl>
<nav>{links}</nav>
</header>
<main>
{body}
</main>
</body>
</html>
"""


def _space_section(space: DrawnSpace, pictures: Mapping[str, bytes]) -> str:
    gap = space.gap
    told = "people" if gap.num_subjects > 1 else "person"
    about = (
        f"{gap.num_compared} of {gap.num_sequences} test sequences compared, {gap.num_subjects} {told}, {gap.distance}"
    )
    data = b64encode(pictures[space.file]).decode("ascii")
    gaps = {(each.first, each.second): each for each in gap.gaps}
    rows = []
    for pair in gap.pairs:
        of_two = gaps.get((pair.first, pair.second))
        cells = [
            f"within {pair.first}" if of_two is None else f"{pair.first} to {pair.second}",
            f"{pair.genuine.mean:.4g}" if pair.genuine.num else "",
            f"{pair.impostor.mean:.4g}" if pair.impostor.num else "",
            "" if pair.separation is None else f"{pair.separation:.1%}",
            "" if of_two is None or of_two.gap is None else f"{of_two.gap:.3f}",
        ]
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    head = "".join(
        f"<th>{title}</th>" for title in ("distances", "genuine", "impostor", "genuine nearer", "modality gap")
    )
    return "\n".join(
        [
            '<section id="space">',
            "<h2>The space that the modalities share</h2>",
            f"<p>{_OF_SPACE}</p>",
            f"<p>{escape(about)}</p>",
            f'<div class="picture"><img alt="shared space" src="data:image/png;base64,{data}"></div>',
            f"<table><tr>{head}</tr>{''.join(rows)}</table>",
            "</section>",
        ]
    )


def _section(number: int, each: ExplainedSequence, pictures: Mapping[str, bytes]) -> str:
    about = f"subject {each.subject}, condition {each.condition}, view {each.view}, {each.num_frames} frames"
    parts = [f'<section id="s{number}">', f"<h2>{escape(each.sequence_id)}</h2>", f"<p>{escape(about)}</p>"]
    if each.file:
        data = b64encode(pictures[each.file]).decode("ascii")
        alt = escape(f"{each.sequence_id}: {', '.join(layer.title for layer in each.heatmaps)}", quote=True)
        parts.append(f'<div class="picture"><img alt="{alt}" src="data:image/png;base64,{data}"></div>')
    parts += [f"<blockquote><b>{escape(t.title)}</b>{escape(t.text)}</blockquote>" for t in each.findings]
    if each.heatmaps:
        rows = "".join(
            f"<tr><td>{escape(m.title)}</td><td>{escape(m.modality)}</td><td>{m.rows} x {m.columns}</td>"
            f"<td>{m.lowest:.4g} to {m.highest:.4g}</td></tr>"
            for m in each.heatmaps
        )
        parts.append(f"<table><tr><th>map</th><th>over</th><th>size</th><th>values</th></tr>{rows}</table>")
    return "\n".join([*parts, "</section>"])
