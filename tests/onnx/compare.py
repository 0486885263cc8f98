"""Runs an ONNX model on raw rows and compares its answers with those of `wgrad predict`.

compare.py MODEL ROWS PREDICTIONS: ROWS is a CSV whose cells go in as they are (an empty number as NaN, an empty text
as ""), or an NPZ whose x goes in whole. Prints how many numbers were compared; fails if one is off by 1e-4 or more.
"""

import csv
import sys

import numpy
import onnx
import onnxruntime

BOUND = 1e-4
BOOLEANS = {"True": 1.0, "False": 0.0}


def feeds(session, rows):
    inputs = session.get_inputs()
    if rows.endswith(".npz"):
        (only,) = inputs
        x = numpy.load(rows)["x"]
        return {only.name: x.astype(numpy.float32) if only.type == "tensor(float)" else x}
    with open(rows, newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    fed = {}
    for value in inputs:
        # An input whose name an output has carries `_` behind it.
        name = value.name if value.name in table[0] else value.name.rstrip("_")
        cells = [row[name] for row in table]
        if value.type == "tensor(string)":
            column = numpy.array(cells, dtype=object)
        else:
            number = lambda cell: BOOLEANS[cell] if cell in BOOLEANS else float(cell) if cell else float("nan")
            column = numpy.array([number(cell) for cell in cells], dtype=numpy.float32)
        fed[value.name] = column.reshape(-1, 1)
    return fed


def main(model, rows, predictions):
    onnx.checker.check_model(onnx.load(model), full_check=True)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    outputs = {value.name: answer for value, answer in zip(session.get_outputs(), session.run(None, feeds(session, rows)))}
    with open(predictions, newline="", encoding="utf-8") as file:
        header, *expected = csv.reader(file)
    compared = 0
    if "label" in outputs:
        labels, numbers = outputs["label"], outputs["probabilities"]
        assert [str(label) for label in labels] == [row[0] for row in expected], "labels differ"
        compared += len(labels)
        expected = [row[1:] for row in expected]
    else:
        numbers = outputs["prediction"]
    expected = numpy.array(expected, dtype=numpy.float64)
    assert expected.shape == numbers.shape, (expected.shape, numbers.shape)
    both_nan = numpy.isnan(expected) & numpy.isnan(numbers)
    error = numpy.abs(numbers - expected) / numpy.maximum(1.0, numpy.abs(expected))
    wrong = ~((error < BOUND) | both_nan)
    assert not wrong.any(), f"{wrong.sum()} of {wrong.size} numbers are off, by up to {error.max()}"
    print(compared + numbers.size)


main(*sys.argv[1:])
