#!/usr/bin/env python3
"""Golden trees for package explain/tree from scikit-learn.

Run from the repository root, with bench/peers/requirements-trees.txt:

    python3 bench/peers/tree_golden.py > explain/tree/testdata/sklearn.json

Not needed by any build or test: the tests read the committed JSON and draw the same rows.
"""

import json
import sys

import numpy as np
import sklearn
from sklearn.tree import DecisionTreeClassifier

MASK = (1 << 64) - 1


class Mix:
    """SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), a few lines in any language."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        x = self.state
        x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & MASK
        x = ((x ^ x >> 27) * 0x94D049BB133111EB) & MASK
        return (x ^ x >> 31) % n


def draw(case):
    """Each class has a value of its own for each feature, which half of its rows show."""
    mix = Mix(case["seed"])
    own = [[mix.below(case["values"]) for _ in range(case["features"])] for _ in range(case["classes"])]
    rows, labels = [], []
    for _ in range(case["rows"]):
        k = min(mix.below(case["classes"]), mix.below(case["classes"]))
        rows.append([own[k][f] if mix.below(2) == 0 else mix.below(case["values"]) for f in range(case["features"])])
        labels.append(k)
    return np.array(rows, dtype=np.float32), np.array(labels)


def fit(x, y, case, seed=1, **more):
    return DecisionTreeClassifier(min_samples_leaf=case["min_leaf"], random_state=seed, **more).fit(x, y)


def main():
    cases = [
        dict(name="full, few classes", rows=300, features=8, classes=5, values=12, min_leaf=1, seed=1),
        dict(name="full, two values", rows=300, features=30, classes=12, values=2, min_leaf=1, seed=2),
        dict(name="full, 200 classes", rows=2000, features=39, classes=200, values=20, min_leaf=1, seed=3),
        dict(name="large leaves", rows=1500, features=12, classes=10, values=30000, min_leaf=40, seed=4),
        dict(name="large leaves, 60 classes", rows=1500, features=10, classes=60, values=30000, min_leaf=30, seed=5),
    ]
    for case in cases:
        x, y = draw(case)
        t = fit(x, y, case).tree_
        case["feature"] = [int(f) if f >= 0 else -1 for f in t.feature]
        case["threshold"] = [float(v) if f >= 0 else 0 for f, v in zip(t.feature, t.threshold)]
        case["left"], case["right"] = [int(c) for c in t.children_left], [int(c) for c in t.children_right]
        # No ties if the order of the features makes no difference; then all else must agree too.
        others = [fit(x, y, case, seed).tree_ for seed in range(2, 12)]
        case["unique"] = all(np.array_equal(o.feature, t.feature) and np.array_equal(o.threshold, t.threshold) for o in others)
        if case["unique"]:
            path = fit(x, y, case).cost_complexity_pruning_path(x, y)
            case["alphas"], case["impurities"] = list(map(float, path.ccp_alphas)), list(map(float, path.impurities))
            case["best_first"] = {
                str(k): [int(c) for c in fit(x, y, case, max_leaf_nodes=k).predict(x)] for k in (2, 5, 12)}
            case["alpha_leaves"] = [int(fit(x, y, case, ccp_alpha=a).get_n_leaves()) for a in (.001, .005, .02)]
    json.dump({"sklearn": sklearn.__version__, "cases": cases}, sys.stdout, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
