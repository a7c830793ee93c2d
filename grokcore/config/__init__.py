"""Configuration: validated components, the registries that find them, and which of their numbers may differ per run."""
