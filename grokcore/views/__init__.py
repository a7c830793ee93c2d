"""Views: the stacked networks of a cohort at one step, and what measures derive from them, each thing once."""
