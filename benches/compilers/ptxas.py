"""Compiles with NVIDIA's own ptxas: naga's HLSL, Slang to CUDA C, nvcc and ptxas to machine code.

NVIDIA's Vulkan driver has another front end, but the same back end and instruction set.
"""

import hashlib
import os
import re
from concurrent.futures import ThreadPoolExecutor

import sass
from packages import Python, Unavailable, call

PACKAGES = [
    "slangtorch==1.3.22",  # holds slangc
    "nvidia-cuda-nvcc==13.5.37",
    "nvidia-cuda-crt==13.5.37",
    "nvidia-cuda-runtime==13.5.37",
    "nvidia-cuda-cccl==13.3.5.0.6",  # holds a header of cuda_fp16.h
    "nvidia-nvvm==13.5.37",
    "nvidia-cuda-nvdisasm==13.5.37",
]
IDS = {"ptxas-sm_90": "sm_90", "ptxas-sm_89": "sm_89"}
CARDS = {"sm_90": "H100 and H200", "sm_89": "RTX 4090"}

# Vulkan lets f32 flush denormals, divide to 2.5 ulp and contract products.
OPTIONS = ["-cubin", "-w", "-Xptxas", "-v", "-ftz=true", "-prec-div=false", "-prec-sqrt=false"]

# Removes what Slang adds and a Vulkan driver does not.
REPAIRS = [
    # Ballots for the active mask. All lanes of these kernels are active together.
    (r"= __ballot_sync\([^;]*\);", "= 0xffffffffu;"),
    # Copies of words byte by byte, which ptxas turns into loads of bytes.
    (
        r"memcpy\(&data, \(\(const char\*\)this->data\) \+ index, sizeof\(T\)\);",
        "data = *(const T*)(((const char*)this->data) + index);",
    ),
    # Loads of a vector word by word.
    (
        r"uint (\w+) = (\(\S+\))\.Load<uint >\((\w+)\);"
        + "".join(rf"\s*uint (\w+) = \(\w+\)\.Load<uint >\(\3 \+ {at}U\);" for at in (4, 8, 12)),
        r"uint4 \1_4 = \2.Load<uint4 >(\3);"
        r" uint \1 = \1_4.x; uint \4 = \1_4.y; uint \5 = \1_4.z; uint \6 = \1_4.w;",
    ),
    # Stores of a vector word by word.
    (
        r"(\S+)\.Store\((\w+),(\w+)\.x\);"
        + "".join(
            rf"\s*\w+\.Store\(\2 \+ {at}U,\3\.{component}\);"
            for at, component in ((4, "y"), (8, "z"), (12, "w"))
        ),
        r"\1.Store(\2,\3);",
    ),
    (
        r"memcpy\(\(char\*\)data \+ index, &value, sizeof\(T\)\);",
        "*(T*)((char*)data + index) = value;",
    ),
]


def what(architecture):
    through = "through naga's HLSL, Slang and nvcc"
    return f"NVIDIA {CARDS[architecture]}, ptxas for {architecture} {through}"


class Ptxas:
    def __init__(self, folder):
        self.python = Python(folder / "python-cuda")
        self.work = folder / "cuda"
        self.slangc = self.cuda = self.environment = None

    def install(self):
        """Installs the tools. Returns their versions."""
        self.python.install(*PACKAGES)
        site = self.python.site()
        self.slangc = site / "slangtorch/bin/slangc"
        self.cuda = next(site.glob("nvidia/cu*"))
        self.environment = {
            **os.environ,
            "CUDA_HOME": str(self.cuda),
            "PATH": f"{self.cuda / 'bin'}:{os.environ['PATH']}",
        }
        self.work.mkdir(exist_ok=True)
        slang = call([self.slangc, "-v"], both=True).strip()
        ptxas = re.findall(r"\bV[\d.]+", call([self.cuda / "bin/ptxas", "--version"]))
        return f"ptxas {', '.join(ptxas)}, Slang {slang}"

    def compile(self, pipelines, folder, architectures, threads):
        """Returns the figures of each pipeline by architecture: {architecture: {name: …}}."""
        # NVIDIA has subgroups of 32.
        wanted = [pipeline for pipeline in pipelines if pipeline["subgroup_size"] in (0, 32)]
        with ThreadPoolExecutor(threads) as pool:
            compiled = list(
                pool.map(lambda pipeline: self.of_pipeline(pipeline, folder, architectures), wanted)
            )
        return {
            architecture: {
                pipeline["name"]: one[architecture] for pipeline, one in zip(wanted, compiled)
            }
            for architecture in architectures
        }

    def of_pipeline(self, pipeline, folder, architectures):
        try:
            source = self.to_cuda(pipeline, folder)
        except Unavailable as error:
            return {architecture: {"error": str(error)} for architecture in architectures}
        return {
            architecture: self.to_machine_code(source, architecture)
            for architecture in architectures
        }

    def to_cuda(self, pipeline, folder):
        """Writes the pipeline as CUDA C. The file's name has a hash of everything it depends on.

        What has not changed is thus not compiled again.
        """
        hlsl = (folder / pipeline["name"]).with_suffix(".hlsl")
        made = self.work / f"{pipeline['name']}.cu"
        kind = ["-lang", "hlsl", "-stage", "compute", "-entry", pipeline["kernel"]]
        call(
            [
                self.slangc,
                hlsl,
                *kind,
                "-target",
                "cuda",
                "-line-directive-mode",
                "none",
                "-o",
                made,
            ]
        )
        text = made.read_text()
        made.unlink()
        for pattern, repaired in REPAIRS:
            text = re.sub(pattern, repaired, text)
        if "-f16" in pipeline["name"]:
            # Slang does not define this for buffers of f16 alone.
            text = "#define SLANG_CUDA_ENABLE_HALF 1\n" + text
        content = hashlib.sha256(repr((text, OPTIONS, PACKAGES)).encode()).hexdigest()[:16]
        source = self.work / f"{pipeline['name']}.{content}.cu"
        source.write_text(text)
        return source

    def to_machine_code(self, source, architecture):
        binary = source.with_suffix(f".{architecture}.cubin")
        log = source.with_suffix(f".{architecture}.log")
        nvcc = [
            self.cuda / "bin/nvcc",
            f"-arch={architecture}",
            *OPTIONS,
            f"-I{self.cuda / 'include'}",
        ]
        try:
            if not log.exists():
                # ptxas reports registers and spills among its notes.
                log.write_text(call([*nvcc, source, "-o", binary], both=True, env=self.environment))
            notes = log.read_text()
            code, labels = sass.read(call([self.cuda / "bin/nvdisasm", "-c", "-hex", binary]))
            return {
                "registers": number(r"Used (\d+) registers", notes),
                "spills": number(r"(\d+) bytes spill stores", notes),
                "spill_loads": number(r"(\d+) bytes spill loads", notes),
                "code_bytes": 16 * len(code),
                "instructions": len(code),
                "pipes": sass.pipes(code),
                "loops": sass.loops(code, labels),
            }
        except Unavailable as error:
            return {"error": str(error)}


def number(pattern, text):
    found = re.search(pattern, text)
    if found is None:
        raise Unavailable(f"ptxas printed nothing like `{pattern}`")
    return int(found[1])
