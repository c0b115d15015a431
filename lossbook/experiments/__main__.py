"""``python -m lossbook.experiments [STUDY ...]``: run studies and store their results.

With --trial no study is run: the trial of the code as it stands is stored beside the runs that are
there, which says that this code would make them again. That is for a change of the trial itself;
before it is stored, the code that made the runs and the code as it stands must have been seen to
agree in it.
"""

import argparse

from lossbook.experiments import STUDIES
from lossbook.experiments.study import perform, record_trial


def main():
    """Run the studies named on the command line, or all."""
    parser = argparse.ArgumentParser(prog="python -m lossbook.experiments", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("study", nargs="*", metavar="STUDY", help=f"one of {', '.join(STUDIES)}")
    parser.add_argument("--trial", action="store_true", help="store the trial only, make no runs")
    options = parser.parse_args()
    names = options.study or STUDIES
    for name in names:
        if name not in STUDIES:
            parser.error(f"no study is called {name!r}; there are {', '.join(STUDIES)}")
    for name in names:
        print(f"stored {record_trial(name) if options.trial else perform(name)}")


# Each run is a process of its own, which imports this file again.
if __name__ == "__main__":
    main()
