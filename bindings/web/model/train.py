"""Creates glyphs.bin, weights.bin and fixture.json: font and network of the page's demonstration.

    pip install -r requirements.txt && python3 train.py

The network is Input(50, 20) -> Dense(123, relu) -> LSTM(128) -> Dense(20). Its input is a line of
50 columns of 20 pixels; one column is one frame. Its classes are the 19 characters of ALPHABET and,
as the last class, the blank. `src/demo/line.rs` must draw the same lines as `draw` does here, and
`src/demo/network.rs` must compute the same logits; the tests check both with fixture.json.
"""

import argparse
import importlib.util
import json
import math
import pathlib
import struct
import time

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import nn

ALPHABET = "0123456789ABCDEFGHK"
BLANK = len(ALPHABET)
FRAMES, HEIGHT = 50, 20
# DejaVu Sans Mono, which is part of matplotlib. At 13 px a character is 8 pixels wide.
FACES = ["DejaVuSansMono.ttf", "DejaVuSansMono-Bold.ttf", "DejaVuSansMono-Oblique.ttf"]
SIZE, WIDTH = 13, 8
HERE = pathlib.Path(__file__).parent


def make_glyphs():
    """Renders the font: [face, character, row, column], 0 to 255."""
    package = pathlib.Path(importlib.util.find_spec("matplotlib").origin).parent
    folder = package / "mpl-data/fonts/ttf"
    glyphs = np.zeros((len(FACES), len(ALPHABET), HEIGHT, WIDTH), np.uint8)
    for face, name in enumerate(FACES):
        font = ImageFont.truetype(folder / name, SIZE)
        for index, character in enumerate(ALPHABET):
            image = Image.new("L", (WIDTH, HEIGHT))
            ImageDraw.Draw(image).text((0, 15), character, fill=255, font=font, anchor="ls")
            glyphs[face, index] = np.asarray(image)
    return glyphs


def draw(glyphs, text, face, spacing, start=None):
    """Draws a line: [frame, row], 0 to 1. Without `start` it is centred."""
    width = len(text) * WIDTH + max(len(text) - 1, 0) * spacing
    start = (FRAMES - width) // 2 if start is None else start
    line = np.zeros((FRAMES, HEIGHT), np.float32)
    for position, character in enumerate(text):
        glyph = glyphs[face, ALPHABET.index(character)].T / np.float32(255)
        column = start + position * (WIDTH + spacing)
        line[column : column + WIDTH] = np.maximum(line[column : column + WIDTH], glyph)
    return line


def random_batch(glyphs, rng, size, hard=1.0):
    """Draws lines of 1 to 6 characters. Returns lines, concatenated labels and label lengths.

    `hard` is the share of the lines that have jitter, spacing, contrast and noise.
    """
    lines, labels, lengths = [], [], []
    for _ in range(size):
        length = int(rng.integers(1, 7))
        text = "".join(rng.choice(list(ALPHABET), length))
        face = rng.integers(len(FACES))
        if rng.random() < hard:
            most = (FRAMES - length * WIDTH) // max(length - 1, 1)
            spacing = int(rng.integers(0, min(most, 4) + 1))
            free = FRAMES - length * WIDTH - (length - 1) * spacing
            line = draw(glyphs, text, face, spacing, int(rng.integers(0, free + 1)))
            line *= rng.uniform(0.7, 1)
            line = (line + rng.normal(0, rng.uniform(0, 0.25), line.shape)).clip(0, 1)
        else:
            line = draw(glyphs, text, face, 0)
        lines.append(line)
        labels += [ALPHABET.index(character) for character in text]
        lengths.append(length)
    as_tensor = torch.from_numpy(np.stack(lines).astype(np.float32))
    return as_tensor, torch.tensor(labels), torch.tensor(lengths)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(HEIGHT, 123)
        self.lstm = nn.LSTM(123, 128, batch_first=True)
        self.out = nn.Linear(128, BLANK + 1)
        # Forget gates that are nearly open at first, as in Keras; otherwise the network does not
        # learn to combine the columns of a character.
        with torch.no_grad():
            self.lstm.bias_ih_l0[128:256] = 1
            nn.init.orthogonal_(self.lstm.weight_hh_l0)

    def forward(self, lines):
        return self.out(self.lstm(torch.relu(self.dense(lines)))[0])


def train(glyphs, steps):
    torch.manual_seed(1)
    # The matrices are too small for several threads.
    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    network, loss_of = Network(), nn.CTCLoss(blank=BLANK)
    optimizer = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 2e-3, total_steps=steps, pct_start=0.1
    )
    start = time.monotonic()
    for step in range(steps):
        # Plain lines first: if all lines are hard from the beginning, the network learns to guess
        # the first character and never improves.
        hard = min(max((step / steps - 0.15) / 0.25, 0), 1)
        lines, labels, lengths = random_batch(glyphs, rng, 32, hard)
        log_probs = network(lines).log_softmax(2).transpose(0, 1)
        loss = loss_of(log_probs, labels, torch.full((len(lines),), FRAMES), lengths)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 250 == 0 or step == steps - 1:
            elapsed = time.monotonic() - start
            print(f"step {step}: loss {loss.item():.4f}, {elapsed:.0f} s", flush=True)
    return network


def tensors(network):
    """Returns the weights in the order of the file, with PyTorch's two LSTM biases added up."""
    lstm = network.lstm
    return [
        network.dense.weight, network.dense.bias,
        lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0 + lstm.bias_hh_l0,
        network.out.weight, network.out.bias,
    ]  # fmt: skip


def rounded(network):
    """Rounds the weights of the network to those of the file."""
    with torch.no_grad():
        network.lstm.bias_ih_l0 += network.lstm.bias_hh_l0
        network.lstm.bias_hh_l0.zero_()
        for parameter in network.parameters():
            parameter.copy_(parameter.half().float())
    return network


def greedy(logits):
    best = logits.argmax(-1).tolist()
    kept = [c for t, c in enumerate(best) if c != BLANK and (t == 0 or best[t - 1] != c)]
    return "".join(ALPHABET[c] for c in kept)


def distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        above, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (x != y))
    return row[-1]


def measure(network, glyphs, count):
    """Prints the share of lines decoded exactly and the character error rate, for another seed."""
    rng = np.random.default_rng(2)
    lines, labels, lengths = random_batch(glyphs, rng, count)
    texts = ["".join(ALPHABET[c] for c in part) for part in labels.split(lengths.tolist())]
    with torch.no_grad():
        decoded = [greedy(logits) for logits in network(lines)]
    exact = sum(a == b for a, b in zip(texts, decoded)) / count
    edits = sum(distance(a, b) for a, b in zip(texts, decoded)) / len(labels)
    print(f"{count} test lines: {exact:.2%} decoded exactly, character error rate {edits:.2%}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4000)
    steps = parser.parse_args().steps
    glyphs = make_glyphs()
    network = rounded(train(glyphs, steps))
    measure(network, glyphs, 4000)

    header = struct.pack("4B", len(FACES), len(ALPHABET), HEIGHT, WIDTH)
    (HERE / "glyphs.bin").write_bytes(header + glyphs.tobytes())
    with torch.no_grad():
        weights = torch.cat([tensor.flatten() for tensor in tensors(network)])
        (HERE / "weights.bin").write_bytes(weights.numpy().astype("<f2").tobytes())
        cases = []
        for text, face, spacing in [("CAFE42", 0, 0), ("0099", 1, 3), ("KH7", 2, 1), ("", 0, 0)]:
            logits = network(torch.from_numpy(draw(glyphs, text, face, spacing))[None])[0]
            rounded_logits = [float(f"{x:.6g}") for x in logits.flatten().tolist()]
            cases.append({"text": text, "face": face, "spacing": spacing,
                          "decoded": greedy(logits), "logits": rounded_logits})  # fmt: skip
    (HERE / "fixture.json").write_text(json.dumps(cases) + "\n")
    assert all(math.isfinite(x) for case in cases for x in case["logits"])


if __name__ == "__main__":
    main()
