"""Exports: a map or a comparison written in every form people use, with what made it."""
