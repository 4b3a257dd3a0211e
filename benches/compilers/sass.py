"""Finds the loops of NVIDIA's machine code (SASS), and simulates one iteration of each.

The encoding of an instruction contains the cycles that the warp waits before the next one (its
stall count), and up to two of six scoreboards that it sets: one when its result is ready, one when
its operands have been read. It also lists the scoreboards that the instruction waits for. `cycles`
replays this for one warp alone on its scheduler. The latencies of memory, shuffles and the special
function unit are not in the encoding; they are in the table below.
"""

import re
from collections import Counter
from dataclasses import dataclass

# Cycles from issue to result on Hopper, rounded from published microbenchmarks. Loads from global
# memory hit the L2 cache.
LATENCY = {
    "ATOMG": 600, "BAR": 24, "F2I": 18, "FLO": 14, "I2F": 18, "LDC": 30, "LDCU": 30, "LDG": 260,
    "LDL": 33, "LDS": 29, "MUFU": 22, "POPC": 14, "R2UR": 12, "RED": 30, "REDUX": 20, "S2R": 20,
    "SHFL": 24, "STG": 30, "STL": 20, "STS": 20, "VOTE": 12,
}  # fmt: skip
OTHER_LATENCY, OPERANDS_READ = 20, 12
# Slang's CUDA reads the uniform buffer by these loads. A Vulkan driver keeps it in constant memory.
UNIFORM = "LDG.E.CONSTANT"
SCOREBOARDS, NONE = 6, 7

# The first pattern that an operation matches is its pipe.
PIPES = {
    "fma": r"FFMA|FMUL|FADD|IMAD",
    "shuffle": r"SHFL|REDUX",
    "mem": r"LD|ST|ATOM|RED\b",
    "barrier": r"BAR",
    "special": r"MUFU|FRND|F2I|I2F|POPC|FLO",
    "uniform": r"U[A-Z]|R2UR",
    "branch": r"BRA|BSSY|BSYNC|WARPSYNC|EXIT|CALL|RET|BREAK|NOP|YIELD",
}

# Iterations that are simulated before the one whose cycles count, until the pipeline is filled.
WARM_UP = 5

LABEL = re.compile(r"\s*(\.L_x_\d+):")
FIRST_HALF = re.compile(r"\s*/\*([0-9a-f]{4,})\*/\s+(.*?)\s*;?\s*/\* 0x[0-9a-f]{16} \*/")
SECOND_HALF = re.compile(r"\s*/\* 0x([0-9a-f]{16}) \*/")
JUMP = re.compile(r"\bBRA\b.*`\((\.L_x_\d+)\)")


@dataclass(frozen=True)
class Instruction:
    text: str
    operation: str
    stall: int
    # The scoreboards that it sets, and a bit for each that it waits for.
    result: int
    operands: int
    waits: int

    @property
    def name(self):
        return self.operation.split(".")[0]

    @property
    def latency(self):
        name = "LDC" if self.operation.startswith(UNIFORM) else self.name
        return LATENCY.get(name, OTHER_LATENCY)

    @property
    def pipe(self):
        return next(
            (pipe for pipe, pattern in PIPES.items() if re.match(pattern, self.operation)), "alu"
        )


def instruction(text, encoded):
    """Decodes an instruction from its text and the upper half of its 128 bits."""
    bare = re.sub(r"^@!?U?P\w+\s+", "", text.strip("{} "))
    field = lambda shift, bits: encoded >> shift & (1 << bits) - 1
    return Instruction(
        text, bare.split()[0], max(field(41, 4), 1), field(46, 3), field(49, 3), field(52, 6)
    )


def read(disassembly):
    """Returns the instructions in the output of `nvdisasm -c -hex`, and the index of each label."""
    code, labels = [], {}
    text = None
    for line in disassembly.splitlines():
        if label := LABEL.match(line):
            labels[label[1]] = len(code)
        elif first := FIRST_HALF.match(line):
            text = first[2]
        elif text is not None and (second := SECOND_HALF.match(line)):
            code.append(instruction(text, int(second[1], 16)))
            text = None
    # Padding after the last jump.
    while code and code[-1].name == "NOP":
        code.pop()
    return code, labels


def loops(code, labels):
    """Returns each loop once, ordered by last instruction: an inner loop precedes the outer one."""
    ends = {}
    for number, line in enumerate(code):
        jump = JUMP.search(line.text)
        start = labels.get(jump[1], len(code)) if jump else len(code)
        # A jump to itself ends the program.
        if start < number:
            ends[start] = number
    spans = sorted(ends.items(), key=lambda span: span[1])
    return [
        {
            **summary(code[start : end + 1]),
            # The number of loops that it encloses.
            "inner": sum(start <= s and e <= end and (s, e) != (start, end) for s, e in spans),
        }
        for start, end in spans
    ]


def pipes(body):
    """Returns the number of instructions of each pipe, the most common first."""
    return dict(Counter(line.pipe for line in body).most_common())


def summary(body):
    return {
        "instructions": len(body),
        "pipes": pipes(body),
        "stalls": sum(line.stall for line in body),
        "cycles": cycles(body),
    }


def cycles(body):
    """Simulates one warp alone. Every instruction of `body` is issued once per iteration."""
    now, ready = 0, [0] * SCOREBOARDS
    begun = 0
    for _ in range(WARM_UP + 1):
        begun = now
        for line in body:
            now = max([now, *(ready[b] for b in range(SCOREBOARDS) if line.waits >> b & 1)])
            if line.result != NONE:
                ready[line.result] = now + line.latency
            if line.operands != NONE:
                ready[line.operands] = max(ready[line.operands], now + OPERANDS_READ)
            now += line.stall + (LATENCY["BAR"] if line.name == "BAR" else 0)
    return now - begun
