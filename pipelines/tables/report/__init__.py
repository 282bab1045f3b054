"""The report: every exhibit, claim, cost and search of the record on one static page."""

from pipelines.tables.report.page import claims_page, report

__all__ = ["claims_page", "report"]
