"""What every report page shares: its outline, its style, and the lines that draw its charts."""

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 60rem; background: #fff; color: #1f2933;
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .75rem; }
h2 { font-size: 1.25rem; line-height: 1.3; margin: 0 0 .25rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 0; }
h1, h2, h3, p, dd { overflow-wrap: anywhere; }
.headline { font-size: 1.2rem; line-height: 1.45; margin: 0; padding: .8rem 1rem; background: #f0f6fa;
  border-left: 4px solid #0072b2; }
section { margin-top: 2.75rem; }
section > p, figcaption { color: #52606d; margin: 0 0 .75rem; max-width: 46rem; }
figure { margin: .75rem 0 0; }
.chart { width: 100%; min-height: 3rem; }
.chart.vega-embed { display: block; }
.choice select { font: inherit; max-width: 100%; margin-bottom: .5rem; }
.narrow { display: grid; gap: 0 2.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); }
.scroll { overflow-x: auto; margin-top: 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; font-size: .95rem; }
th, td { padding: .4rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #e4e7eb; }
th { font-weight: 600; color: #52606d; border-bottom-color: #8a94a0;
  white-space: normal; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; padding-left: .5rem; }
td.best { font-weight: 700; }
tr.own { background: #f0f6fa; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; margin: .75rem 0 0; font: .9rem/1.6 ui-monospace, monospace; }
.heat-1 { background: #fdf0e6; } .heat-2 { background: #fbdfc8; } .heat-3 { background: #f8c9a3; }
.heat-4 { background: #f3ad78; } .heat-5 { background: #ea8f50; } .heat-6 { background: #d9702c; }
.heat-7 { background: #b9530f; color: #fff; }
dl { display: grid; gap: .3rem 1.5rem; margin: .5rem 0;
  grid-template-columns: minmax(6rem, max-content) 1fr; }
dt { color: #52606d; }
dd { margin: 0; }
@media (max-width: 40rem) {
  .chart.vega-embed.has-actions { padding-right: 0; } .chart details { display: none; } }
@media print {
  body { max-width: none; padding: 0; font-size: 11pt; }
  figure, table, h2 { break-inside: avoid; }
  h2, h3, figcaption { break-after: avoid; } .choice, .chart details { display: none !important; }
  svg, canvas { max-width: 100%; height: auto !important; } }
"""

# Each dataset is cloned for each chart: Vega writes its own marks into the records it is given.
SCRIPT = """
const page = JSON.parse(document.getElementById("charts").textContent);
for (const [name, spec] of Object.entries(page.specs)) {
  const datasets = Object.fromEntries(spec.datasets.map(key => [key, structuredClone(page.datasets[key])]));
  vegaEmbed("#" + name, {...spec, datasets}, {
    mode: "vega-lite", bind: "#" + name + "-choice",
    renderer: name.startsWith("chart-gate-") ? "canvas" : "svg",
    actions: {export: true, source: false, compiled: false, editor: false}, downloadFileName: name,
  });
}
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
<p class="headline">{headline}</p>
<noscript><p>Scripts inside this page draw its charts: allow them to see more than the table.</p></noscript>
{body}
<script type="application/json" id="charts">{charts}</script>
<script>{script}</script>
</body>
</html>
"""

# Nothing is fetched, whatever the data hold; Vega compiles its expressions, hence 'unsafe-eval'.
POLICY = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:"
