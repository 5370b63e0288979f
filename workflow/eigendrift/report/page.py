"""The frame of a page: one self-contained HTML file, as a report embeds it."""

from collections.abc import Iterable, Sequence
from html import escape
from string import Template

PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>$title</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; color: #1e293b; margin: 1.5rem 2rem; max-width: 70rem; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; }
h2 { font-size: 1.1rem; margin: 1rem 0 .2rem; }
p { margin: .2rem 0 .6rem; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-size: .75rem; color: #64748b; border-bottom: 2px solid #cbd5e1; }
th, td { padding: .3rem .8rem .3rem 0; vertical-align: top; }
td { border-bottom: 1px solid #e2e8f0; }
.small { color: #64748b; font-size: .85rem; }
.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
code { font: .85rem ui-monospace, monospace; }
$style
</style>
</head>
<body>
<h1>$title</h1>
$body
</body>
</html>
""")


def page(title: str, style: str, body: str) -> str:
    """Return a page.

    Args:
        title: Its title, as plain text.
        style: CSS rules of its own.
        body: HTML below the title.
    """
    return PAGE.substitute(title=escape(title), style=style, body=body)


def row(*cells: str) -> str:
    """Return a row of a table; cells are whole ``td`` elements or plain HTML."""
    return (
        "<tr>" + "".join(cell if cell.startswith("<td") else f"<td>{cell}</td>" for cell in cells) + "</tr>"
    )


def table(heads: Sequence[str], rows: Iterable[str]) -> str:
    """Return a table with a line of column titles."""
    line = "".join(f"<th>{head}</th>" for head in heads)
    return f"<table>\n<thead><tr>{line}</tr></thead>\n<tbody>\n{chr(10).join(rows)}\n</tbody>\n</table>"
