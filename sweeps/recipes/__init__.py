"""Recipes: published experiments, one TOML file each, with what the paper leaves open and what it found."""
