"""PyTorch as a contestant (see contestant.py): the paper's network on the CPU.

    torch_step.py FOLDER THREADS LEARNING_RATE [compile]

Settings are those that were the fastest of what was tried: one pool of threads, subnormal numbers as
zero, gradients set to None, Adam's loop fused.
"""

import itertools
import sys

import torch
from torch import nn

from contestant import Problem, serve
from torch_network import Network, adam, focal

folder, threads, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
torch.set_num_threads(threads)
torch.set_num_interop_threads(1)
torch.set_flush_denormal(True)
torch.manual_seed(0)
problem = Problem(folder)


batches = [
    (torch.from_numpy(x), torch.from_numpy(y).reshape(-1, problem.components))
    for x, y in zip(problem.ids, problem.targets)
]


def trainer(dropout):
    network = Network(problem, nn.Dropout(dropout)).train()
    optimizer, before_step = adam(network, rate)

    def loss_of(x, y):
        return focal(network(x), y).mean()

    if "compile" in sys.argv[4:]:
        loss_of = torch.compile(loss_of)

    def step(x, y):
        before_step()
        loss = loss_of(x, y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def losses(n):
    step = trainer(0.0)
    return [step(*batches[i % len(batches)]).item() for i in range(n)]


turn = itertools.cycle(batches)
train_step = trainer(0.4)
reader = Network(problem, nn.Dropout(0.4)).eval()


def train():
    train_step(*next(turn))


@torch.inference_mode()
def infer():
    torch.log_softmax(reader(next(turn)[0]), -1)


serve({"train": train, "infer": infer, "losses": losses})
