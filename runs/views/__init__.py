"""Text views of a run: transcript, report, summaries."""
