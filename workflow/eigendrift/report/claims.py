"""The verdicts on the paper's claims as a page to read."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from eigendrift.report.page import page, row, table

STYLE = """\
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
    """Return the page.

    Args:
        content: What claims.json holds.
    """
    settings = content["settings"]
    verdicts = content["claims"]
    rows = [
        line
        for name in dict.fromkeys(verdict["claim"] for verdict in verdicts)
        for line in _rows([verdict for verdict in verdicts if verdict["claim"] == name])
    ]
    notes = [f"<li>{escape(note)}</li>" for note in content["notes"]]
    body = f"""\
<p>A claim is <span class="verdict supported">supported</span> on a data set if the whole interval of the
effect lies above the smallest effect that counts and the corrected p is below
{1 - settings["confidence"]:.2g}, <span class="verdict contradicted">contradicted</span> if the interval lies
below, and <span class="verdict undecided">undecided</span> otherwise; for C7, which says that an effect is
small, below and above change places. Intervals are {settings["confidence"]:.0%} studentized bootstrap
intervals of the mean over seeds, from {settings["resamples"]:,} resamples. p is of the one-sided exact paired
sign-flip test, with n seeds at least 2⁻ⁿ, and corrected by Holm's method for all claims that were tested on
the data set. Detectable is the true effect whose interval, from so many seeds of this spread, would lie on
the claim's side with 80 % chance.</p>
<p class="small">Δ is the displacement of the leading eigenvector over a lag of {settings["lag"]:g} of the
training, IPR its inverse participation ratio, u and g are update and gradient; null model:
{escape(content["null_model"])}. In the drawings a dot is the effect, a bar its interval, the dashed red line
the smallest effect that counts, the grey line no effect.</p>
{table(HEADS, rows)}
<h2>Sensitivity</h2>
<p>Every claim decided again with means over k leading eigenvectors, and at other lags. Large k are measured
at the checkpoints that have as many eigenpairs, with the null model's draws that have; what k alone makes of
an effect is told by rows of as many checkpoints.</p>
{table(SENSITIVITY_HEADS, [line for verdict in verdicts for line in _sensitivity(verdict)])}
{"<h2>Notes</h2><ul>" + "".join(notes) + "</ul>" if notes else ""}"""
    return page("The paper's claims", STYLE, body)


def _rows(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield the rows of one claim: what it says, and a verdict for each data set."""
    first = verdicts[0]
    low, high = _range(verdicts)
    yield row(
        f'<td colspan="{len(HEADS)}"><h2>{escape(first["claim"])} · {escape(first["statement"])}</h2>'
        f'<span class="small">Effect of one seed: {escape(first["estimator"])}.<br>'
        f"{escape(first['formula'])}<br>"
        f"{'It must lie below' if first['equivalence'] else 'Smallest that counts'}: "
        f"{first['smallest_effect']:g} ({escape(first['unit'])})</span></td>"
    )
    for verdict in verdicts:
        yield _row(verdict, low, high)


def _row(verdict: Verdict, low: float, high: float) -> str:
    reason = verdict["reason"] + "".join(
        f"; seed {seed} left out: {why}" for seed, why in verdict["excluded"].items()
    )
    details = "".join(
        f"<br>{escape(name)}: {value:.3g}".replace("-", "−") for name, value in verdict["details"].items()
    )
    return row(
        escape(verdict["dataset"]),
        f'<td class="number">{_effect(verdict)}</td>',
        _drawing(verdict, low, high),
        str(verdict["n"]),
        _p(verdict),
        "" if verdict["detectable_effect"] is None else _number(verdict["detectable_effect"]),
        _badge(verdict),
        f'<td class="small">{escape(reason)}{details}</td>',
    )


def _sensitivity(verdict: Verdict) -> Iterator[str]:
    """Yield a row for each other way to measure, under a heading for the claim and data set."""
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


def _marks(verdict: Verdict) -> Iterator[float]:
    """Yield the values that a drawing must have room for."""
    yield from (0.0, verdict["smallest_effect"])
    if verdict["effect"] is not None:
        yield verdict["effect"]
    yield from verdict["interval"] or ()


def _range(verdicts: Sequence[Verdict]) -> tuple[float, float]:
    marks = [mark for verdict in verdicts for mark in _marks(verdict)]
    return min(marks), max(marks)


def _drawing(verdict: Verdict, low: float, high: float) -> str:
    """Draw an effect and its interval, the range from ``low`` to ``high`` across the width."""

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
        parts.append(
            f'<line x1="{left}" x2="{right}" y1="{middle}" y2="{middle}" stroke="#0072b2" stroke-width="3"/>'
        )
    if verdict["effect"] is not None:
        parts.append(f'<circle cx="{across(verdict["effect"])}" cy="{middle}" r="4" fill="#0072b2"/>')
    return f'<svg width="{WIDTH}" height="{HEIGHT}" role="img">{"".join(parts)}</svg>'
