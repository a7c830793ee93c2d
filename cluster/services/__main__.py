"""``python -m cluster.services start|stop|status|lock|supervise``, on the head of a cluster."""

from __future__ import annotations

import sys

from cluster.services.mlflow_server import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
