"""A sweep watched in a browser while it runs: its state, its map as it sharpens, and the page that shows both."""
