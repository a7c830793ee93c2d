"""What a sweep becomes when it is published: a paragraph of methods with its sources, and an archive."""
