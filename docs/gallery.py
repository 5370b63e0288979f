"""Write docs/gallery.md from the figures of a report, and the table of figures in docs/figures.md.

`make gallery` builds the report of `desk` and runs this script on it. Without a report, only the table is written, from
the declarations of figures.
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
sys.path.insert(0, str(ROOT / "workflow"))

from eigendrift.extensions.kinds import Figure, lazy  # noqa: E402
from eigendrift.extensions.registry import source_of  # noqa: E402
from eigendrift.figures.declarations import FIGURES  # noqa: E402

PAGE = Path("docs/gallery.md")
TABLE_PAGE = Path("docs/figures.md")
PICTURES = Path("docs/gallery")
WIDTH = 1200
COLOURS = 128

TABLE_START = "<!-- figures: written by docs/gallery.py -->\n\n"
TABLE_END = "\n<!-- end of figures -->\n"
HEADS = "| figure | what it shows | category | runs | reads | drawn by |\n| --- | --- | --- | --- | --- | --- |\n"
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


def figures() -> list[Figure]:
    """Return the declarations of the package's figures, except run times: by number, additional figures last."""
    shipped = [
        figure
        for figure in FIGURES.values()
        if source_of(Figure, figure.name) is None and "benchmarks.csv" not in figure.reads.values()
    ]
    return sorted(shipped, key=lambda figure: (figure.name.startswith("ext"), figure.name))


def heading_of(figure: Figure) -> str:
    """Return the heading of a figure's section: Figure 1, as in the paper, or Extension 1."""
    return f"{'Figure' if figure.name.startswith('fig') else 'Extension'} {int(figure.name[3:5])}"


def figures_table() -> str:
    """Return the table of figures."""
    rows = []
    for figure in figures():
        anchor = heading_of(figure).lower().replace(" ", "-")
        assert isinstance(figure.draw, lazy)
        module = figure.draw.module.replace(".", "/")
        rows.append(
            f"| [`{figure.name}`]({PAGE.name}#{anchor}) | {figure.title} | {figure.category} | {figure.runs} "
            f"| {', '.join(figure.reads.values())} | [{figure.draw.function}](../workflow/{module}.py) |\n"
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
        sys.exit(f"{report} is not a report of Snakemake; build it with `make report`.")
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
    for figure in figures():
        file = f"{figure.name}.png"
        if file not in results:
            # A study of one data set has no figures of a second one.
            continue
        small_picture(results[file]["data_uri"]).save(folder / file, optimize=True)
        section = SECTION.format(
            heading=heading_of(figure),
            title=figure.title,
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
