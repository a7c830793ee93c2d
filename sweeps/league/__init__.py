"""League: ways to grok sooner, each tuned as hard as the baseline it is put against, on several problems."""
