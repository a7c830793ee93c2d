"""Store: what a sweep has done so far, on disk or in a bucket."""
