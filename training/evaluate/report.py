"""One HTML file of an evaluation: tables, plots and pictures, with nothing to load from elsewhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from statistics import median

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.evaluate.paper import DIFFERENCES, PAPER
from training.evaluate.run import Evaluation, HeadReport
from training.evaluate.styles import STYLE_TITLES, style_cells
from training.evaluate.summary import (
    CLIP_TITLES,
    LIKENESS_TITLES,
    PHOTO_TITLES,
    cells,
    summarise_clip,
)

COLOURS = {
    "tracker": "#9a9a9a", "hull": "#d97706", "network": "#2563eb", "rome": "#be123c", "lam": "#7c3aed",
    "lam_on_mesh": "#0e7490",
}  # fmt: skip
PLOT = (560, 240)  # px, width and height
EDGE = 40  # px around a plot for its numbers
QUALITY = 88  # of the pictures' JPEG

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1400px; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 } th, td { padding: .25em .7em; text-align: right }
th { border-bottom: 2px solid #888; font-weight: 600 } td { border-bottom: 1px solid #ddd }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left }
img { max-width: 100%; display: block; margin: 2px 0 } figure { display: inline-block; margin: 1em 2em 1em 0 }
figcaption { color: #555 } .swatch { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 1em }
"""


def html_report(evaluation: Evaluation) -> str:
    """The whole page."""
    heads = evaluation.heads
    parts = ["<h1>How good the heads are</h1>", budget_table(heads)]
    if any(report.photos for report in heads.values()):
        parts += ["<h2>Photo view</h2>", photo_table(heads), _plots_of_photos(heads)]
    if any(report.clips for report in heads.values()):
        parts += ["<h2>Clips: the first frame drives the rest</h2>", clip_table(heads), _plots_of_clips(heads)]
        parts += ["<h2>The paper's table</h2>", paper_table(heads), _items(DIFFERENCES)]
    if any(report.styles for report in heads.values()):
        parts += ["<h2>Heads of known shape</h2>", style_table(heads)]
    parts += ["<h2>What failed</h2>", _items(failures(heads)) or "<p>Nothing.</p>", _items(evaluation.remarks)]
    for name, report in heads.items():
        parts += [f"<h2>Pictures: {escape(name)}</h2>", *(_picture(strip) for strip in report.strips)]
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Evaluation</title>'
        f"<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def photo_table(heads: dict[str, HeadReport]) -> str:
    """A row for each kind of head."""
    titles = PHOTO_TITLES | LIKENESS_TITLES
    rows = [["photos", name, *cells(report.photo_summary(), titles)] for name, report in heads.items()]
    return _table(["", "heads", *titles.values()], rows)


def budget_table(heads: dict[str, HeadReport]) -> str:
    """What each kind of head is, and what it cost: rows of other budgets are not to be compared without this."""
    rows = [
        [name, report.drawn, report.learnt, f"{median(report.seconds):.1f}" if report.seconds else ""]
        for name, report in heads.items()
    ]
    return _table(["heads", "drawn as", "trained with", "s a photo or clip, measuring included"], rows)


def clip_table(heads: dict[str, HeadReport]) -> str:
    """A row for each clip and kind of head, and the means."""
    rows = []
    for name, report in heads.items():
        rows += [[clip.path.stem, name, *cells(summarise_clip(clip), CLIP_TITLES)] for clip in report.clips]
        rows.append(["mean of the clips", name, *cells(report.clip_summary(), CLIP_TITLES)])
    return _table(["clip", "heads", *CLIP_TITLES.values()], rows)


def style_table(heads: dict[str, HeadReport]) -> str:
    """Millimetres of each region, front and back apart, of heads that were drawn."""
    rows = [[style, name, *style_cells(s)] for name, report in heads.items() for style, s in report.styles.items()]
    return _table(["style", "heads", *STYLE_TITLES], rows)


def paper_table(heads: dict[str, HeadReport]) -> str:
    """The paper's rows above ours. They were not measured the same way: DIFFERENCES says how."""
    names = ("head", "ssim_window", "lpips", "akd", "csim", "fid")
    rows = [
        [
            row.method, row.representation, f"{row.psnr:.2f}", f"{row.ssim:.3f}", f"{row.lpips:.3f}",
            f"{row.akd:.2f}", f"{row.csim:.3f}", f"{row.fid:.1f}",
        ]
        for row in PAPER
    ]  # fmt: skip
    rows += [[f"ours: {name}", report.drawn, *cells(report.clip_summary(), names)] for name, report in heads.items()]
    return _table(["method", "representation", "PSNR", "SSIM (whole window)", "LPIPS", "AKD", "CSIM", "FID"], rows)


def failures(heads: dict[str, HeadReport]) -> list[str]:
    """A sentence for each source that failed."""
    return [f"{name}, {path.name}: {why}" for name, report in heads.items() for path, why in report.failures()]


def plot(
    title: str,
    lines: Mapping[str, Sequence[float]],  # what each kind of head has, from left to right
) -> str:
    """A figure with one line for each kind of head."""
    known = {name: np.asarray(values, np.float64) for name, values in lines.items() if len(values)}
    finite = np.concatenate([values[np.isfinite(values)] for values in known.values()] or [np.zeros(0)])
    if not len(finite):
        return ""
    low, high = float(finite.min()), float(finite.max())
    high = high if high > low else low + 1
    width, height = PLOT
    marks = [
        f'<text x="{EDGE - 6}" y="{height - EDGE + 4}" text-anchor="end">{low:.3g}</text>',
        f'<text x="{EDGE - 6}" y="{EDGE / 2 + 4}" text-anchor="end">{high:.3g}</text>',
        f'<path d="M{EDGE} {EDGE / 2}V{height - EDGE}H{width - 8}" fill="none" stroke="#888"/>',
    ]
    for name, values in known.items():
        x = EDGE + (width - 8 - EDGE) * (np.arange(len(values)) + 0.5) / len(values)
        y = height - EDGE - (height - 1.5 * EDGE) * (values - low) / (high - low)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True) if np.isfinite(b))
        marks.append(f'<polyline points="{points}" fill="none" stroke="{_colour(name)}" stroke-width="2"/>')
    names = "".join(f'<span class="swatch" style="background:{_colour(name)}"></span>{escape(name)}' for name in known)
    drawing = f'<svg width="{width}" height="{height}" font-size="12">{"".join(marks)}</svg>'
    return f"<figure>{drawing}<figcaption>{escape(title)}{names}</figcaption></figure>"


def _plots_of_photos(heads: dict[str, HeadReport]) -> str:
    def sorted_by(score: str) -> dict[str, Sequence[float]]:
        return {
            name: sorted(float(getattr(result.scores, score)) for result in report.photos if result.scores)
            for name, report in heads.items()
        }

    titles = {"head": "head region, dB", "hair": "hair covered", "silhouette": "silhouette IoU"}
    return "".join(plot(f"{title}, photos from worst to best", sorted_by(name)) for name, title in titles.items())


def _plots_of_clips(heads: dict[str, HeadReport]) -> str:
    figures = []
    for index, clip in enumerate(next(iter(heads.values())).clips):
        frames = {name: report.clips[index].frames for name, report in heads.items()}
        head = {name: [frame.view.head for frame in found] for name, found in frames.items()}
        figures.append(plot(f"{clip.path.stem}: head region, dB, frame by frame", head))
    return "".join(figures)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _items(texts: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>" if texts else ""


def _picture(pixels: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img src="data:image/jpeg;base64,{data}" alt="">'


def _colour(name: str) -> str:
    return COLOURS.get(name, "#059669")
