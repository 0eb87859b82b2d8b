#!/usr/bin/env python3
"""scikit-learn's tree and the package trustee as contestants of bench/peers/tree.

    tree_contestant.py FOLDER        read requests {"do": TASK, "n": N}, answer with the times of N runs
    tree_contestant.py digits FILE   write scikit-learn's digits, labelled by a network
    tree_contestant.py versions      say what is installed

A task is "fit ROWS" or "trustee ROWS ITERATIONS STABILITY"; FOLDER has the file of the rows. See
bench/contest for the answers. The last fifth of the rows is held out.
"""

import json
import os
import resource
import sys
import time
import warnings

import numpy as np

warnings.filterwarnings("ignore")


def read(folder, name):
    data = np.fromfile(os.path.join(folder, name + ".rows"), dtype="<i4")
    rows, features, _ = data[:3]
    return data[3 + rows:].reshape(rows, features), data[3:3 + rows]


def write(path, values, labels):
    head = [len(values), values.shape[1], int(labels.max()) + 1]
    np.concatenate([head, labels, values.ravel()]).astype("<i4").tofile(path)


def megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fit(folder, name):
    """scikit-learn takes float32: the conversion is not timed."""
    from sklearn.tree import DecisionTreeClassifier

    values, labels = read(folder, name)
    values = np.ascontiguousarray(values, dtype=np.float32)

    def run():
        return [int(DecisionTreeClassifier(random_state=1).fit(values, labels).get_n_leaves()), megabytes()]

    return run


class ByHeart:
    """A teacher that knows the answers."""

    def __init__(self, values, labels):
        self.answers = {row.tobytes(): label for row, label in zip(values.astype("<i4"), labels)}

    def predict(self, rows):
        rows = np.ascontiguousarray(np.asarray(rows), dtype="<i4")
        return np.array([self.answers[row.tobytes()] for row in rows])


def trustee(folder, name, iterations, stability):
    from sklearn.metrics import f1_score
    from trustee import ClassificationTrustee

    values, labels = read(folder, name)
    expert = ByHeart(values, labels)
    held = len(values) * 4 // 5

    def run():
        method = ClassificationTrustee(expert=expert)
        method.fit(values[:held], labels[:held], num_iter=int(iterations), num_stability_iter=int(stability), samples_size=.5, verbose=False)
        _, pruned, _, reward = method.explain()
        got = pruned.predict(values[held:])
        return [int(pruned.get_n_leaves()), float((got == labels[held:]).mean()),
                float(f1_score(labels[held:], got, average="macro")), float(reward), megabytes()]

    return run


def digits(path):
    """The network is trained on a third; the rows are the others, with its answers."""
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    values, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(1).permutation(len(values))
    values, labels = values[order], labels[order]
    cut = len(values) // 3
    network = MLPClassifier(random_state=1, max_iter=500).fit(values[:cut], labels[:cut])
    write(path, values[cut:].astype(int), network.predict(values[cut:]))


def serve(folder):
    kinds = {"fit": fit, "trustee": trustee}
    tasks = {}
    print("{}", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] not in tasks:
                tasks.clear()
                kind, *rest = request["do"].split()
                tasks[request["do"]] = kinds[kind](folder, *rest)
            task = tasks[request["do"]]
            wall, cpu, found = [], time.process_time(), []
            for _ in range(request["n"]):
                start = time.perf_counter()
                found = task()
                wall.append((time.perf_counter() - start) * 1e3)
            answer = {"wall": wall, "cpu": (time.process_time() - cpu) * 1e3 / request["n"], "losses": found}
        except Exception as e:  # whatever it is, the contest must hear of it
            answer = {"error": repr(e)}
        print(json.dumps(answer), flush=True)


def main():
    if sys.argv[1] == "digits":
        digits(sys.argv[2])
    elif sys.argv[1] == "versions":
        from importlib.metadata import version

        print(", ".join(f"{p} {version(p)}" for p in ("scikit-learn", "trustee", "numpy", "pandas")),
              f"(Python {sys.version.split()[0]})")
    else:
        serve(sys.argv[1])


if __name__ == "__main__":
    main()
