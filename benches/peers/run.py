"""wgrad beside its peers, in turn and in one run: first that all train the same thing, then the times as ratios.

    python benches/peers/run.py --rounds 5 --write

Needs Rust, and a Python with torch, numpy and safetensors. It builds wgrad and the peers (burn/, meganeura/: projects of
their own), checks the loss after a few steps from the same weights on the same rows, and times each row of the tables.
One round runs every program once, one after the other, so that what else the machine does falls on all of them; a ratio
is taken within its round, and the median over the rounds is shown. Peers that compute on processor cores stand beside
wgrad's CPU path, the others beside wgrad on the best adapter; a hardware GPU gets more steps and wider rows than a
software adapter, and beside PyTorch's CUDA a plain product of large matrices. Last comes the start: from the beginning of
the process to the first step's loss, with an empty shader cache and with a filled one. `--write` puts all of it into
benches/RESULTS.md.

    --peers pytorch,burn-flex    only these; see PEERS below
    --only 784-128-64-10         only rows that begin like this
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WGRAD = ROOT / "target/release/wgrad"
RESULTS = ROOT / "benches/RESULTS.md"
MARK = "## Beside the peers"
# Layers, batch, steps of one timing.
ROWS = {
    "cpu": [("784-128-64-10", 64, 200), ("784-128-64-10", 256, 100), ("784-512-512-10", 256, 20),
            ("784-1024-1024-10", 1024, 5)],
    "gpu": [("784-128-64-10", 64, 20), ("784-128-64-10", 256, 10), ("784-512-512-10", 256, 5)],
    "hardware": [("784-128-64-10", 64, 2000), ("784-128-64-10", 256, 1000), ("784-512-512-10", 256, 500),
                 ("784-1024-1024-10", 1024, 100), ("784-4096-4096-10", 4096, 5)],
}
# Rows, columns and depth of the plain product.
PRODUCT = 4096
# Where it computes, what it is called in the tables, its program. Burn's backends are a build each.
PEERS = {
    "pytorch": ("cpu", "PyTorch", [sys.executable, HERE / "pytorch.py"]),
    "burn-flex": ("cpu", "Burn flex", [HERE / "burn/target/release/burn-peer-flex", "--mode", "flex"]),
    **{f"pytorch-cuda-{mode}": ("gpu", f"PyTorch CUDA, {mode}",
                                [sys.executable, HERE / "pytorch.py", "--device", "cuda", "--mode", mode])
       for mode in ["eager", "compiled", "graphs"]},
    "burn-wgpu": ("gpu", "Burn wgpu", [HERE / "burn/target/release/burn-peer-wgpu", "--mode", "wgpu"]),
    "burn-vulkan": ("gpu", "Burn vulkan", [HERE / "burn/target/release/burn-peer-vulkan", "--mode", "vulkan"]),
    "meganeura": ("gpu", "meganeura", [HERE / "meganeura/target/release/meganeura-peer", "--mode", "default"]),
    "meganeura-tuned": ("gpu", "meganeura, tuned",
                        [HERE / "meganeura/target/release/meganeura-peer", "--mode", "tuned"]),
}
PLACES = {"cpu": "CPU path", "gpu": "adapter"}
# A step's loss is a mean over f32 sums in another order; over five Adam steps they agree to this (over 20 not: Adam turns
# gradients near zero into signs).
TOLERANCE = 1e-4
# Seconds for one program in one round.
PATIENCE = 900


class Failed(Exception):
    """A program that gave no figure, with the reason in a few words."""


def lines(command, environment=None):
    """The JSON lines that a program prints."""
    command = [str(word) for word in command]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE,
                              env={**os.environ, **(environment or {})})
    except subprocess.TimeoutExpired:
        raise Failed(f"gave up after {PATIENCE} s") from None
    except OSError as error:
        raise Failed(str(error)) from None
    if done.returncode < 0:
        raise Failed(f"crashes (signal {-done.returncode}, {signal.Signals(-done.returncode).name})")
    if done.returncode != 0:
        raise Failed((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def peer(name, row, args, *more, environment=None):
    """A peer's line for a row; PyTorch's on processor cores is that of its fastest mode."""
    layers, batch, steps = row
    command = [*PEERS[name][2], "--layers", layers, "--batch-size", batch, "--steps", steps, *more]
    threads = {"RAYON_NUM_THREADS": str(args.threads)} if PEERS[name][0] == "cpu" else {}
    if name == "pytorch":
        found = [line for mode in args.modes.split(",")
                 for line in lines([*command, "--threads", args.threads, "--mode", mode], environment)]
    else:
        found = lines(command, {**threads, **(environment or {})})
    good = [line for line in found if "error" not in line]
    if not good:
        raise Failed(found[0]["error"])
    return min(good, key=lambda line: line["ms_per_step"])


def wgrad(place, row, args, *more, environment=None):
    layers, batch, steps = row
    line = lines([WGRAD, "bench", "--layers", layers, "--batch-size", batch, "--steps", steps, "--threads",
                  args.threads, "--device", place, "--json", *more], environment)[0]
    if not line.get("verified", True):
        sys.exit(f"wgrad is not verified there: {line}")
    return line


def build(names):
    """wgrad, and the peers that are asked for."""
    def cargo(folder, *flags):
        print(f"building {folder.relative_to(ROOT.parent)}", file=sys.stderr)
        return subprocess.run(["cargo", "build", "--release", "--quiet", *flags], cwd=folder).returncode == 0

    if not cargo(ROOT):
        sys.exit("wgrad does not build")
    for name, flags in [("flex", []), ("wgpu", ["--features", "wgpu"]), ("vulkan", ["--features", "vulkan"])]:
        if f"burn-{name}" in names and cargo(HERE / "burn", *flags):
            shutil.copy(HERE / "burn/target/release/burn-peer", HERE / f"burn/target/release/burn-peer-{name}")
    if any(name.startswith("meganeura") for name in names):
        cargo(HERE / "meganeura")


def same_training(names, args):
    """The fifth step's loss from the same start weights on the same rows, on all: what there is to say, and who is out."""
    import numpy
    from safetensors.numpy import save_file

    steps, rows, sizes = 5, 64, [784, 128, 64, 10]
    random = numpy.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        x = random.standard_normal((rows, sizes[0]), dtype=numpy.float32)
        y = (numpy.arange(rows) % 10).astype(numpy.int64)
        numpy.savez(folder / "data.npz", x=x, y=y)
        save_file({"x": x, "y": y}, folder / "data.safetensors")
        tensors = {}
        for i, (fan_in, fan_out) in enumerate(zip(sizes, sizes[1:])):
            weight = random.standard_normal((fan_out, fan_in)) * (2 / fan_in) ** 0.5
            tensors[f"layers.{i}.weight"] = weight.astype(numpy.float32)
            tensors[f"layers.{i}.bias"] = numpy.zeros(fan_out, dtype=numpy.float32)
        save_file(tensors, folder / "start.safetensors")

        def own(place):
            out = folder / place
            subprocess.run([str(word) for word in [
                WGRAD, "train", folder / "data.npz", "--init", folder / "start.safetensors", "--hidden", "128,64",
                "--task", "classification", "--epochs", steps, "--batch-size", rows, "--device", place, "--quiet",
                "--out", out, "--set", "data.split=[1,0,0]", "--set", "data.standardize=false", "--set",
                "train.shuffle=false"]], check=True)
            return float((out / "history.csv").read_text().splitlines()[-1].split(",")[2])

        row = ("784-128-64-10", rows, steps)
        given = ["--weights", folder / "start.safetensors", "--data", folder / "data.safetensors"]
        losses, failed = {}, {}
        for place in sorted({PEERS[name][0] for name in names}):
            losses[f"wgrad {PLACES[place]}"] = own(place)
        truth = next(iter(losses.values()))
        for name in names:
            try:
                losses[PEERS[name][1]] = peer(name, row, args, *given)["loss"]
            except Failed as reason:
                failed[name] = str(reason)
                print(f"{PEERS[name][1]}: {reason}", file=sys.stderr)
    text = ", ".join(f"{name} {loss:.6f}" for name, loss in losses.items())
    for name, loss in losses.items():
        if not abs(truth - loss) <= TOLERANCE * abs(truth):
            sys.exit(f"after {steps} steps {name}'s loss is another one ({text}): they do not train the same thing")
    return f"Loss after {steps} steps from the same weights on the same rows: {text}.", failed


def cell(times, ratios, note=""):
    return (f"{statistics.median(times):.3g}{note}; **{statistics.median(ratios):.2f}** "
            f"({min(ratios):.2f} to {max(ratios):.2f})")


def measure(place, row, names, failed, args):
    """One line of a table: wgrad's ms, then for each peer its ms and the median, least and largest ratio to wgrad."""
    own, times, ratios, modes, best = [], {}, {}, {}, []
    for _ in range(args.rounds):
        line = wgrad(place, row, args)
        own.append(line["ms_per_step"])
        found = []
        for name in names:
            if name in failed:
                continue
            try:
                line = peer(name, row, args)
            except Failed as reason:
                failed[name] = str(reason)
                print(f"{PEERS[name][1]}: {reason}", file=sys.stderr)
                continue
            ms = line["ms_per_step"]
            times.setdefault(name, []).append(ms)
            ratios.setdefault(name, []).append(ms / own[-1])
            modes.setdefault(name, []).append(line["mode"])
            found.append(ms)
        if found:
            best.append(min(found) / own[-1])
    cells = [f"{row[0]}, {row[1]}", f"{statistics.median(own):.3g}"]
    for name in names:
        note = f" ({statistics.mode(modes[name])})" if name == "pytorch" and name in modes else ""
        cells.append(cell(times[name], ratios[name], note) if name in times else failed[name])
    cells.append(f"**{statistics.median(best):.2f}**" if best else "–")
    return "| " + " | ".join(cells) + " |"


def product(args):
    """A dense layer of wgrad on as many rows as it is wide beside the plain product by PyTorch: a table's lines."""
    size = str(PRODUCT)
    command = [WGRAD, "bench", "--layers", f"{size}-{size}-{size}-10", "--batch-size", size, "--steps", 1, "--device", "gpu",
               "--verify", "off", "--profile", "--json"]
    own, ratios, theirs = [], [], []
    for _ in range(args.rounds):
        rows = [line["row"] for line in lines(command) if "row" in line]
        row = next(row for row in rows if row["step"] == "dense layers.1")
        own.append(row["device_ms"] or row["wall_ms"])
        theirs.append(lines([sys.executable, HERE / "pytorch.py", "--device", "cuda", "--product", size])[0]["ms"])
        ratios.append(theirs[-1] / own[-1])
    clock = "the device's clock" if row["device_ms"] else "wall clock"
    title = f"| product of {size}³, fp32 | wgrad `dense`, ms ({clock}) | PyTorch CUDA, ms, ten in a row, and its ms / wgrad's |"
    return [title, "| --- | --- | --- |",
            f"| {2e-9 * PRODUCT**3 / statistics.median(own):.3g} TFLOP/s | {statistics.median(own):.3g} | {cell(theirs, ratios)} |"]


def start(names, failed, args):
    """First step's loss on the host after the start of the process, shader cache empty and filled: a table's lines."""
    row = ("784-128-64-10", 64, 1)
    programs = [("wgrad adapter", lambda env: wgrad("gpu", row, args, "--verify", "off", environment=env))]
    programs += [(PEERS[name][1], lambda env, name=name: peer(name, row, args, environment=env))
                 for name in names if PEERS[name][0] == "gpu" and name not in failed]
    times = {}
    for _ in range(args.rounds if args.rounds < 3 else 3):
        for title, run in programs:
            with tempfile.TemporaryDirectory() as cache:
                environment = {"MESA_SHADER_CACHE_DIR": cache, "XDG_CACHE_HOME": cache}
                for state in ["empty", "filled"]:
                    try:
                        times.setdefault((title, state), []).append(run(environment)["startup_ms"] / 1e3)
                    except Failed as reason:
                        print(f"{title}: {reason}", file=sys.stderr)
    text = ["| first step's loss after, s | empty shader cache | filled |", "| --- | --- | --- |"]
    for title, _ in programs:
        if (title, "empty") in times and (title, "filled") in times:
            cells = [f"{statistics.median(times[title, state]):.2f}" for state in ["empty", "filled"]]
            text.append(f"| {title} | {cells[0]} | {cells[1]} |")
    return text


def machine():
    model = platform.processor() or platform.machine()
    try:
        model = next(line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{model}, {os.cpu_count()} cores"


def versions(names):
    import torch

    text = [lines_of([WGRAD, "--version"])]
    if any(name.startswith("pytorch") for name in names):
        text.append(f"PyTorch {torch.__version__}")
    text += ["Burn 0.22.1"] * any(name.startswith("burn") for name in names)
    text += ["meganeura 0.3.0"] * any(name.startswith("meganeura") for name in names)
    return ", ".join(text)


def lines_of(command):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True).stdout.strip()


def write(text):
    old = RESULTS.read_text()
    before, _, after = old.partition(MARK)
    rest = after.partition("\n## ")[2]
    RESULTS.write_text(before.rstrip() + "\n\n" + "\n".join(text) + "\n" + (f"\n## {rest}" if rest else ""))


def usual():
    import torch

    return ",".join(name for name in PEERS if "cuda" not in name or torch.cuda.is_available())


def has_hardware():
    """Whether the best adapter is a GPU."""
    adapters = lines([WGRAD, "devices", "--json"])
    return any(adapter.get("software") is False for adapter in adapters[:1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default=usual(), help="with commas; all that can run here")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of everything that computes on cores")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="rows that begin like this")
    parser.add_argument("--modes", default="best", help="of pytorch.py, with commas; best: every one this machine has")
    parser.add_argument("--write", action="store_true", help="into benches/RESULTS.md")
    args = parser.parse_args()
    names = args.peers.split(",")
    unknown = set(names) - set(PEERS)
    if unknown:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(PEERS)}")
    build(names)
    same, failed = same_training(names, args)
    command = " ".join(["python benches/peers/run.py", *sys.argv[1:]])
    text = []

    def say(line):
        text.append(line)
        print(line, flush=True)

    say(MARK)
    say("")
    say(f"{datetime.date.today()}, {machine()}, {args.threads} threads; {versions(names)}; `{command}`. {same} In each "
        "cell: median ms a step; **peer's ms / wgrad's ms within a round, median** (least to most).")
    for place in ["cpu", "gpu"]:
        here = [name for name in names if PEERS[name][0] == place]
        hardware = here and place == "gpu" and has_hardware()
        rows = [row for row in ROWS["hardware" if hardware else place] if row[0].startswith(args.only)]
        if not here or not rows:
            continue
        titles = [PEERS[name][1] for name in here]
        adapter = wgrad(place, rows[0][:2] + (1,), args, "--verify", "off")["adapter"]
        say("")
        say(f"| {adapter}: network, batch | wgrad {PLACES[place]}, ms | {' | '.join(titles)} | best peer / wgrad |")
        say("| --- |" + " --- |" * (len(here) + 2))
        for row in rows:
            say(measure(place, row, here, failed, args))
        if hardware and any("cuda" in name and name not in failed for name in here):
            say("")
            try:
                for line in product(args):
                    say(line)
            except Failed as reason:
                say(f"The product of {PRODUCT}³ could not be measured: {reason}")
    if any(PEERS[name][0] == "gpu" for name in names):
        say("")
        for line in start(names, failed, args):
            say(line)
    if args.write:
        write(text)


if __name__ == "__main__":
    main()
