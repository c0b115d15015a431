"""``python -m lossbook.experiments [STUDY ...]``: run studies and store their results."""

import argparse

from lossbook.experiments import STUDIES
from lossbook.experiments.study import perform


def main():
    """Run the studies named on the command line, or all."""
    parser = argparse.ArgumentParser(prog="python -m lossbook.experiments", description=__doc__)
    parser.add_argument("study", nargs="*", metavar="STUDY", help=f"one of {', '.join(STUDIES)}")
    names = parser.parse_args().study or STUDIES
    for name in names:
        if name not in STUDIES:
            parser.error(f"no study is called {name!r}; there are {', '.join(STUDIES)}")
    for name in names:
        print(f"stored {perform(name)}")


# Each run is a process of its own, which imports this file again.
if __name__ == "__main__":
    main()
