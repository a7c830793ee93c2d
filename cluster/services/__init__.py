"""Head services: the MLflow server of a cluster, its database and its password."""
