"""Solutions in steps: which files each may read and keeps, how they run, and the cache of their results."""
