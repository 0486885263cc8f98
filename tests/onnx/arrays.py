"""Writes archives of made-up rows: arrays.py images FILE | targets FILE."""

import sys

import numpy

kind, file = sys.argv[1:]
generator = numpy.random.default_rng(7)
if kind == "images":
    labels = numpy.arange(300) % 3
    images = generator.integers(0, 120, (300, 6, 5)).astype(numpy.uint8)
    images[numpy.arange(300), labels * 2] += 100
    numpy.savez(file, x=images, y=labels)
else:
    x = generator.normal(3.0, [1.0, 20.0, 0.1, 5.0], (400, 4))
    y = numpy.stack([x[:, 0] * 2 - x[:, 1], 1000 * x[:, 2], x[:, 3] ** 2], axis=1)
    x[generator.random(x.shape) < 0.05] = numpy.nan
    numpy.savez(file, x=x.astype(numpy.float32), y=y)
