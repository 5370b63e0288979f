"""How Sphinx builds the pages: `make docs`. They need no network, neither to be built nor to be read."""

import re
import sys
from pathlib import Path
from typing import Any

import latex2mathml.converter
from docutils import nodes

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

project = "eigendrift"
author = "the authors of eigendrift"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "eigendrift"
html_static_path: list[str] = []
html_copy_source = False
html_math_renderer = "mathml"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
# Single backticks in docstrings are names.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_use_ivar = True


def _as_mathml(display: str) -> Any:
    """Return what writes a formula as MathML, which browsers draw by themselves."""

    def visit(translator: Any, node: nodes.math | nodes.math_block) -> None:
        formula = latex2mathml.converter.convert(node.astext(), display=display)
        translator.body.append(f"<p>{formula}</p>" if display == "block" else formula)
        raise nodes.SkipNode

    return visit, None


def _keep_bars(_app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Keep reStructuredText from taking |…| in docstrings for a substitution; formulas are another matter."""
    lines[:] = [line if ":math:" in line else line.replace("|", r"\|") for line in lines]


def _spell_out(_app: Any, _page: str, source: list[str]) -> None:
    """Write paths of the repository where pages link to it: beside the built pages it is not there."""
    source[0] = re.sub(r"\[([^\]]+)\]\(\.\./([^)]+)\)", _spelt_out, source[0])


def _spelt_out(link: re.Match[str]) -> str:
    text, path = link.groups()
    return f"`{path}`" if text in path else f"{text} (`{path}`)"


def setup(app: Any) -> None:
    """Tell Sphinx how formulas are written."""
    app.connect("source-read", _spell_out)
    app.connect("autodoc-process-docstring", _keep_bars)
    app.add_html_math_renderer("mathml", _as_mathml("inline"), _as_mathml("block"))
