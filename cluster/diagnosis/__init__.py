"""Diagnosis: what is wrong with a launch file, a host, or the hosts of a running cluster, and what to do."""
