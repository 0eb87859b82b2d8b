"""The paper's network and loss in PyTorch, with Keras' rules where the two differ."""

import itertools

import numpy as np
import torch
from torch import nn


class Network(nn.Module):
    def __init__(self, p, dropout):
        """p is a contestant.Problem."""
        super().__init__()
        out = p.components * p.classes
        self.shape = (p.components, p.classes)
        self.lstm1 = nn.LSTM(p.fields, p.units1, bidirectional=True)
        self.norm1 = nn.BatchNorm1d(2 * p.units1, eps=1e-3, momentum=0.01)  # Keras' 0.99 is the share kept
        self.lstm2 = nn.LSTM(2 * p.units1, p.units2, bidirectional=True)
        self.dropout = dropout  # a module: nn.Dropout, or one whose masks are given
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
    """Keras' CategoricalFocalCrossentropy of every row and component, whose mean is the loss."""
    log_p = torch.log_softmax(logits, -1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return -0.25 * (1 - log_p.exp()) ** 2 * log_p


def adam(network, rate):
    """Adam over a network, and a function that is to be called before each of its steps."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=rate, fused=True)
    count = itertools.count(1)

    def before_step():
        # Keras adds epsilon to the uncorrected moment, PyTorch to the corrected one.
        optimizer.param_groups[0]["eps"] = 1e-7 / (1 - 0.999 ** next(count)) ** 0.5
        optimizer.zero_grad(set_to_none=True)

    return optimizer, before_step
