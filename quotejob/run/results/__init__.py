"""The results of records: listing (in parts, or as a stream), results_csv (as a file), explained (why their prices)."""

from quotejob.run.results.listing import QUOTE_INCOMPLETE, Results

__all__ = ["QUOTE_INCOMPLETE", "Results"]
