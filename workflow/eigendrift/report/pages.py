"""Pages of the report as self-contained HTML files: the verdicts on the claims, and the configuration."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from html import escape
from string import Template
from typing import Any

import yaml

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
    """Return a self-contained HTML page with a plain-text title, CSS rules of its own, and HTML below the title."""
    return PAGE.substitute(title=escape(title), style=style, body=body)


def row(*cells: str) -> str:
    """Return a row of a table; cells are whole ``td`` elements or plain HTML."""
    return "<tr>" + "".join(cell if cell.startswith("<td") else f"<td>{cell}</td>" for cell in cells) + "</tr>"


def table(heads: Sequence[str], rows: Iterable[str]) -> str:
    """Return a table with column titles."""
    line = "".join(f"<th>{head}</th>" for head in heads)
    return f"<table>\n<thead><tr>{line}</tr></thead>\n<tbody>\n{chr(10).join(rows)}\n</tbody>\n</table>"


CLAIMS_STYLE = """\
.verdict { border-radius: .6rem; padding: .05rem .6rem; font-weight: 600; white-space: nowrap; }
.supported { background: #d5efe6; color: #00543d; }
.contradicted { background: #fbe0d0; color: #7c2d00; }
.undecided { background: #e8ecf1; color: #475569; }
.not-measured { background: none; color: #475569; font-weight: 400; }
svg { display: block; }
"""
HEADS = ["data set", "effect [interval]", "", "seeds", "p, corrected", "detectable", "verdict", "why"]
SENSITIVITY_HEADS = [
    *("data set", "k", "lag", "checkpoints"),
    *("effect [interval]", "seeds", "p, corrected", "verdict", "why"),
]
WIDTH, HEIGHT, MARGIN = 220, 18, 6

Verdict = Mapping[str, Any]


def claims_page(content: Mapping[str, Any]) -> str:
    """Return the verdicts on the claims as a page.

    Args:
        content: The content of claims.json.
    """
    settings = content["settings"]
    verdicts = content["claims"]
    rows = [
        line
        for name in dict.fromkeys(verdict["claim"] for verdict in verdicts)
        for line in _claim_rows([verdict for verdict in verdicts if verdict["claim"] == name])
    ]
    notes = [f"<li>{escape(note)}</li>" for note in content["notes"]]
    body = f"""\
<p>A claim is <span class="verdict supported">supported</span> on a data set if the whole interval of the
effect is above the smallest effect that counts and the corrected p is below
{1 - settings["confidence"]:.2g}, <span class="verdict contradicted">contradicted</span> if the interval is
below, and <span class="verdict undecided">undecided</span> otherwise. C7 says that an effect is small, so
below and above are reversed. Intervals are {settings["confidence"]:.0%} studentized bootstrap
intervals of the mean over seeds, from {settings["resamples"]:,} resamples. p comes from the one-sided exact
paired sign-flip test, is at least 2⁻ⁿ with n seeds, and is corrected by Holm's method for all claims that
were tested on the data set. Detectable is the true effect whose interval, from so many seeds of this spread,
would be on the claim's side with a probability of 80 %.</p>
<p class="small">Δ is the displacement of the leading eigenvector over a lag of {settings["lag"]:g} of the
training, IPR its inverse participation ratio, u and g are update and gradient; null model:
{escape(content["null_model"])}. In the drawings a dot is the effect, a bar its interval, the dashed red line
the smallest effect that counts, the grey line no effect.</p>
{table(HEADS, rows)}
<h2>Sensitivity</h2>
<p>Every claim decided again with means over k leading eigenvectors, and at other lags. Large k are measured
at the checkpoints that have as many eigenpairs, with null-model draws that have as many. To see the influence
of k alone, compare rows with equal numbers of checkpoints.</p>
{table(SENSITIVITY_HEADS, [line for verdict in verdicts for line in _sensitivity(verdict)])}
{"<h2>Notes</h2><ul>" + "".join(notes) + "</ul>" if notes else ""}"""
    return page("The paper's claims", CLAIMS_STYLE, body)


def _claim_rows(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield the rows of one claim: its statement, and a verdict for each data set."""
    first = verdicts[0]
    yield row(
        f'<td colspan="{len(HEADS)}"><h2>{escape(first["claim"])} · {escape(first["statement"])}</h2>'
        f'<span class="small">Effect of one seed: {escape(first["estimator"])}.<br>'
        f"{escape(first['formula'])}<br>"
        f"{'It must lie below' if first['equivalence'] else 'Smallest that counts'}: "
        f"{first['smallest_effect']:g} ({escape(first['unit'])})</span></td>"
    )
    marks = [
        mark
        for verdict in verdicts
        for mark in (0.0, verdict["smallest_effect"], verdict["effect"], *(verdict["interval"] or ()))
        if mark is not None
    ]
    for verdict in verdicts:
        excluded = "".join(f"; seed {seed} left out: {why}" for seed, why in verdict["excluded"].items())
        details = "".join(
            f"<br>{escape(name)}: {value:.3g}".replace("-", "−") for name, value in verdict["details"].items()
        )
        yield row(
            escape(verdict["dataset"]),
            f'<td class="number">{_effect(verdict)}</td>',
            _drawing(verdict, min(marks), max(marks)),
            str(verdict["n"]),
            _p(verdict),
            "" if verdict["detectable_effect"] is None else _number(verdict["detectable_effect"]),
            _badge(verdict),
            f'<td class="small">{escape(verdict["reason"] + excluded)}{details}</td>',
        )


def _sensitivity(verdict: Verdict) -> Iterator[str]:
    """Yield a row for each other way to measure, under a heading with the claim."""
    yield row(f'<td colspan="{len(SENSITIVITY_HEADS)}"><b>{escape(verdict["claim"])}</b></td>')
    for variant in verdict["sensitivity"]:
        yield row(
            escape(verdict["dataset"]),
            str(variant["ranks"]),
            "" if variant["lag"] is None else f"{variant['lag']:g}",
            str(variant["checkpoints"]),
            f'<td class="number">{_effect(variant)}</td>',
            str(variant["n"]),
            _p(variant),
            _badge(variant),
            f'<td class="small">{escape(variant["reason"])}</td>',
        )


def _badge(verdict: Verdict) -> str:
    name = escape(verdict["verdict"])
    return f'<span class="verdict {name.replace(" ", "-")}">{name}</span>'


def _p(verdict: Verdict) -> str:
    return "" if verdict["p"] is None else f"{verdict['p']:.2g}, {verdict['corrected_p']:.2g}"


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _effect(verdict: Verdict) -> str:
    if verdict["effect"] is None:
        return "none"
    interval = verdict["interval"]
    return _number(verdict["effect"]) + (f" [{', '.join(map(_number, interval))}]" if interval else "")


def _drawing(verdict: Verdict, low: float, high: float) -> str:
    """Return a drawing of an effect and its interval; the range from ``low`` to ``high`` fills the width."""

    def across(value: float) -> float:
        return round(MARGIN + (value - low) / (high - low or 1.0) * (WIDTH - 2 * MARGIN), 1)

    def upright(value: float, style: str) -> str:
        return f'<line x1="{across(value)}" x2="{across(value)}" y1="0" y2="{HEIGHT}" {style}/>'

    middle = HEIGHT / 2
    parts = [
        upright(0.0, 'stroke="#94a3b8"'),
        upright(verdict["smallest_effect"], 'stroke="#d00000" stroke-dasharray="3 2"'),
    ]
    if verdict["interval"]:
        left, right = map(across, verdict["interval"])
        parts.append(f'<line x1="{left}" x2="{right}" y1="{middle}" y2="{middle}" stroke="#0072b2" stroke-width="3"/>')
    if verdict["effect"] is not None:
        parts.append(f'<circle cx="{across(verdict["effect"])}" cy="{middle}" r="4" fill="#0072b2"/>')
    return f'<svg width="{WIDTH}" height="{HEIGHT}" role="img">{"".join(parts)}</svg>'


CONFIGURATION_STYLE = "th:nth-child(1) { width: 30%; }\nth:nth-child(2) { width: 22%; }"
HEADER = "# The complete study {study}: `snakemake --configfile FILE` with this file reruns it.\n\n"

Schema = Mapping[str, Any]


def configuration_file(config: Mapping[str, Any]) -> str:
    """Return the configuration as YAML that snakemake reads."""
    text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    return HEADER.format(study=config["study"]) + str(text)


def configuration_page(config: Mapping[str, Any], schema: Schema) -> str:
    """Return the configuration as a page.

    Args:
        config: The configuration, which the schema accepts.
        schema: The JSON schema, whose descriptions explain the keys.
    """
    rows = [
        row(f"<code>{escape('.'.join(path))}</code>", f"<code>{escape(_text(value))}</code>", escape(meaning))
        for path, value, meaning in explained(config, schema, schema)
    ]
    body = (
        "<p>Every setting of this study, with the defaults that its file does not change. The file "
        "<code>config.yaml</code> next to this page has the same settings, ready to run.</p>\n"
        + table(["key", "value", "meaning"], rows)
    )
    return page(f"Configuration of the study {config['study']}", CONFIGURATION_STYLE, body)


def explained(
    config: Mapping[str, Any], schema: Schema, root: Schema, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any, str]]:
    """Yield path, value and meaning of every setting, in the schema's order.

    Args:
        config: A group of the configuration.
        schema: The group's part of the schema.
        root: The whole schema, the target of references.
        path: Keys that lead to the group.
    """
    order = list(schema.get("properties", ()))
    for key in sorted(config, key=lambda key: order.index(key) if key in order else len(order)):
        value = config[key]
        part = _part(schema, key, root)
        if isinstance(value, Mapping) and value:
            yield from explained(value, part, root, (*path, key))
        else:
            # A key without a description, such as an optimizer's name, has the description of its group.
            yield (*path, key), value, part.get("description", schema.get("description", ""))


def _part(schema: Schema, key: str, root: Schema) -> Schema:
    part = schema.get("properties", {}).get(key, schema.get("additionalProperties", {}))
    if "$ref" not in part:
        return dict(part)
    target = reduce(lambda group, name: group[name], part["$ref"].removeprefix("#/").split("/"), root)
    # A description next to a reference overrides that of its target.
    return {**target, **part}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return value if isinstance(value, str) else json.dumps(value)
