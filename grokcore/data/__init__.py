"""Data: which examples a run trains on, what repeats in them, and how those of many runs lie side by side."""
