#!/usr/bin/env python3
"""Golden values for package metrics from scikit-learn.

Run from the repository root, scikit-learn 1.3 or newer:

    python3 bench/peers/metrics_golden.py > metrics/testdata/sklearn.json

Not needed by any build or test: the tests read the committed JSON.
"""

import json
import math
import random
import statistics
import sys
import warnings

import scipy.stats
import sklearn
from sklearn.metrics import accuracy_score, cohen_kappa_score, precision_recall_fscore_support

warnings.filterwarnings("ignore")


def label(r, s, v, n, u):
    return r << 12 | (s & 7) << 9 | n << 8 | u << 7 | v << 4 | s >> 3


def parts(l):
    """The components of a label; the special labels are a class of their own."""
    if l < 0:
        return {c: -1 for c in "rsnuv"}
    return {
        "r": l >> 12,
        "s": (l >> 9 & 7) | (l & 15) << 3,
        "n": l >> 8 & 1,
        "u": l >> 7 & 1,
        "v": l >> 4 & 7,
    }


def case(name, truth, predicted):
    present = sorted(set(truth))

    def macro(labels, zero):
        p, r, f, _ = precision_recall_fscore_support(
            truth, predicted, labels=labels, average="macro", zero_division=zero)
        return p, r, f

    p, r, f = macro(present, 0)
    pu, ru, fu = macro(None, float("nan"))
    want = {
        "accuracy": accuracy_score(truth, predicted),
        "f1-macro": f, "precision-macro": p, "recall-macro": r,
        "f1-macro-union": fu, "precision-macro-union": pu,
        "kappa": cohen_kappa_score(truth, predicted),
    }
    assert abs(r - ru) < 1e-12, "recall differs between the conventions"
    for c in "rsnuv":
        want["kappa-" + c] = cohen_kappa_score([parts(t)[c] for t in truth], [parts(t)[c] for t in predicted])
    # NaN has no JSON form: null stands for "not defined".
    want = {k: None if v != v else round(float(v), 15) for k, v in want.items()}
    return {"name": name, "true": truth, "predicted": predicted, "want": want}


def corrected(values, ratio):
    """Corrected resampled t interval (Nadeau and Bengio 2003)."""
    k = len(values)
    m = statistics.mean(values)
    half = scipy.stats.t.ppf(.975, k - 1) * math.sqrt((1 / k + ratio) * statistics.variance(values))
    return {"values": values, "ratio": ratio, "want": [m, m - half, m + half]}


def noisy(rng, classes, n, error, spurious):
    weights = [1 / (i + 1) for i in range(len(classes))]
    truth = rng.choices(classes, weights, k=n)
    predicted = [rng.choice(classes + spurious) if rng.random() < error else t for t in truth]
    return truth, predicted


def main():
    rng = random.Random(1)
    space = [label(r, s, v, n, u)
             for r in (1, 3, 17, 40) for s in (0, 1, 9) for v in (1, 2, 4, 5) for n, u in ((0, 0), (0, 1), (1, 0), (1, 1))]
    spurious = [-1] + rng.sample(space, 3)
    a, b, c = space[:3]
    cases = [
        case("perfect", [a, b, c, a], [a, b, c, a]),
        case("one class, right", [a, a, a], [a, a, a]),
        case("one class, some wrong", [a, a, a, a], [a, b, a, -1]),
        case("all wrong", [a, b, c], [b, c, a]),
        case("never predicted", [a, a, b, c], [a, a, a, c]),
        case("predicted but never true", [a, a, b, b], [a, c, b, -1]),
    ]
    for k, n, error in ((2, 30, .5), (12, 120, .2), (40, 400, .1), (60, 300, .6)):
        cases.append(case(f"{k} classes, {n} events, error {error}", *noisy(rng, rng.sample(space, k), n, error, spurious)))
    json.dump({"sklearn": sklearn.__version__, "cases": cases, "corrected": [
        corrected([.8, .82, .78, .9, .7], 1 / 4),
        corrected([.5, .6], 1),
        corrected([.91, .93, .9, .92, .95, .89, .9, .94, .93, .92], 1 / 9),
    ]}, sys.stdout, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
