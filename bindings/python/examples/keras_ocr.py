"""Trains a network to read lines of text, with the CTC loss as a loss and as a layer of Keras.

    pip install 'ctc-wgpu[keras]' tensorflow matplotlib pillow
    python keras_ocr.py                       # all three ways, a few minutes each on two cores
    python keras_ocr.py layer --picture read.png

The network is Input(50, 20) → Dense(123, relu) → LSTM(128) → Dense(20, softmax). A line has 50
columns of 20 pixels; each column is a frame. The classes are 19 characters and, last, the blank.
The lines are drawn during training, in the fonts that come with matplotlib.

layer   the labels are a second Input, and a CTCLayer adds the loss; prediction needs neither
loss    model.compile(loss=CTC(…)) and model.fit(lines, labels)
keras   the same with keras.ops.ctc_loss, for comparison
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

import ctc_wgpu
from ctc_wgpu.keras import CTC, CTCLayer, ctc_decode

ALPHABET = "0123456789ABCDEFGHK"
BLANK, CLASSES = len(ALPHABET), len(ALPHABET) + 1
FRAMES, HEIGHT, MAX_LABELS, PADDING = 50, 20, 6, -1
FONTS = ["DejaVuSansMono.ttf", "DejaVuSansMono-Bold.ttf", "DejaVuSansMono-Oblique.ttf"]
BATCH = 32


def make_glyphs():
    """Renders [font, character, column, row] from 0 to 1; each character has 8 columns."""
    folder = os.path.join(matplotlib.get_data_path(), "fonts/ttf")
    glyphs = np.zeros((len(FONTS), len(ALPHABET), 8, HEIGHT), np.float32)
    for font, name in enumerate(FONTS):
        face = ImageFont.truetype(os.path.join(folder, name), 13)
        for index, character in enumerate(ALPHABET):
            image = Image.new("L", (8, HEIGHT))
            ImageDraw.Draw(image).text((0, 15), character, fill=255, font=face, anchor="ls")
            glyphs[font, index] = np.asarray(image).T / 255
    return glyphs


GLYPHS = make_glyphs()


def draw(rng, count, hard=1.0):
    """Draws lines [count, 50, 20] and their labels [count, 6], padded with −1.

    A fraction `hard` of the lines has spaces, noise and a random start.
    """
    lines = np.zeros((count, FRAMES, HEIGHT), np.float32)
    labels = np.full((count, MAX_LABELS), PADDING, np.int32)
    for line, label in zip(lines, labels, strict=True):
        length = rng.integers(1, MAX_LABELS + 1)
        label[:length] = rng.integers(0, len(ALPHABET), length)
        is_hard = rng.random() < hard
        spacing = rng.integers(0, min((FRAMES - 8 * length) // max(length - 1, 1), 4) + 1) if is_hard else 0
        free = FRAMES - 8 * length - spacing * (length - 1)
        start = rng.integers(0, free + 1) if is_hard else free // 2
        font = rng.integers(len(FONTS))
        for position, character in enumerate(label[:length]):
            at = start + position * (8 + spacing)
            line[at : at + 8] = GLYPHS[font, character]
        if is_hard:
            line *= rng.uniform(0.7, 1)
            line += rng.normal(0, rng.uniform(0, 0.2), line.shape)
    return lines.clip(0, 1), labels


class Lines(keras.utils.PyDataset):
    """Generates a batch per step, the same in all ways of training.

    Plain lines come first: otherwise the network learns to guess the first character only.
    """

    def __init__(self, steps, epochs, labels_are_an_input):
        super().__init__()
        self.steps, self.total = steps, steps * epochs
        self.labels_are_an_input = labels_are_an_input
        self.epoch = 0

    def __len__(self):
        return self.steps

    def __getitem__(self, index):
        step = self.epoch * self.steps + index
        lines, labels = draw(np.random.default_rng(step), BATCH, hard=np.clip((step / self.total - 0.1) / 0.2, 0, 1))
        return ({"line": lines, "labels": labels},) if self.labels_are_an_input else (lines, labels)

    def on_epoch_end(self):
        self.epoch += 1


def network():
    """Returns the input and the prediction of the network."""
    keras.utils.set_random_seed(1)
    line = keras.Input((FRAMES, HEIGHT), name="line")
    x = keras.layers.Dense(123, activation="relu")(line)
    x = keras.layers.LSTM(128, return_sequences=True)(x)
    return line, keras.layers.Dense(CLASSES, activation="softmax", name="classes")(x)


def keras_own(y_true, y_pred):
    """Computes the loss by Keras. It takes logits, which logarithms of probabilities are."""
    ops = keras.ops
    labels = ops.cast(y_true, "int32")
    label_lengths = ops.sum(ops.cast(labels != PADDING, "int32"), -1)
    frames = ops.full(ops.shape(label_lengths), FRAMES, dtype="int32")
    labels = ops.maximum(labels, 0)
    return ops.ctc_loss(labels, ops.log(y_pred + 1e-7), label_lengths, frames, mask_index=BLANK)


def train(way, epochs, steps, backend):
    """Returns the trained model for prediction."""
    rate = keras.optimizers.schedules.CosineDecay(
        3e-4, epochs * steps * 9 // 10, alpha=0.02, warmup_target=3e-3, warmup_steps=epochs * steps // 10
    )
    optimizer = keras.optimizers.Adam(rate, clipnorm=1.0)
    line, y_pred = network()
    predictor = keras.Model(line, y_pred)
    if way == "layer":
        labels = keras.Input((MAX_LABELS,), name="labels", dtype="int32")
        model = keras.Model([line, labels], CTCLayer(backend=backend)(labels, y_pred))
        model.compile(optimizer=optimizer, jit_compile=False)
    else:
        model = predictor
        loss = CTC(from_logits=False, blank=-1, mask_value=PADDING, backend=backend) if way == "loss" else keras_own
        model.compile(optimizer=optimizer, loss=loss, jit_compile=False)
    model.fit(Lines(steps, epochs, way == "layer"), epochs=epochs, verbose=2)
    return predictor


def decode(probabilities):
    """Returns the labels of the most probable path of each line."""
    (rows,), _ = ctc_decode(probabilities, np.full(len(probabilities), FRAMES))
    return [row[row >= 0].tolist() for row in keras.ops.convert_to_numpy(rows)]


def text(labels):
    return "".join(ALPHABET[label] for label in labels if label >= 0)


def picture(path, lines, labels, probabilities):
    """Plots lines with the decoded text, and below each line the frames of its characters.

    They are those of the most probable alignment; the height is the mean probability.
    """
    from matplotlib import pyplot

    hypotheses = decode(probabilities)
    padded = np.full((len(lines), FRAMES), PADDING)
    for row, hypothesis in zip(padded, hypotheses, strict=True):
        row[: len(hypothesis)] = hypothesis
    lengths = [len(hypothesis) for hypothesis in hypotheses]
    alignments = ctc_wgpu.align(probabilities, padded, label_lengths=lengths, blank=-1, input="probs")
    figure, axes = pyplot.subplots(2, len(lines), figsize=(3 * len(lines), 2.6), height_ratios=[2, 1], sharex=True, sharey="row")
    rows = zip(lines, labels, hypotheses, alignments, strict=True)
    for column, (line, label, hypothesis, alignment) in enumerate(rows):
        top, below = axes[:, column]
        top.imshow(line.T, cmap="gray_r", aspect="auto", extent=(0, FRAMES, HEIGHT, 0))
        top.set_title(f"{text(label)} read as {text(hypothesis)}", family="monospace", fontsize=10)
        top.set_yticks([])
        for span in alignment.spans:
            below.bar(span.frames.start, span.probability, len(span.frames), align="edge", color="tab:blue")
            middle = (span.frames.start + span.frames.stop) / 2
            below.annotate(ALPHABET[span.label], (middle, 1.1), ha="center", family="monospace", fontsize=10)
        below.set_ylim(0, 1.6)
        below.set_yticks([0, 1])
    axes[1, 0].set_ylabel("probability")
    figure.supxlabel("frame", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def loss_time(way, labels, probabilities, backend):
    """Returns the milliseconds of the loss of a batch and its gradient, in a graph."""
    import tensorflow as tf

    loss = keras_own if way == "keras" else CTC(from_logits=False, blank=-1, mask_value=PADDING, backend=backend)

    @tf.function
    def step(y_pred):
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            value = tf.reduce_mean(loss(labels, y_pred))
        return tape.gradient(value, y_pred)

    y_pred = tf.constant(probabilities)
    times = []
    for _ in range(60):
        begin = time.perf_counter()
        step(y_pred).numpy()
        times.append(time.perf_counter() - begin)
    return 1e3 * np.median(times[10:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ways", nargs="*", metavar="layer|loss|keras", help="the ways to train; default: all three")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--steps", type=int, default=250, help="batches of 32 lines per epoch")
    parser.add_argument("--backend", default="cpu", help="the backend of ctc-wgpu: auto, gpu or cpu")
    parser.add_argument("--picture", metavar="FILE.png", help="save a picture of some lines, the decoded text and the alignment")
    parser.add_argument("--least", type=float, default=0.0, help="fail if a smaller fraction of lines is read exactly")
    args = parser.parse_args()
    ways = args.ways or ["layer", "loss", "keras"]
    if set(ways) - {"layer", "loss", "keras"}:
        parser.error(f"{' '.join(ways)}: must be layer, loss or keras")
    print(f"Keras {keras.__version__} on {keras.backend.backend()}; ctc-wgpu on {ctc_wgpu.backend_name(args.backend)}")

    lines, labels = draw(np.random.default_rng(2**32), 2000)
    results = []
    for way in ways:
        print(f"\n== {way}")
        begin = time.perf_counter()
        predictor = train(way, args.epochs, args.steps, args.backend)
        seconds = time.perf_counter() - begin
        probabilities = predictor.predict(lines, batch_size=500, verbose=0)
        hypotheses = decode(probabilities)
        pairs = zip(hypotheses, labels, strict=True)
        exact = np.mean([text(hypothesis) == text(label) for hypothesis, label in pairs])
        wrong = ctc_wgpu.label_error_rate(labels, hypotheses, (labels != PADDING).sum(1))
        milliseconds = loss_time(way, labels[:BATCH], probabilities[:BATCH], args.backend)
        results.append((way, exact, wrong, seconds, milliseconds))
        if args.picture and way != "keras":
            picture(args.picture, lines[:5], labels[:5], probabilities[:5])
    print(f"\n{'':8}lines read exactly   characters wrong   training   loss and gradient of {BATCH} lines")
    for way, exact, wrong, seconds, milliseconds in results:
        print(f"{way:8}{exact:18.1%}{wrong:19.2%}{seconds:9.0f} s{milliseconds:11.2f} ms")
    worst = min(exact for _, exact, *_ in results)
    if worst < args.least:
        raise SystemExit(f"{worst:.1%} is less than {args.least:.1%}")


if __name__ == "__main__":
    main()
