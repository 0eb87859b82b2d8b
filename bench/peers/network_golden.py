"""Writes model/testdata/network_golden.json: the network computed by Keras 3 in float64.

The network, its weights and its data are small formulas that model/network_golden_test.go repeats, so
that the file holds results only: losses, gradients, batch-normalisation statistics and the weights
after three steps of Adam. Dropout is left out (it cannot be seeded alike); all else is Keras' own:
layers, loss, optimiser.

    pip install keras==3.6.0 "jax[cpu]==0.4.35"
    python bench/peers/network_golden.py model/testdata/network_golden.json
"""

import json
import os
import sys

os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_ENABLE_X64"] = "1"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import keras
import numpy as np

keras.config.set_floatx("float64")

COMPONENTS = 5
STEPS = 3
CASES = [
    dict(name="ids", window=12, batch=8, fields=4, classes=7, vocabulary=0, dim=0, units1=5, units2=4, padded=False, full=True),
    dict(name="embedding, padded", window=12, batch=8, fields=3, classes=6, vocabulary=12, dim=6, units1=5, units2=3, padded=True, full=True),
    dict(name="paper", window=60, batch=3, fields=39, classes=59, vocabulary=0, dim=0, units1=156, units2=117, padded=False, full=False),
]


def mix(index, stream):
    """32 bits for each index of a stream (the "lowbias32" hash)."""
    x = (np.asarray(index, np.uint64) * 0x9E3779B1 + (stream + 1) * 0x85EBCA6B) % (1 << 32)
    x ^= x >> np.uint64(16)
    x = x * 0x7FEB352D % (1 << 32)
    x ^= x >> np.uint64(15)
    x = x * 0x846CA68B % (1 << 32)
    x ^= x >> np.uint64(16)
    return x


def uniform(n, stream):
    """n numbers from -1 to 1."""
    return mix(np.arange(n), stream) / float(1 << 31) - 1


def build(c):
    """The reference's layers in order (REFERENCE 6.1) without dropout."""
    layers = []
    if c["vocabulary"]:
        layers.append(keras.layers.Embedding(c["vocabulary"], c["dim"]))
    layers += [
        keras.layers.Bidirectional(keras.layers.LSTM(c["units1"], return_sequences=True)),
        keras.layers.BatchNormalization(),
        keras.layers.Bidirectional(keras.layers.LSTM(c["units2"], return_sequences=True)),
        keras.layers.TimeDistributed(keras.layers.Dense(COMPONENTS * c["classes"], activation="relu")),
        keras.layers.BatchNormalization(),
    ]
    return layers


class Net(keras.Model):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.parts = build(c)

    def call(self, ids, present, training):
        c = self.c
        mask = present if c["padded"] else None
        x = ids
        for layer in self.parts:
            if isinstance(layer, keras.layers.Embedding):
                x = keras.ops.sum(layer(ids), axis=2)
            elif isinstance(layer, keras.layers.BatchNormalization):
                x = layer(x, training=training, mask=mask)
            elif isinstance(layer, keras.layers.Bidirectional):
                x = layer(x, mask=mask)
            else:
                x = layer(x)
        x = keras.ops.reshape(x, (c["batch"], c["window"], COMPONENTS, c["classes"]))
        return keras.ops.softmax(x, axis=-1)


def names(c):
    """Our tensor names in Keras' order of trainable and of other variables."""
    trainable, statistics = [], []
    if c["vocabulary"]:
        trainable.append("embedding/table")
    for lstm, norm in (("lstm1", "norm1"), ("lstm2", None)):
        for d in ("forward", "backward"):
            trainable += [f"{lstm}/{d}/{t}" for t in ("kernel", "recurrent", "bias")]
        if norm:
            trainable += [norm + "/gamma", norm + "/beta"]
            statistics += [norm + "/mean", norm + "/variance"]
    trainable += ["dense/kernel", "dense/bias", "norm2/gamma", "norm2/beta"]
    statistics += ["norm2/mean", "norm2/variance"]
    return trainable, statistics


def initial(name, shape, stream):
    """The weights to start from, rounded to float32 as the Go network holds them."""
    u = uniform(int(np.prod(shape)), stream).reshape(shape)
    last = name.split("/")[-1]
    if last in ("gamma", "variance"):
        v = 1 + 0.1 * u
    elif last in ("beta", "mean", "bias"):
        v = 0.1 * u
    elif last == "table":
        v = 0.5 * u
    else:
        v = u * np.sqrt(6 / (shape[0] + shape[1]))
    return v.astype(np.float32).astype(np.float64)


def data(c):
    """Arrays [window, batch, ...] as in Go; transposed for Keras by the caller."""
    rows = c["window"] * c["batch"]
    values = c["vocabulary"] // c["fields"] if c["vocabulary"] else 4
    ids = (mix(np.arange(rows * c["fields"]), 1001) % values).astype(np.int64).reshape(rows, c["fields"])
    if c["vocabulary"]:
        ids += np.arange(c["fields"]) * values
    targets = (mix(np.arange(rows * COMPONENTS), 1002) % c["classes"]).astype(np.int64).reshape(rows, COMPONENTS)
    present, weight = np.ones((c["window"], c["batch"])), np.ones((c["window"], c["batch"]))
    if c["padded"]:
        present[3:, 1] = 0  # a window of three events
        present[:, 3] = 0  # a partial batch
        weight[1, 0] = weight[0, 1] = 0  # input only
        weight[2, 2] = 0.5
        weight *= present
    shape = (c["window"], c["batch"])
    return ids.reshape(shape + (-1,)), targets.reshape(shape + (-1,)), present, weight


def summary(c, name, a):
    a = np.asarray(a, np.float64).ravel()
    if c["full"]:
        return dict(name=name, values=[float(f"{v:.9g}") for v in a])
    # The norm, a pseudo-random projection that every element enters, and some elements.
    some = (mix(np.arange(8), 1003) % len(a)).astype(np.int64)
    return dict(
        name=name,
        norm=float(np.linalg.norm(a)),
        projection=float(a @ uniform(len(a), 1004)),
        sample=[float(v) for v in a[some]],
    )


def run(c):
    ids, targets, present, weight = (np.swapaxes(a, 0, 1) for a in data(c))
    ids = ids if c["vocabulary"] else ids.astype(np.float64)
    onehot = np.eye(c["classes"])[targets]
    present_mask = present > 0

    net = Net(c)
    net(ids, present_mask, training=False)
    trainable_names, statistic_names = names(c)
    assert len(net.trainable_variables) == len(trainable_names), [v.path for v in net.trainable_variables]
    # The other variables include the states of random generators, which are not used.
    moving = [i for i, v in enumerate(net.non_trainable_variables) if "moving_" in v.path]
    assert len(moving) == len(statistic_names)
    for i, (name, v) in enumerate(zip(trainable_names, net.trainable_variables)):
        v.assign(initial(name, v.shape, i))
    for i, (name, at) in enumerate(zip(statistic_names, moving)):
        v = net.non_trainable_variables[at]
        v.assign(initial(name, v.shape, 100 + i))

    def loss_of(p, w):
        losses = keras.losses.categorical_focal_crossentropy(onehot, p)
        w = w[:, :, None]
        return keras.ops.sum(losses * w) / (COMPONENTS * keras.ops.sum(w))

    def forward(trainable, other):
        p, other = net.stateless_call(trainable, other, ids, present_mask, training=True)
        return loss_of(p, weight), other

    def evaluate(trainable, other):
        p, _ = net.stateless_call(trainable, other, ids, present_mask, training=False)
        return loss_of(p, weight), p

    step = jax.jit(jax.value_and_grad(forward, has_aux=True))
    optimizer = keras.optimizers.Adam(learning_rate=0.004)
    assert optimizer.epsilon == 1e-7 and optimizer.beta_1 == 0.9 and optimizer.beta_2 == 0.999
    optimizer.build(net.trainable_variables)
    trainable = [v.value for v in net.trainable_variables]
    other = [v.value for v in net.non_trainable_variables]
    slots = [v.value for v in optimizer.variables]

    out = {k: c[k] for k in ("name", "window", "batch", "fields", "classes", "vocabulary", "dim", "units1", "units2", "padded")}
    loss, p = evaluate(trainable, other)
    out["evaluate"] = float(loss)
    if not c["padded"]:  # the whole loss as Keras reduces it by default
        assert abs(float(keras.losses.CategoricalFocalCrossentropy()(onehot, p)) - float(loss)) < 1e-12
    out["losses"] = []
    for i in range(STEPS):
        (loss, other), grads = step(trainable, other)
        out["losses"].append(float(loss))
        if i == 0:
            out["gradients"] = [summary(c, n, g) for n, g in zip(trainable_names, grads)]
        trainable, slots = optimizer.stateless_apply(slots, grads, trainable)
    out["weights"] = [summary(c, n, v) for n, v in zip(trainable_names + statistic_names, list(trainable) + [other[i] for i in moving])]
    out["evaluateAfter"] = float(evaluate(trainable, other)[0])
    return out


def main():
    golden = dict(
        made_with=f"bench/peers/network_golden.py, keras {keras.__version__}, jax {jax.__version__}, float64",
        cases=[run(c) for c in CASES],
    )
    with open(sys.argv[1], "w") as f:
        json.dump(golden, f, separators=(",", ":"))
        f.write("\n")


main()
