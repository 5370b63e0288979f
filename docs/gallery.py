"""The figures of a report as docs/gallery.md, and the table of figures in docs/figures.md.

`make gallery` builds the report of `desk` and calls this with it. Without a report, `python docs/gallery.py`
writes the table alone.
"""

import base64
import json
import re
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
RULES = Path("workflow/rules/figures.smk")
CAPTIONS = Path("workflow/report")
PAGE = Path("docs/gallery.md")
TABLE_PAGE = Path("docs/figures.md")
PICTURES = Path("docs/gallery")
WIDTH = 1200
COLOURS = 128

TITLES = {
    "fig01": "Two-time displacement of the leading eigenvector",
    "fig02": "Alignment of update and gradient with the leading eigenvectors",
    "fig03": "Inverse participation ratio of the leading eigenvector",
    "fig04": "Training loss",
    "fig05": "Test accuracy of every run",
    "fig06": "The three leading eigenvalues",
    "fig07": "Convergence of the leading eigenvectors to the final basin",
    "fig08": "The best minimum of each optimizer",
    "fig09": "Two-time displacement on the second data set",
    "fig10": "Two-time displacement of the weights",
    "fig11": "Alignment of the weight change over a lag with the leading eigenvector",
    "fig12": "Signed alignment of gradient and update in one run",
    "fig13": "Mean alignment of gradient and update by rank",
    "fig14": "Mean alignment of gradient and update on the second data set",
    "fig15": "Inverse participation ratio of many leading eigenvectors",
    "fig16": "The leading eigenvector at the end of training, layer by layer",
    "fig17": "Alignment of gradient and update over learning rates",
    "fig18": "Inverse participation ratio over batch sizes",
    "fig19": "Inverse participation ratio over learning rates",
    "fig20": "Two-time displacement over batch sizes",
    "fig21": "Two-time displacement over learning rates",
    "ext01": "How much of the displacement is swaps of ranks",
    "ext02": "Displacement of the span of the leading eigenvectors",
    "ext03": "Where the claims hold: training-set size, learning rate and length of training",
    "ext04": "Where in the network the leading eigenvector lives, and so why it localizes",
    "ext05": "The preconditioned Hessian's leading eigenvectors beside the plain ones",
    "ext06": "Whether stable eigenvectors go with flatter minima and better test accuracy",
    "ext07": "Effect, interval and verdict of every claim",
    "ext08": "Null models held against untrained networks, and runs against null models",
}
TABLE_START = "<!-- figures: written by docs/gallery.py -->\n\n"
TABLE_END = "\n<!-- end of figures -->\n"
HEADS = "| figure | what it shows | made by | caption |\n| --- | --- | --- | --- |\n"
INTRODUCTION = """\
# Gallery

All figures of the study `{study}` and their captions, numbered as in the paper. `make gallery` takes them
from the study's report, which has each figure as vector graphics and as a table as well: `make report`.
"""
SECTION = """
## {heading}

**{title}**

![{title}]({picture})

{text}
"""


def figures() -> dict[str, int]:
    """Return the names of all figures with the line of `RULES` that makes each: by number, ours last."""
    lines = (ROOT / RULES).read_text("utf-8").splitlines()
    found = {
        match[1]: number
        for number, line in enumerate(lines, start=1)
        if (match := re.match(r'\s+"((?:fig|ext)\d\d_\w+)": ', line))
    }
    return dict(sorted(found.items(), key=lambda item: (item[0].startswith("ext"), item[0])))


def title_of(name: str) -> str:
    """Return the title of a figure."""
    number = name.partition("_")[0]
    if number not in TITLES:
        sys.exit(f"docs/gallery.py has no title for {name}; add one to TITLES.")
    return TITLES[number]


def heading_of(name: str) -> str:
    """Return the heading of a figure's section: Figure 1, as in the paper, or Extension 1."""
    return f"{'Figure' if name.startswith('fig') else 'Extension'} {int(name[3:5])}"


def figures_table() -> str:
    """Return the table of figures."""
    rows = []
    for name, line in figures().items():
        anchor = heading_of(name).lower().replace(" ", "-")
        rows.append(
            f"| [`{name}`]({PAGE.name}#{anchor}) | {title_of(name)} | [rule](../{RULES}#L{line}) "
            f"| [caption](../{CAPTIONS}/{name}.rst) |\n"
        )
    return HEADS + "".join(rows)


def with_table(page: str) -> str:
    """Return a page with its table of figures up to date."""
    before, _, rest = page.partition(TABLE_START)
    _, _, after = rest.partition(TABLE_END)
    return before + TABLE_START + figures_table() + TABLE_END + after


def results_of(report: Path) -> dict[str, dict[str, Any]]:
    """Return what a report embeds, by file name: captions, rendered, and contents as data URIs."""
    embedded = re.search(r"^\s*var results = (\{.*\});$", report.read_text("utf-8"), re.M)
    if embedded is None:
        sys.exit(f"{report} is no report of Snakemake; build it with `make report`.")
    results: dict[str, dict[str, Any]] = json.loads(embedded[1])
    return {result["name"]: result for result in results.values()}


def small_picture(data_uri: str) -> Image.Image:
    """Return an embedded picture, as wide as a page and with few colours."""
    picture = Image.open(BytesIO(base64.b64decode(data_uri.partition("base64,")[2]))).convert("RGB")
    if picture.width > WIDTH:
        size = (WIDTH, round(picture.height * WIDTH / picture.width))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    return picture.quantize(COLOURS, dither=Image.Dither.NONE)


def write_gallery(report: Path) -> None:
    """Write the page and its pictures."""
    results = results_of(report)
    folder = ROOT / PICTURES
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    sections = []
    for name in figures():
        file = f"{name}.png"
        if file not in results:
            # Figures of a second data set are not drawn in a study of one.
            continue
        small_picture(results[file]["data_uri"]).save(folder / file, optimize=True)
        section = SECTION.format(
            heading=heading_of(name),
            title=title_of(name),
            picture=f"{PICTURES.name}/{file}",
            text=results[file]["caption"].strip(),
        )
        sections.append(section)
    text = INTRODUCTION.format(study=report.resolve().parent.name) + "".join(sections)
    (ROOT / PAGE).write_text(text, "utf-8")


if __name__ == "__main__":
    table_page = ROOT / TABLE_PAGE
    table_page.write_text(with_table(table_page.read_text("utf-8")), "utf-8")
    if len(sys.argv) > 1:
        write_gallery(Path(sys.argv[1]))
