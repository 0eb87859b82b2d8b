"""Keras 3 on TensorFlow as a contestant (see contestant.py): the paper's network on the CPU, made of
the layers and the loss that the paper's code uses.

    keras_step.py FOLDER THREADS LEARNING_RATE [fit|graph|xla]

fit: Keras' own train_on_batch and predict_on_batch, as model.fit calls them. graph: one tf.function
around loss, gradients and optimizer, which saves Keras' bookkeeping. xla: the same, compiled.
"""

import itertools
import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["CUDA_VISIBLE_DEVICES"] = ""

folder, threads, rate, mode = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), (sys.argv[4:] or ["graph"])[0]

import numpy as np
import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(threads)
# The two directions of a layer are independent operations: a thread each.
tf.config.threading.set_inter_op_parallelism_threads(threads)

import keras

from contestant import Problem, serve

keras.utils.set_random_seed(0)
problem = Problem(folder)


def build(dropout):
    p = problem
    layers = keras.layers
    network = keras.Sequential([
        keras.Input((p.window, p.fields), batch_size=p.batch),
        layers.Bidirectional(layers.LSTM(p.units1, return_sequences=True)),
        layers.BatchNormalization(),
        layers.Bidirectional(layers.LSTM(p.units2, return_sequences=True)),
        layers.Dropout(dropout),
        layers.TimeDistributed(layers.Dense(p.components * p.classes, activation="relu")),
        layers.BatchNormalization(),
        layers.Reshape((p.window, p.components, p.classes)),
        layers.Softmax(axis=-1),
    ])
    names = []
    for lstm, norm in (("lstm1", "norm1"), ("lstm2", None)):
        names += [f"{lstm}/{d}/{t}" for d in ("forward", "backward") for t in ("kernel", "recurrent", "bias")]
        names += [norm + "/gamma", norm + "/beta"] if norm else []
    names += ["dense/kernel", "dense/bias", "norm2/gamma", "norm2/beta"]
    assert len(names) == len(network.trainable_variables), [v.path for v in network.trainable_variables]
    for name, variable in zip(names, network.trainable_variables):
        variable.assign(problem.weight(name))
    return network


# Keras' arrays are [batch, window, ...], its targets one-hot.
arrays = [
    (np.ascontiguousarray(np.swapaxes(x, 0, 1)),
     np.eye(problem.classes, dtype=np.float32)[np.swapaxes(y.reshape(problem.window, problem.batch, -1), 0, 1)])
    for x, y in zip(problem.ids, problem.targets)
]
batches = [(tf.constant(x), tf.constant(y)) for x, y in arrays]
loss_of = keras.losses.CategoricalFocalCrossentropy()


def trainer(dropout):
    network = build(dropout)
    optimizer = keras.optimizers.Adam(learning_rate=rate)
    if mode == "fit":
        network.compile(optimizer=optimizer, loss=loss_of)
        return lambda x, y: network.train_on_batch(x, y)
    optimizer.build(network.trainable_variables)

    @tf.function(jit_compile=mode == "xla")
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_of(y, network(x, training=True))
        gradients = tape.gradient(loss, network.trainable_variables)
        optimizer.apply(gradients, network.trainable_variables)
        return loss

    return lambda x, y: float(step(x, y))


def losses(n):
    step = trainer(0.0)
    return [step(*batches[i % len(batches)]) for i in range(n)]


turn = itertools.cycle(batches)
train_step = trainer(0.4)
reader = build(0.4)
forward = tf.function(lambda x: tf.math.log(reader(x, training=False)), jit_compile=mode == "xla")


def train():
    train_step(*next(turn))


def infer():
    x, _ = next(turn)
    if mode == "fit":
        reader.predict_on_batch(x)
    else:
        forward(x).numpy()


serve({"train": train, "infer": infer, "losses": losses})
