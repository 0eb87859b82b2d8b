"""PyTorch as a contestant (see contestant.py): the paper's network on the CPU.

    torch_step.py FOLDER THREADS LEARNING_RATE [compile]

Settings are those that were the fastest of what was tried: one pool of threads, subnormal numbers as
zero, gradients set to None, Adam's loop fused.
"""

import itertools
import sys

import numpy as np
import torch
from torch import nn

from contestant import Problem, serve

folder, threads, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
torch.set_num_threads(threads)
torch.set_num_interop_threads(1)
torch.set_flush_denormal(True)
torch.manual_seed(0)
problem = Problem(folder)


class Network(nn.Module):
    def __init__(self, p, dropout):
        super().__init__()
        out = p.components * p.classes
        self.shape = (p.components, p.classes)
        self.lstm1 = nn.LSTM(p.fields, p.units1, bidirectional=True)
        self.norm1 = nn.BatchNorm1d(2 * p.units1, eps=1e-3, momentum=0.01)  # Keras' 0.99 is the share kept
        self.lstm2 = nn.LSTM(2 * p.units1, p.units2, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(2 * p.units2, out)
        self.norm2 = nn.BatchNorm1d(out, eps=1e-3, momentum=0.01)
        with torch.no_grad():
            self.load(p)

    def load(self, p):
        def put(parameter, name, transposed=False):
            w = p.weight(name)
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(w.T if transposed else w)))

        for name in ("lstm1", "lstm2"):
            lstm = getattr(self, name)
            for direction, suffix in (("forward", ""), ("backward", "_reverse")):
                put(getattr(lstm, "weight_ih_l0" + suffix), f"{name}/{direction}/kernel", True)
                put(getattr(lstm, "weight_hh_l0" + suffix), f"{name}/{direction}/recurrent", True)
                put(getattr(lstm, "bias_ih_l0" + suffix), f"{name}/{direction}/bias")
                # A second bias is PyTorch's own; the paper's network has one.
                second = getattr(lstm, "bias_hh_l0" + suffix)
                second.zero_()
                second.requires_grad_(False)
        put(self.dense.weight, "dense/kernel", True)
        put(self.dense.bias, "dense/bias")
        for name in ("norm1", "norm2"):
            norm = getattr(self, name)
            put(norm.weight, name + "/gamma")
            put(norm.bias, name + "/beta")

    def forward(self, x):  # [window, batch, fields] to logits [window*batch, components, classes]
        window, batch, _ = x.shape
        x, _ = self.lstm1(x)
        x = self.norm1(x.reshape(window * batch, -1)).reshape(window, batch, -1)
        x, _ = self.lstm2(x)
        x = torch.relu(self.dense(self.dropout(x).reshape(window * batch, -1)))
        return self.norm2(x).reshape(-1, *self.shape)


def focal(logits, targets):
    """Keras' CategoricalFocalCrossentropy: the mean over rows and components."""
    log_p = torch.log_softmax(logits, -1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return (-0.25 * (1 - log_p.exp()) ** 2 * log_p).mean()


batches = [
    (torch.from_numpy(x), torch.from_numpy(y).reshape(-1, problem.components))
    for x, y in zip(problem.ids, problem.targets)
]


def trainer(dropout):
    network = Network(problem, dropout).train()
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=rate, fused=True)

    def loss_of(x, y):
        return focal(network(x), y)

    if "compile" in sys.argv[4:]:
        loss_of = torch.compile(loss_of)

    count = itertools.count(1)

    def step(x, y):
        # Keras adds epsilon to the uncorrected moment, PyTorch to the corrected one.
        optimizer.param_groups[0]["eps"] = 1e-7 / (1 - 0.999 ** next(count)) ** 0.5
        optimizer.zero_grad(set_to_none=True)
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
reader = Network(problem, 0.4).eval()


def train():
    train_step(*next(turn))


@torch.inference_mode()
def infer():
    torch.log_softmax(reader(next(turn)[0]), -1)


serve({"train": train, "infer": infer, "losses": losses})
