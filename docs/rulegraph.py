"""The graph of rules with all figures as one node: `make rulegraph` draws it as docs/rulegraph.svg.

`snakemake --rulegraph dot | python docs/rulegraph.py | dot -Tsvg` does the same. Edges that others imply are left out.
"""

import re
import sys

LOOK = """\
    rankdir=LR; bgcolor=white; nodesep=0.15; ranksep=0.35;
    node [shape=box, style="rounded,filled", fillcolor="#eef3f8", color="#0072B2"];
    node [fontname="sans-serif", fontsize=11];
    edge [color="#888888", arrowsize=0.6];
"""
FIGURE = re.compile(r"(fig|ext)\d\d")

Edges = set[tuple[str, str]]


def edges_of(dot: str) -> Edges:
    """Return which rule makes something for which, from Snakemake's graph; all figures are ``figures``."""
    names = dict(re.findall(r'(\d+)\[label = "([^"]+)"', dot))
    shown = {number: "figures" if FIGURE.fullmatch(name) else name for number, name in names.items()}
    edges = {(shown[start], shown[end]) for start, end in re.findall(r"(\d+) -> (\d+)", dot)}
    return {(start, end) for start, end in edges if start != end}


def without_implied(edges: Edges) -> Edges:
    """Leave out the edges whose ends are connected by others."""
    return {(start, end) for start, end in edges if end not in _reached(start, edges - {(start, end)})}


def _reached(start: str, edges: Edges) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        node = waiting.pop()
        following = {end for begin, end in edges if begin == node} - reached
        reached |= following
        waiting += following
    return reached


def condensed(dot: str) -> str:
    """Return Snakemake's graph in the language of Graphviz, condensed."""
    lines = [f'    "{start}" -> "{end}";\n' for start, end in sorted(without_implied(edges_of(dot)))]
    return "digraph rules {\n" + LOOK + "".join(lines) + "}\n"


if __name__ == "__main__":
    print(condensed(sys.stdin.read()), end="")
