"""``python -m lossbook.experiments run [STUDY ...]``: run studies and store their results.

A study that is stopped, in whatever way, goes on where it was when it is run again. Runs are made
on all cores of this machine, or with ``--dask ADDRESS`` by the workers of a Dask cluster.

``python -m lossbook.experiments trial [STUDY ...]`` runs no study: it stores the trial of the code
as it stands beside the runs that are there, which says that this code would make them again. That
is for a change of the trial itself; before it is stored, the code that made the runs and the code
as it stands must have been seen to agree in it.
"""

import argparse
import sys

from lossbook.experiments import STUDIES
from lossbook.experiments.study import perform, record_trial


def main():
    """Run the studies named on the command line, or all; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lossbook.experiments", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command", required=True, metavar="{run,trial}")
    run = commands.add_parser("run", help="run studies and store their results")
    run.add_argument("--dask", metavar="ADDRESS", help="of the scheduler of a Dask cluster")
    trial = commands.add_parser("trial", help="store the trials of the code as it stands")
    for command in (run, trial):
        command.add_argument(
            "study", nargs="*", metavar="STUDY", help=f"all, or some of {', '.join(STUDIES)}"
        )
    options = parser.parse_args()
    names = options.study or STUDIES
    for name in names:
        if name not in STUDIES:
            parser.error(f"no study is called {name!r}; there are {', '.join(STUDIES)}")
    for name in names:
        if options.command == "trial":
            print(f"stored {record_trial(name)}")
            continue
        try:
            print(f"stored {perform(name, dask=options.dask)}")
        except (OSError, RuntimeError) as error:
            if options.dask is None:
                raise
            print(f"--dask {options.dask}: {error}", file=sys.stderr)
            return 1
    return 0


# Each run is a process of its own, which imports this file again.
if __name__ == "__main__":
    sys.exit(main())
