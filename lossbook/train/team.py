"""Training by several processes at once, each with its share of every batch.

``torchrun --nproc-per-node=2 -m lossbook.train`` starts them. A process computes the loss and the
gradient of its share alone, and the gradients are added over all processes before each step, so
that every process makes the same step. What is added are sums, and they are divided by what the
whole batch adds up to: the mean of the means of the shares is not the mean of the batch where the
last share is a short one, or where examples have weights.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Team:
    """How many processes train together, and which of them this is: 0, 1, ...

    Examples
    --------
    >>> [Team(rank, 2).share([5, 6, 7]).tolist() for rank in (0, 1)]
    [[5, 6], [7]]
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self):
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def share(self, batch):
        """This process's part of a batch; with fewer examples than processes some have none."""
        return np.array_split(batch, self.size)[self.rank]

    def joined(self, network):
        """The network such that ``backward`` leaves the mean gradient of all processes."""
        return network if self.size == 1 else DistributedDataParallel(network)

    def total(self, *numbers):
        """The sums of numbers over all processes."""
        if self.size == 1:
            return numbers
        sums = torch.tensor(numbers, dtype=torch.float64)
        distributed.all_reduce(sums)
        return sums.tolist()

    @contextmanager
    def leader_first(self):
        """Let the leading process do something, such as fetch a file, before the others do."""
        if not self.leads:
            distributed.barrier()
        yield
        if self.leads and self.size > 1:
            distributed.barrier()


#: A process that trains alone.
ALONE = Team()


@contextmanager
def assembled():
    """The team that torchrun has started this process in; :data:`ALONE` where it has not.

    The cores of the machine are shared out: with more threads than cores the processes would keep
    each other waiting.
    """
    if not distributed.is_torchelastic_launched():
        yield ALONE
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    torch.set_num_threads(max(1, cores // int(os.environ["LOCAL_WORLD_SIZE"])))
    distributed.init_process_group("gloo")
    try:
        yield Team(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
