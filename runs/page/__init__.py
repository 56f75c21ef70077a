"""The page of a run: what a browser shows of it, live or as one file. Folds over the journal, like every view."""
