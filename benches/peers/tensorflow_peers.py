"""TensorFlow's CTC loss, and Keras's."""

import os

from timing import Step


def tensorflow(logits, labels, threads):
    """Sparse labels select the op in C++; dense ones a loop, up to a hundred times slower."""
    tf = tensorflow_with(threads)
    x = tf.constant(logits.transpose(1, 0, 2).copy())
    y = tf.sparse.from_dense(tf.constant(labels))
    lengths = tf.fill([logits.shape[0]], logits.shape[1])

    def loss_of(x):
        return tf.nn.ctc_loss(y, x, None, lengths, logits_time_major=True, blank_index=0)

    return [step_of(tf, x, loss_of)]


def keras(logits, labels, threads):
    """`ctc_batch_cost` takes probabilities, and its blank is the last class."""
    import numpy as np

    tf = tensorflow_with(threads)
    from keras.src.legacy.backend import ctc_batch_cost

    x = tf.constant(np.roll(logits, -1, -1))
    y = tf.constant((labels - 1).astype(np.float32))

    def full(length):
        return tf.fill([logits.shape[0], 1], tf.constant(length, tf.int64))

    def loss_of(x):
        return ctc_batch_cost(y, tf.nn.softmax(x), full(logits.shape[1]), full(labels.shape[1]))

    return [step_of(tf, x, loss_of)]


def tensorflow_with(threads):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    # TensorFlow does not accept these settings twice.
    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.set_visible_devices([], "GPU")
    return tf


def step_of(tf, x, loss_of):
    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = loss_of(x)
            total = tf.reduce_sum(loss)
        return loss, tape.gradient(total, x)

    def wait(answer):
        answer[0].numpy()
        return answer

    return Step(lambda: run(x), wait, lambda answer: [tensor.numpy() for tensor in answer])
