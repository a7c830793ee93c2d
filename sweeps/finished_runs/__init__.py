"""Finished runs: finding one, looking inside, and training it again to compare bits."""
