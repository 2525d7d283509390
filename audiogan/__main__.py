"""Run the command line with `python -m audiogan`."""

from audiogan.cli import main

if __name__ == "__main__":
    main()
