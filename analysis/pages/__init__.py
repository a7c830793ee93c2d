"""Pages: HTML files with everything inside, which ask the network for nothing."""
