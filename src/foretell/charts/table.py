"""The scores as a table that a reader, a screen reader and a spreadsheet understand."""

import math
from html import escape

import polars as pl
import polars.selectors as cs

from foretell.charts.contents import MODEL

ACRONYMS = ("mae", "rmse", "mase", "crps", "bleu", "hr", "ndcg", "mrr")
MIXED = {"smape": "sMAPE", "chrf": "chrF"}


def score_table(scores: pl.DataFrame, higher_is_better: frozenset[str] = frozenset()) -> str:
    """The scores as an HTML table, the best of each column marked; columns without values are left out.

    `scores` has a column `model` and measures, of which the lowest is the best but for those named.
    """
    scores = scores.with_columns(cs.float().fill_nan(None))
    kept = [name for name in scores.columns if name != "model" and scores[name].is_not_null().any()]
    best = {name: _best_rows(scores[name], -1 if name in higher_is_better else 1) for name in kept}
    head = "".join(f"<th scope='col'>{escape(_heading(name))}</th>" for name in ["model", *kept])
    rows = []
    for index, row in enumerate(scores.iter_rows(named=True)):
        own = " class=own" if row["model"] == MODEL else ""
        marks = {name: " class=best" if index in best[name] else "" for name in kept}
        cells = "".join(f"<td{marks[name]}>{_number(name, row[name])}</td>" for name in kept)
        rows.append(f"<tr{own}><td>{escape(str(row['model']))}</td>{cells}</tr>")
    body = "\n".join(rows)
    return f"<div class='scroll'><table>\n<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody>\n</table></div>"


def _best_rows(column: pl.Series, sign: int) -> set[int]:
    """The lowest error, or the highest where the sign is negative; the coverage nearest its level.

    No row for a width, as narrow alone is no merit.
    """
    kind, _, level = column.name.partition("-")
    if kind == "width":
        return set()
    distance = (column - float(level) / 100).abs() if kind == "coverage" else sign * column
    return set((distance == distance.min()).arg_true().to_list())


def label(name: str) -> str:
    """A measure as people write it: "MAE", "HR@10 of all", "bits a character"."""
    kind, at, rest = name.partition("@")
    if at:
        return f"{label(kind)}@{rest}"
    return name.upper() if name in ACRONYMS else MIXED.get(name, name.replace("_", " "))


def _heading(name: str) -> str:
    kind, _, level = name.partition("-")
    if kind in ("coverage", "width"):
        return f"{level} % {'covered' if kind == 'coverage' else 'width'}"
    return label(name)


def _number(name: str, value: float | None) -> str:
    """Four significant digits; coverage, a share of a few windows, as a percentage with one decimal."""
    if value is None:
        return "&ndash;"
    return f"{value:.1%}".replace("%", " %") if name.startswith("coverage-") else significant(value)


def significant(value: float, digits: int = 4) -> str:
    """A number with so many significant digits and no exponent while that stays readable."""
    if value == 0 or not 1e-4 <= abs(value) < 1e9:
        return f"{value:.{digits}g}"
    return f"{value:,.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"
