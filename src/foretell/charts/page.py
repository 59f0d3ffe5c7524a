"""The report as one HTML page that loads nothing: the libraries once, the data once, everything escaped."""

import json
from collections.abc import Iterable
from functools import cache
from html import escape
from itertools import groupby
from typing import Any

import altair as alt
import vl_convert

from foretell.charts.outline import Figure, Page, Section
from foretell.charts.template import PAGE, POLICY, SCRIPT, STYLE


def render(page: Page) -> str:
    """The whole page."""
    return PAGE.format(
        policy=POLICY,
        title=escape(page.title),
        headline=escape(page.headline),
        style=STYLE,
        body=_body(page),
        charts=_embeddable(_charts(page.sections)),
        script=_script(),
    )


def _body(page: Page) -> str:
    blocks = []
    for narrow, group in groupby(page.sections, key=lambda part: part.narrow):
        inner = "\n".join(map(_section, group))
        blocks.append(f"<div class='narrow'>{inner}</div>" if narrow else inner)
    return "\n".join([*blocks, _facts(page.facts)])


def _section(part: Section) -> str:
    figures = "".join(_figure(figure, titled=len(part.figures) > 1) for figure in part.figures)
    head = f"<h2>{escape(part.heading)}</h2>\n<p>{escape(part.text)}</p>"
    return f"<section id='{part.name}'>\n{head}\n{part.html}\n{figures}</section>"


def _figure(figure: Figure, *, titled: bool) -> str:
    """The place of a chart; a section's only figure is titled by the section."""
    head = f"<h3>{escape(figure.heading)}</h3>\n<figcaption>{escape(figure.caption)}</figcaption>"
    name = f"chart-{figure.name}"
    places = f"<div class='choice' id='{name}-choice'></div><div class='chart' id='{name}'></div>"
    return f"<figure>{head if titled else ''}{places}</figure>\n"


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    pairs = "\n".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    return f"<section id='facts'>\n<h2>How it was made</h2>\n<dl>{pairs}</dl>\n</section>" if pairs else ""


def _charts(parts: Iterable[Section]) -> dict[str, Any]:
    """Specifications by place, as wide as the page allows, and the data, once for all charts that use it."""
    specs: dict[str, Any] = {}
    datasets: dict[str, Any] = {}
    for figure in (figure for part in parts for figure in part.figures):
        spec = figure.chart.to_dict()
        shared = spec.pop("datasets", {})
        datasets |= shared
        # Legends below one another, for a phone; Altair's schema does not know the setting, Vega does
        spec["config"]["legend"]["layout"] = {"top": {"direction": "vertical", "anchor": "start"}}
        fit = {"width": "container", "autosize": {"type": "fit-x", "contains": "padding"}}
        specs[f"chart-{figure.name}"] = spec | fit | {"datasets": list(shared)}
    return {"datasets": datasets, "specs": specs}


def _embeddable(value: Any) -> str:
    """JSON that cannot end or open a tag, wherever in a page it stands."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _script() -> str:
    """The libraries, in the version that Altair writes for, and the few lines that draw the charts."""
    version = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    return vl_convert.javascript_bundle(SCRIPT, vl_version=version)  # takes seconds, hence the cache
