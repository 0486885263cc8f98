"""PyTorch's side of the peer bench: the network of `wgrad bench` (ReLU, softmax cross-entropy, Adam, resident data),
timed the way `wgrad bench` times it. Prints one JSON line with the keys of `wgrad bench --json`.

    python pytorch.py --layers 784-128-64-10 --batch-size 64 --steps 100 --threads 2 --mode eager
    python pytorch.py ... --weights model.safetensors --data rows.safetensors   # the same training, to compare the losses

Modes: eager (Adam's foreach form), fused (Adam as one kernel), compiled (torch.compile of the whole step, with fused
Adam), graphs (CUDA graphs of the fused step; needs CUDA). `best` tries every mode this machine has and prints one line
for each. A mode that does not run here prints a line with `error` in place of the figures.

    python pytorch.py --device cuda --product 4096   # instead: a plain product of square matrices
"""

import time

BEGAN = time.perf_counter()  # Loading torch is part of the start.

import argparse
import json

import torch
from torch import nn

REPEATS, MOST_REPEATS, PATIENCE = 5, 25, 3.0


def network(sizes):
    layers = []
    for fan_in, fan_out in zip(sizes, sizes[1:]):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def random_data(sizes, batch, seed):
    """As many rows as wgrad bench takes: four batches, at least a thousand rows, at most 64 MiB."""
    most = max((16 << 20) // sizes[0], batch)
    rows = -(-min(max(4 * batch, 1024), most) // batch) * batch
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(rows, sizes[0], generator=generator)
    return features, torch.randint(sizes[-1], (rows,), generator=generator)


def given_data(path):
    """`x` [rows, features] and `y` [rows] of a safetensors file."""
    from safetensors.torch import load_file

    tensors = load_file(path)
    return tensors["x"], tensors["y"]


def load_weights(model, path):
    """Start weights from a model file of wgrad: `layers.<i>.weight` [units, features] and `layers.<i>.bias`."""
    from safetensors.torch import load_file

    tensors = load_file(path)
    with torch.no_grad():
        for index, layer in enumerate(layer for layer in model if isinstance(layer, nn.Linear)):
            layer.weight.copy_(tensors[f"layers.{index}.weight"].reshape(layer.weight.shape))
            layer.bias.copy_(tensors[f"layers.{index}.bias"].reshape(layer.bias.shape))


class Training:
    """One network in one mode; `run(steps)` trains and returns the last step's loss."""

    def __init__(self, args, mode, device):
        torch.manual_seed(args.seed)
        sizes = [int(size) for size in args.layers.split("-")]
        features, targets = given_data(args.data) if args.data else random_data(sizes, args.batch_size, args.seed)
        self.features, self.targets = features.to(device), targets.to(device)
        self.batch, self.batches = args.batch_size, len(features) // args.batch_size
        self.model = network(sizes)
        if args.weights:
            load_weights(self.model, args.weights)
        self.model.to(device)
        self.loss_of = nn.CrossEntropyLoss()
        form = {"foreach": True} if mode == "eager" else {"fused": True}
        if mode == "graphs":
            form["capturable"] = True
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=args.learning_rate, **form)
        self.place = 0
        self.step = self.plain_step
        if mode == "compiled":
            self.step = torch.compile(self.plain_step)
        if mode == "graphs":
            self.step = self.capture()

    def plain_step(self, x, y):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss_of(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def capture(self):
        """A CUDA graph of one step on fixed buffers; weights and slots are as before afterwards."""
        x, y = self.features[: self.batch].clone(), self.targets[: self.batch].clone()
        start = [parameter.detach().clone() for parameter in self.model.parameters()]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.plain_step(x, y)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            loss = self.plain_step(x, y)
        with torch.no_grad():
            for parameter, value in zip(self.model.parameters(), start):
                parameter.copy_(value)
            for slots in self.optimizer.state.values():
                for slot in slots.values():
                    slot.zero_()

        def replay(new_x, new_y):
            x.copy_(new_x)
            y.copy_(new_y)
            graph.replay()
            return loss

        return replay

    def run(self, steps):
        loss = None
        for _ in range(steps):
            first = self.place % self.batches * self.batch
            rows = slice(first, first + self.batch)
            loss = self.step(self.features[rows], self.targets[rows])
            self.place += 1
        return loss


def wait(device):
    if device == "cuda":
        torch.cuda.synchronize()


def measure(args, mode, device, began):
    training = Training(args, mode, device)
    first = training.run(1).item()
    startup_ms = (time.perf_counter() - began) * 1e3
    last = training.run(args.steps - 1).item() if args.steps > 1 else first
    training.run(args.steps)
    wait(device)
    times, timing = [], time.perf_counter()
    while len(times) < REPEATS or (len(times) < MOST_REPEATS and time.perf_counter() - timing < PATIENCE):
        start = time.perf_counter()
        training.run(args.steps)
        wait(device)
        times.append((time.perf_counter() - start) * 1e3 / args.steps)
    ms = sorted(times)[len(times) // 2]
    sizes = [int(size) for size in args.layers.split("-")]
    products = [a * b for a, b in zip(sizes, sizes[1:])]
    # Forward, weights' gradient and input's gradient; the first layer needs no gradient of its input.
    flops = 2 * args.batch_size * (3 * sum(products) - products[0])
    return {
        "peer": "pytorch",
        "version": torch.__version__,
        "mode": mode,
        "device": device,
        "adapter": torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads",
        "layers": args.layers,
        "batch_size": args.batch_size,
        "startup_ms": startup_ms,
        "ms_per_step": ms,
        "min_ms_per_step": min(times),
        "samples_per_second": args.batch_size / ms * 1e3,
        "gflops": flops / ms / 1e6,
        "first_loss": first,
        "loss": last,
        "steps": args.steps,
    }


def product(size, device):
    """Milliseconds of one product of square fp32 matrices, the median over runs of several."""
    left, right = torch.randn(size, size, device=device), torch.randn(size, size, device=device)
    times = []
    for _ in range(REPEATS + 1):
        wait(device)
        start = time.perf_counter()
        for _ in range(10):
            left @ right
        wait(device)
        times.append((time.perf_counter() - start) * 1e3 / 10)
    return {"peer": "pytorch", "mode": "product", "device": device, "size": size, "ms": sorted(times[1:])[REPEATS // 2]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", default="784-128-64-10")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--mode", choices=["eager", "fused", "compiled", "graphs", "best"], default="eager")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--weights", help="start weights: a model.safetensors of wgrad")
    parser.add_argument("--data", help="rows to train on, in order: x and y of a safetensors file")
    parser.add_argument("--product", type=int, help="time this product only")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    # FP32 means FP32, as in wgrad.
    torch.backends.cuda.matmul.allow_tf32 = False
    if args.product:
        print(json.dumps(product(args.product, args.device)))
        return
    modes = [args.mode]
    if args.mode == "best":
        modes = ["eager", "fused", "compiled"] + (["graphs"] if args.device == "cuda" else [])
    began = BEGAN
    for mode in modes:
        try:
            line = measure(args, mode, args.device, began)
        except Exception as error:  # A missing compiler or GPU is an answer too.
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            line = {"peer": "pytorch", "mode": mode, "device": args.device, "layers": args.layers,
                    "batch_size": args.batch_size, "error": reason}
        print(json.dumps(line), flush=True)
        began = time.perf_counter()


if __name__ == "__main__":
    main()
