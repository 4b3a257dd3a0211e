"""Writes alignments.json: results of torchaudio's forced_align and merge_tokens on random batches.

    pip install torch torchaudio && python gen_alignments.py

Logits are [T, C] lists of numbers with three decimals, so that parsing the file gives the same f32.
The blank is class 0. The input of torchaudio is their log_softmax in float64.
"""

import json
import pathlib

import torch
import torchaudio
from torchaudio.functional import forced_align, merge_tokens


def case(seed, frames, classes, labels, scale, repeats):
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(frames, classes, generator=generator) * scale * 1000).round() / 1000
    drawn = torch.randint(1, classes, (labels,), generator=generator)
    if repeats:
        drawn[1::3] = drawn[0 : labels - 1 : 3]
    log_probs = logits.double().log_softmax(-1)
    path, scores = forced_align(log_probs[None], drawn[None].int(), blank=0)
    spans = merge_tokens(path[0], scores[0].exp())
    return {
        "classes": classes,
        "logits": [round(float(x), 3) for x in logits.ravel()],
        "labels": drawn.tolist(),
        "path": path[0].tolist(),
        "scores": scores[0].tolist(),
        "spans": [[span.token, span.start, span.end, span.score] for span in spans],
    }


def main():
    cases = []
    for seed in range(6):
        for frames, classes, labels, repeats in [(1, 3, 1, False), (12, 4, 4, True), (40, 8, 9, True), (120, 30, 40, False)]:
            scale = [1.0, 3.0][seed % 2]
            cases.append(case(seed, frames, classes, labels, scale, repeats))
    doc = f"torchaudio {torchaudio.__version__} on torch {torch.__version__}: forced_align and merge_tokens, by gen_alignments.py"
    text = json.dumps({"doc": doc, "cases": cases})
    (pathlib.Path(__file__).parent / "alignments.json").write_text(text + "\n")


main()
