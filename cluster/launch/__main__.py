"""``python -m cluster.launch`` renders every launch file anew."""

from __future__ import annotations

from cluster.launch.files import main

if __name__ == "__main__":
    main()
