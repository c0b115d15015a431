"""How long two trainings take side by side, against one alone: `make bench`.

Each uses two threads. As libgomp comes, a thread that waits for the others goes on turning for a
while: with more threads than cores it keeps the core from the one that it waits for. `lossbook`
asks for threads that sleep, before torch is loaded; both ways are measured. Two runs on two cores
that share the work fairly take twice as long as one.

Then one training by a team of two processes, which torchrun starts, against one by a process alone
that has all cores: each process of the team takes its part of the cores. The processes exchange
their gradients once a step, so a team gains where a step is long, and loses in small batches.
"""

import argparse
import json
import os
import subprocess
import sys
import time

ARGUMENTS = ("--source", "sample", "--quiet")
PROGRAMS = {
    "sleeping, as lossbook asks for": "import runpy, lossbook",
    # Once torch is loaded it is too late to ask.
    "turning, as libgomp comes": "import runpy, torch",
}
#: Of what a team of two trains on: a step takes a few milliseconds, or many.
BATCH_SIZES = (64, 256, 1024)
RUN = "; runpy.run_module('lossbook.train', run_name='__main__', alter_sys=True)"


def start(program, epochs):
    """A training in a process of its own."""
    environment = {
        k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    }
    return subprocess.Popen(
        [sys.executable, "-c", program + RUN, *ARGUMENTS, "--epochs", str(epochs)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment | {"OMP_NUM_THREADS": "2"},
    )


def seconds(program, runs, epochs):
    """From the first start to the last end, and the longest training among them."""
    begin = time.perf_counter()
    results = [
        process.communicate()[0] for process in [start(program, epochs) for _ in range(runs)]
    ]
    wall = time.perf_counter() - begin
    return wall, max(json.loads(out.splitlines()[-1])["train_seconds"] for out in results)


def beside_a_team(epochs, batch_size):
    """Seconds of training by a process alone and by a team of two, one after the other."""
    run = ["-m", "lossbook.train", *ARGUMENTS, "--epochs", str(epochs)]
    run += ["--batch-size", str(batch_size)]
    team = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    for start in ([], team):
        done = subprocess.run(
            [sys.executable, *start, *run],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            check=True,
        )
        yield json.loads(done.stdout.splitlines()[-1])["train_seconds"]


def main():
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=2, help="of each training (2)")
    options = parser.parse_args()
    for label, program in PROGRAMS.items():
        (alone, alone_training), (pair, pair_training) = (
            seconds(program, runs, options.epochs) for runs in (1, 2)
        )
        print(
            f"{label:32} one {alone:6.1f} s ({alone_training:6.1f} s of training), "
            f"two {pair:6.1f} s ({pair_training:6.1f} s), "
            f"ratio {pair / alone:5.2f} ({pair_training / alone_training:5.2f})",
            flush=True,
        )
    for size in BATCH_SIZES:
        alone, team = beside_a_team(options.epochs, size)
        label = f"a team of two, batches of {size}"
        print(f"{label:32} one {alone:6.1f} s, two {team:6.1f} s, ratio {team / alone:5.2f}")


if __name__ == "__main__":
    main()
