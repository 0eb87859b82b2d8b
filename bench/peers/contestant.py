"""What the Python contestants share: the problem's files, and the protocol of Go package bench/contest."""

import json
import os
import sys
import time

import numpy as np


class Problem:
    """The network's shape, first weights and batches, as Go package bench/problem writes them."""

    def __init__(self, folder):
        with open(os.path.join(folder, "config.json")) as f:
            self.__dict__.update(json.load(f))
        self.folder = folder
        self.ids = [self._load(f"ids-{i}").astype(np.float32) for i in range(self.batches)]
        self.targets = [self._load(f"targets-{i}").astype(np.int64) for i in range(self.batches)]

    def _load(self, name):
        return np.load(os.path.join(self.folder, name + ".npy"))

    def weight(self, name):
        """The tensor of that name, such as "lstm1/forward/kernel"."""
        return self._load("weights-" + name.replace("/", "-"))


def serve(tasks):
    """Answers requests on standard input until it ends. tasks maps a name to a function that is run n
    times, or, if its name is "losses", to one that gets n and returns n losses."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not get among the answers

    def say(answer):
        out.write(json.dumps(answer) + "\n")
        out.flush()

    say({})
    for line in sys.stdin:
        request = json.loads(line)
        task, n = tasks[request["do"]], request["n"]
        if request["do"] == "losses":
            say({"losses": [float(v) for v in task(n)]})
            continue
        wall, cpu = [], time.process_time()
        for _ in range(n):
            start = time.perf_counter()
            task()
            wall.append(1e3 * (time.perf_counter() - start))
        say({"wall": wall, "cpu": 1e3 * (time.process_time() - cpu) / n})
