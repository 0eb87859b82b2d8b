"""A whole training of the paper's network in PyTorch, the one that Go package bench/problem writes as files:
the same first weights, batches, dropout masks and rules of the learning rate. A JSON line for each epoch.

    torch_training.py FOLDER THREADS
"""

import json
import os
import sys
import time

import numpy as np
import torch
from torch import nn

from contestant import Problem
from torch_network import Network, adam, focal

folder, threads = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(threads)
torch.set_num_interop_threads(1)
torch.set_flush_denormal(True)
plan = Problem(folder)

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mix(z):
    """SplitMix64's output function (Steele, Lea and Flood, 2014), over arrays."""
    z = z + GOLDEN
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return z ^ z >> np.uint64(31)


class SharedDropout(nn.Module):
    """Dropout whose masks are those of Go package model/rnn: a function of seed, step and index."""

    def __init__(self, rate, seed):
        super().__init__()
        rate = np.float32(rate)
        self.seed = np.uint64(seed)
        self.threshold = np.uint64(float(rate) * 2**32)
        self.scale = np.float32(1) / (np.float32(1) - rate)
        self.step = 0

    def forward(self, x):  # [window, windows of this batch, columns]
        if not self.training:
            return x
        window, present, columns = x.shape
        n = window * plan.batch * columns  # masks are drawn for whole batches
        with np.errstate(over="ignore"):
            start = mix(self.seed ^ mix(np.uint64([self.step + 1])))
            pairs = mix(start + np.arange(0, n, 2, dtype=np.uint64) * GOLDEN)
        random = np.stack([pairs & np.uint64(0xFFFFFFFF), pairs >> np.uint64(32)], 1).reshape(-1)[:n]
        mask = np.where(random < self.threshold, np.float32(0), self.scale).reshape(window, plan.batch, columns)
        self.step += 1
        return x * torch.from_numpy(np.ascontiguousarray(mask[:, :present]))


class KerasNorm(nn.BatchNorm1d):
    """Batch normalisation whose running variance is of the batch's biased one, as Keras' is."""

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        with torch.no_grad():
            variance, mean = torch.var_mean(x, 0, correction=0)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
        return nn.functional.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps)


def load(name):
    return np.load(os.path.join(folder, name + ".npy"))


ids = torch.from_numpy(load("ids").astype(np.float32))
targets = torch.from_numpy(load("targets").astype(np.int64))
scored = torch.from_numpy(load("scored").astype(np.float32))

network = Network(plan, SharedDropout(plan.dropout, int(plan.dropout_seed)))
for name in ("norm1", "norm2"):
    norm = getattr(network, name)
    norm.__class__ = KerasNorm
optimizer, before_step = adam(network, plan.learning_rate)


def batches(name):
    """Input [W, B, fields], and of its rows targets [R, components], weights [R] and their sum."""
    windows = torch.from_numpy(load(name).astype(np.int64))
    for i in range(0, len(windows), plan.batch):
        events = windows[i : i + plan.batch].T  # time-major
        rows = events.reshape(-1)
        weight = scored[rows]
        yield ids[events], targets[rows], weight, weight.sum().item()


def loss_of(x, y, weight, total):
    return (focal(network(x), y).mean(1) * weight).sum() / total


def epoch(number):
    network.train()
    total, weights, steps = 0.0, 0.0, []
    for x, y, weight, n in batches(f"train-{number}"):
        before_step()
        loss = loss_of(x, y, weight, n)
        loss.backward()
        optimizer.step()
        steps.append(loss.item())
        total, weights = total + n * steps[-1], weights + n
    return total / weights, steps


@torch.inference_mode()
def validation():
    network.eval()
    total, weights = 0.0, 0.0
    for x, y, weight, n in batches("validation"):
        total, weights = total + n * loss_of(x, y, weight, n).item(), weights + n
    return total / weights


best, best_epoch, wait = 0.0, 0, 0
plateau, plateau_wait = 0.0, 0
for number in range(1, plan.epochs + 1):
    start, cpu = time.perf_counter(), time.process_time()
    rate = optimizer.param_groups[0]["lr"]
    loss, steps = epoch(number)
    checked = validation()
    # Keras' EarlyStopping, then its ReduceLROnPlateau.
    if best_epoch == 0 or checked < best:
        best, best_epoch, wait = checked, number, 0
    else:
        wait += 1
    if plan.reduce_patience > 0:
        if number == 1 or checked < plateau - 1e-4:
            plateau, plateau_wait = checked, 0
        else:
            plateau_wait += 1
            if plateau_wait >= plan.reduce_patience:
                optimizer.param_groups[0]["lr"] *= plan.reduce_factor
                plateau_wait = 0
    record = {
        "epoch": number,
        "loss": loss,
        "validation_loss": checked,
        "learning_rate": rate,
        "best": best_epoch,
        "steps": steps,
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu,
    }
    print(json.dumps(record), flush=True)
    if plan.patience > 0 and wait >= plan.patience:
        break
