"""Altair charts and the report: one chart code for report, notebook, page and PNG."""
