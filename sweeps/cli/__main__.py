"""``python -m sweeps.cli``: the command line where no `grokmap` is installed."""

from sweeps.cli import main

if __name__ == "__main__":
    main()
