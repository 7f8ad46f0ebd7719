"""The report of a job as one HTML page that needs nothing else: no network and no script."""

from sigmamind_async.cli.report.document import page
from sigmamind_async.cli.report.model import Header, ReportRow, Tally
from sigmamind_async.cli.report.timeline import Point, Timeline

__all__ = ["Header", "Point", "ReportRow", "Tally", "Timeline", "page"]
