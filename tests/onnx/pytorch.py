"""Runs the README's lines on a model file and computes the network's answers from what they read.

pytorch.py README MODEL ROWS PREDICTIONS torch|numpy: MODEL is a network of dense layers, relu but the last, without
scaling; ROWS an NPZ.
"""

import csv
import re
import sys

import numpy

readme, model, rows, predictions, package = sys.argv[1:]
text = open(readme, encoding="utf-8").read()
(block,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.S) if "load_file" in block]
lines = block.strip().splitlines()
assert len(lines) == 3, lines
path = "runs/first/model.safetensors"
assert path in block
x = numpy.load(rows)["x"].astype(numpy.float32)
if package == "torch":
    import torch

    x = torch.from_numpy(x)
    exec("\n".join(lines).replace(path, model))
    hidden = hidden.numpy()
else:
    # Without PyTorch the first two lines, with the same file through NumPy.
    exec("\n".join(lines[:2]).replace(path, model).replace("safetensors.torch", "safetensors.numpy"))
    hidden = numpy.maximum(x @ layers["layers.0.weight"].T + layers["layers.0.bias"], 0)
answer = hidden @ numpy.asarray(layers["layers.1.weight"]).T + numpy.asarray(layers["layers.1.bias"])
expected = numpy.array(list(csv.reader(open(predictions)))[1:], dtype=numpy.float64)
error = numpy.abs(answer - expected) / numpy.maximum(1.0, numpy.abs(expected))
assert answer.shape == expected.shape and (error < 1e-4).all(), error.max()
print(answer.size)
