"""wgrad beside PyTorch, in turn and in one run. First that both train the same thing, then the times as ratios.

    cargo build --release
    python benches/peers/run.py --threads 2 --rounds 7 [--write]

Needs torch, numpy and safetensors. Each round runs every program once, one after the other, so that what else the machine
does falls on all of them; a ratio is taken within its round, and the median over the rounds is shown. `--write` puts the
table into benches/RESULTS.md.
"""

import argparse
import datetime
import json
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WGRAD = ROOT / "target/release/wgrad"
# Layers, batch, steps a timing.
ROWS = [
    ("784-128-64-10", 64, 200),
    ("784-128-64-10", 256, 100),
    ("784-512-512-10", 256, 20),
    ("784-1024-1024-10", 1024, 5),
]
# A step's loss is a mean over f32 sums in another order; over five Adam steps they agree to this (over 20 not: Adam turns gradients near zero into signs).
TOLERANCE = 1e-4
MARK = "## Beside PyTorch"


def lines(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def pytorch(layers, batch, steps, threads, *more):
    command = [sys.executable, HERE / "pytorch.py", "--layers", layers, "--batch-size", batch, "--steps", steps,
               "--threads", threads, *more]
    return lines([str(word) for word in command])


def wgrad(layers, batch, steps, threads, device):
    command = [WGRAD, "bench", "--layers", layers, "--batch-size", batch, "--steps", steps, "--threads", threads,
               "--device", device, "--json"]
    return lines([str(word) for word in command])[0]


def same_training(threads):
    """The loss of the fifth step from the same start weights on the same rows, on both."""
    import numpy
    from safetensors.numpy import save_file

    steps, rows = 5, 64
    random = numpy.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        x = random.standard_normal((rows, 784), dtype=numpy.float32)
        y = numpy.arange(rows) % 10
        numpy.savez(folder / "data.npz", x=x, y=y.astype(numpy.int64))
        sizes, tensors = [784, 128, 64, 10], {}
        for i, (fan_in, fan_out) in enumerate(zip(sizes, sizes[1:])):
            weight = random.standard_normal((fan_out, fan_in)) * (2 / fan_in) ** 0.5
            tensors[f"layers.{i}.weight"] = weight.astype(numpy.float32)
            tensors[f"layers.{i}.bias"] = numpy.zeros(fan_out, dtype=numpy.float32)
        save_file(tensors, folder / "start.safetensors")
        subprocess.run([str(word) for word in [
            WGRAD, "train", folder / "data.npz", "--init", folder / "start.safetensors", "--hidden", "128,64", "--task",
            "classification", "--epochs", steps, "--batch-size", rows, "--device", "cpu", "--quiet", "--out",
            folder / "run", "--set", "data.split=[1,0,0]", "--set", "data.standardize=false", "--set",
            "train.shuffle=false"]], check=True)
        own = float((folder / "run/history.csv").read_text().splitlines()[-1].split(",")[2])
        peer = pytorch("784-128-64-10", rows, steps, threads, "--weights", folder / "start.safetensors", "--data",
                       folder / "data.npz")[0]["loss"]
    if not abs(own - peer) <= TOLERANCE * abs(peer):
        sys.exit(f"after {steps} steps wgrad's loss is {own}, PyTorch's {peer}: they do not train the same thing")
    return f"after {steps} steps from the same weights: loss {own:.6f} (wgrad), {peer:.6f} (PyTorch)"


def measure(layers, batch, steps, threads, rounds, wanted):
    """Median ms of each program, and the median of the rounds' ratios to wgrad's CPU path."""
    times, ratios, modes = {"wgrad cpu": [], "pytorch": []}, [], {}
    for _ in range(rounds):
        own = wgrad(layers, batch, steps, threads, "cpu")
        if not own["verified"]:
            sys.exit(f"wgrad's CPU path is not verified: {own}")
        results = [line for mode in wanted for line in pytorch(layers, batch, steps, threads, "--mode", mode)]
        results = [line for line in results if "error" not in line]
        # At its best: the mode that is fastest in this round.
        best = min(results, key=lambda line: line["ms_per_step"])
        modes[best["mode"]] = modes.get(best["mode"], 0) + 1
        times["wgrad cpu"].append(own["ms_per_step"])
        times["pytorch"].append(best["ms_per_step"])
        ratios.append(best["ms_per_step"] / own["ms_per_step"])
    mode = max(modes, key=modes.get)
    return statistics.median(times["wgrad cpu"]), statistics.median(times["pytorch"]), mode, ratios


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", type=int, default=len(ROWS), help="only the first of the table")
    parser.add_argument("--modes", default="best", help="of pytorch.py, with commas; best: every one this machine has")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    import torch

    same = same_training(args.threads)
    text = [MARK, "", f"{datetime.date.today()}, {platform.processor() or platform.machine()}, {args.threads} threads, "
            f"PyTorch {torch.__version__}, the fastest of its modes {args.modes} in each round, `python benches/peers/run.py "
            f"--threads {args.threads} --rounds {args.rounds} --modes {args.modes}`; {same}.", "",
            "| network, batch | wgrad CPU path, ms | PyTorch, ms (mode) | PyTorch / wgrad, median (least to most) |",
            "| --- | --- | --- | --- |"]
    print("\n".join(text), flush=True)
    for layers, batch, steps in ROWS[: args.rows]:
        own, peer, mode, ratios = measure(layers, batch, steps, args.threads, args.rounds, args.modes.split(","))
        row = (f"| {layers}, {batch} | {own:.3g} | {peer:.3g} ({mode}) | {statistics.median(ratios):.2f} "
               f"({min(ratios):.2f} to {max(ratios):.2f}) |")
        text.append(row)
        print(row, flush=True)
    if args.write:
        results = ROOT / "benches/RESULTS.md"
        old = results.read_text()
        before, _, after = old.partition(MARK)
        rest = after.partition("\n## ")[2]
        results.write_text(before.rstrip() + "\n\n" + "\n".join(text) + "\n" + (f"\n## {rest}" if rest else ""))


if __name__ == "__main__":
    main()
