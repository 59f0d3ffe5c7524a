"""Altair charts and the report: one chart code for report, notebook, page and PNG."""

from foretell.charts.contents import ReportContents as ReportContents
from foretell.charts.report import write_png as write_png
from foretell.charts.report import write_report as write_report
