"""Makes the golden runs beside this file: small training runs with results from PyTorch in float64.

    python generate.py            every case
    python generate.py opt_adam   the named ones

Needs torch, numpy and safetensors; see README.md for versions. PyTorch's default wheel for Linux does not import
without its CUDA libraries, even to compute on the CPU: install it with its dependencies, or take a CPU build.

Each case shows one feature, and is refused here if it does not show it: a run of the same case `without` the feature
has to end far from the expected weights. A case whose float32 run is not close to the float64 run is refused too: its
result would depend on rounding (a kink hit, a division by almost nothing), and no tolerance could be fair.
"""

import copy
import json
import math
import random
import shutil
import sys
import zlib
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

HERE = Path(__file__).resolve().parent
TOLERANCE = {"weights": 1e-3, "train_loss": 1e-3}
# What a float32 run may lose of the tolerance, and how far beyond it a run without the feature has to end.
FLOAT32_LIMIT = 1e-4
SHOWS = 10 * TOLERANCE["weights"]

torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)


# ---- the cases ------------------------------------------------------------------------------------------------------


def dense(units, activation=None, **more):
    return {"type": "dense", "units": units, **({"activation": activation} if activation else {}), **more}


def batch_norm(**more):
    return {"type": "batch_norm", **more}


def layers(*hidden, units=1, activation=None, **more):
    """Hidden layers as (units, activation) or whole, and the output layer."""
    whole = [layer if isinstance(layer, dict) else dense(*layer) for layer in hidden]
    return [*whole, dense(units, activation, **more)]


CASES = {}


def case(name, description, without, rows=42, features=5, outputs=1, classes=None, scale=1.0, noise=0.2, **sections):
    """`without`: what to override in the run to take the feature away; keys with a _ have no place in a run file."""
    run = {
        "data": {"target": "target", "task": "regression"},
        "model": {"layers": layers((7, "tanh"))},
        "loss": {"name": "mse"},
        "optimizer": {"name": "sgd", "learning_rate": 0.1},
        "train": {"epochs": 6, "batch_size": 16, "shuffle": False},
    }
    for section, values in sections.items():
        run[section] = {**run.get(section, {}), **values}
    if outputs > 1:
        run["data"]["target"] = [f"t{i}" for i in range(outputs)]
    if classes:
        run["data"]["task"] = "binary" if run["loss"]["name"] == "binary_cross_entropy" else "classification"
    run["data"] |= {"source": "data.csv", "split": [1.0, 0.0, 0.0], "standardize": False, "missing": "error"}
    run["data"] |= sections.get("data", {})
    assert name not in CASES, name
    CASES[name] = {
        "description": description,
        "run": run,
        "without": without,
        "rows": rows,
        "features": features,
        "outputs": outputs,
        "classes": classes,
        "scale": scale,
        "noise": noise,
    }


def optimizer(name, learning_rate, **more):
    return {"name": name, "learning_rate": learning_rate, **more}


def without(section, **values):
    """The section's keys replaced; None takes a key out."""
    return {section: values}


def hidden(activation):
    return {"model": {"layers": layers((9, activation), (6, activation))}}


# Optimizers.
case("opt_sgd", "sgd, nothing else", without("optimizer", momentum=0.5))
case(
    "opt_sgd_nesterov",
    "sgd with Nesterov's momentum 0.9",
    without("optimizer", nesterov=False),
    optimizer=optimizer("sgd", 0.03, momentum=0.9, nesterov=True),
)
case(
    "opt_adagrad",
    "adagrad, epsilon left at 1e-10",
    without("optimizer", name="rmsprop"),
    optimizer=optimizer("adagrad", 0.05),
)
case(
    "opt_adagrad_epsilon",
    "adagrad, epsilon 0.1 added to the root",
    without("optimizer", epsilon=1e-10),
    optimizer=optimizer("adagrad", 0.1, epsilon=0.1),
)
case(
    "opt_rmsprop_momentum",
    "rmsprop with momentum 0.8",
    without("optimizer", momentum=0.0),
    optimizer=optimizer("rmsprop", 0.003, momentum=0.8),
)
case(
    "opt_rmsprop_centered",
    "centered rmsprop with momentum 0.5 and alpha 0.9",
    without("optimizer", centered=False),
    optimizer=optimizer("rmsprop", 0.005, alpha=0.9, centered=True, momentum=0.5),
)
case(
    "opt_rmsprop_epsilon",
    "rmsprop, epsilon 0.05 added to the root",
    without("optimizer", epsilon=1e-8),
    optimizer=optimizer("rmsprop", 0.02, epsilon=0.05),
)
case(
    "opt_adam_betas",
    "adam with beta1 0.8 and beta2 0.95",
    without("optimizer", beta1=0.9, beta2=0.999),
    optimizer=optimizer("adam", 0.02, beta1=0.8, beta2=0.95),
)
case(
    "opt_adam_epsilon",
    "adam, epsilon 0.05 added to the corrected root",
    without("optimizer", epsilon=1e-8),
    optimizer=optimizer("adam", 0.03, epsilon=0.05),
)
case(
    "opt_adamw_l2",
    "adamw with an l2 penalty in the gradient beside its decoupled decay",
    without("regularization", l2=0.0),
    optimizer=optimizer("adamw", 0.02, weight_decay=0.5),
    regularization={"l2": 0.1},
)
case(
    "opt_adamw_default_decay",
    "adamw, weight_decay left at 0.01",
    without("optimizer", weight_decay=0.0),
    optimizer=optimizer("adamw", 0.2),
    train={"epochs": 8},
)

# Hidden activations; each is told from its nearest relative.
for name, relative, rate in [
    ("identity", "tanh", 0.05),
    ("exp", "softplus", 0.01),
    ("sigmoid", "tanh", 0.3),
    ("tanh", "sigmoid", 0.1),
    ("relu", "leaky_relu", 0.1),
    ("leaky_relu", "relu", 0.1),
    ("elu", "leaky_relu", 0.1),
    ("gelu", "silu", 0.1),
    ("silu", "gelu", 0.1),
    ("softplus", "relu", 0.05),
]:
    case(
        f"activation_{name}",
        f"{name} in two hidden layers",
        hidden(relative),
        **hidden(name),
        optimizer=optimizer("sgd", rate),
        train={"epochs": 8},
    )

# Output activations.
case(
    "output_sigmoid",
    "sigmoid on the output with mse, two classes as 0 and 1",
    {"model": {"layers": layers((7, "tanh"))}},
    classes=[0, 1],
    data={"task": "binary"},
    model={"layers": layers((7, "tanh"), activation="sigmoid")},
    optimizer=optimizer("sgd", 0.5),
)
case(
    "output_tanh",
    "tanh on the output with mse",
    {"model": {"layers": layers((7, "tanh"))}},
    scale=0.5,
    model={"layers": layers((7, "tanh"), activation="tanh")},
)
case(
    "output_exp",
    "exp on the output with mse",
    {"model": {"layers": layers((7, "tanh"))}},
    scale=0.5,
    model={"layers": layers((7, "tanh"), activation="exp")},
    optimizer=optimizer("sgd", 0.03),
)
case(
    "output_softmax",
    "softmax on the output with mse against one-hot classes, a mean over rows and outputs",
    {"model": {"layers": layers((7, "tanh"), units=3)}},
    classes=[0, 1, 2],
    model={"layers": layers((7, "tanh"), units=3, activation="softmax")},
    optimizer=optimizer("sgd", 1.0),
)

# Several targets.
case(
    "targets_two",
    "two targets with mse, a mean over rows and outputs",
    without("loss", name="mse", _sum_of_outputs=True),
    outputs=2,
    model={"layers": layers((7, "tanh"), units=2)},
)
case(
    "targets_three_huber",
    "three targets with huber, a mean over rows and outputs",
    without("loss", name="mse"),
    outputs=3,
    model={"layers": layers((7, "silu"), units=3)},
    loss={"name": "huber"},
    optimizer=optimizer("sgd", 0.3),
)
case(
    "targets_two_mae",
    "two targets with mae",
    without("loss", name="mse"),
    outputs=2,
    model={"layers": layers((7, "tanh"), units=2)},
    loss={"name": "mae"},
    optimizer=optimizer("sgd", 0.05),
)

# Penalties and clipping.
case(
    "reg_l1",
    "l1, l1 sum |w| on weight matrices",
    without("regularization", l1=0.0),
    regularization={"l1": 0.02},
)
case(
    "reg_l1_l2_clip_norm",
    "l1 and l2 with clip_norm: the gradient of the penalties is clipped with the rest",
    without("regularization", l1=0.05, l2=0.2, _penalty_unclipped=True),
    scale=2.0,
    regularization={"l1": 0.05, "l2": 0.2, "clip_norm": 0.3},
    optimizer=optimizer("sgd", 0.2),
)
case(
    "reg_clip_value",
    "clip_value on each element of the gradient",
    without("regularization", clip_value=None),
    scale=2.0,
    regularization={"clip_value": 0.05},
    optimizer=optimizer("sgd", 0.2),
)
case(
    "reg_l2_batch_norm",
    "l2 next to batch norm, whose weights are no matrices and have no penalty",
    without("regularization", l2=0.2, _on_vectors=True),
    model={"layers": layers((7, "identity"), batch_norm(), (5, "tanh"))},
    regularization={"l2": 0.2},
)

# Schedules.
case(
    "schedule_step_default",
    "step every 3 epochs, factor left at 0.1",
    without("schedule", name="constant", every=None),
    schedule={"name": "step", "every": 3},
    train={"epochs": 7},
)
case(
    "schedule_exponential",
    "exponential, factor 0.7",
    without("schedule", name="constant", factor=None),
    schedule={"name": "exponential", "factor": 0.7},
)
case(
    "schedule_cosine",
    "cosine over the whole training",
    without("schedule", name="constant"),
    schedule={"name": "cosine"},
)
case(
    "schedule_cosine_epochs",
    "cosine over 4 epochs of 7 down to 0.01: it rises again after them, as in PyTorch",
    without("schedule", epochs=7),
    schedule={"name": "cosine", "epochs": 4, "minimum": 0.01},
    optimizer=optimizer("sgd", 0.2),
    train={"epochs": 7},
)
case(
    "schedule_one_cycle",
    "one_cycle, batch by batch",
    without("schedule", _per_epoch=True),
    schedule={"name": "one_cycle"},
    optimizer=optimizer("sgd", 0.3),
    train={"epochs": 8},
)
case(
    "schedule_warmup",
    "constant after a warm-up of 7 steps, which end within an epoch",
    without("schedule", warmup_steps=0),
    schedule={"name": "constant", "warmup_steps": 7},
)
case(
    "schedule_warmup_cosine",
    "cosine with a warm-up of 5 steps",
    without("schedule", warmup_steps=0),
    schedule={"name": "cosine", "minimum": 0.02, "warmup_steps": 5},
    optimizer=optimizer("adam", 0.03),
)
case(
    "schedule_plateau",
    "plateau on the training loss (no row validates): factor 0.3, patience 1",
    without("schedule", name="constant", factor=None, patience=None),
    features=3,
    noise=0.8,
    schedule={"name": "plateau", "factor": 0.3, "patience": 1},
    # Steps too large for the loss to go on falling.
    optimizer=optimizer("sgd", 0.3, momentum=0.9),
    train={"epochs": 12},
)

# Layers.
case(
    "dense_no_bias",
    "dense layers without bias, hidden and output",
    {"model": {"layers": layers((7, "tanh"))}},
    model={"layers": layers(dense(7, "tanh", bias=False), bias=False)},
)
case(
    "dense_wide",
    "layers wider than a tile of 16 or 32, no side a multiple of 4",
    {"model": {"layers": layers((33, "relu"), (17, "tanh"))}},
    rows=30,
    features=19,
    model={"layers": layers((33, "relu"), (17, "relu"))},
)
case(
    "batch_norm_first",
    "batch norm as the first layer, on the data itself",
    without("model", _running_statistics=True),
    model={"layers": layers(batch_norm(), (7, "tanh"))},
)
case(
    "batch_norm_relu",
    "batch norm below a dense layer with relu, dense below without activation or bias",
    without("model", _running_statistics=True),
    model={"layers": layers(dense(8, "identity", bias=False), batch_norm(), (6, "relu"))},
)
case(
    "batch_norm_after_activation",
    "batch norm over tanh, with momentum 0.3 and epsilon 0.05",
    without("model", layers=layers((8, "tanh"), batch_norm())),
    model={"layers": layers((8, "tanh"), batch_norm(momentum=0.3, epsilon=0.05))},
)
case(
    "batch_norm_last_row",
    "two batch norms and a last batch of one row, which uses the running statistics and leaves them as they are",
    without("model", _one_row_as_a_batch=True),
    rows=33,
    model={"layers": layers((6, "tanh"), batch_norm(), (5, "tanh"), batch_norm())},
    optimizer=optimizer("sgd", 0.05),
)
case(
    "batch_norm_adam",
    "batch norm with adam",
    without("model", _running_statistics=True),
    rows=39,
    model={"layers": layers(dense(6, "identity", bias=False), batch_norm(), (5, "gelu"))},
    optimizer=optimizer("adam", 0.02),
)

# Losses.
case(
    "loss_binary_cross_entropy_sigmoid",
    "binary cross entropy with sigmoid on the output: it is the one inside the loss, applied once",
    without("loss", _output_twice=True),
    classes=[0, 1],
    loss={"name": "binary_cross_entropy"},
    model={"layers": layers((7, "tanh"), activation="sigmoid")},
    optimizer=optimizer("sgd", 0.5),
)
case(
    "loss_cross_entropy_softmax",
    "cross entropy with softmax on the output: it is the one inside the loss, applied once",
    without("loss", _output_twice=True),
    classes=[0, 1, 2],
    loss={"name": "cross_entropy"},
    model={"layers": layers((7, "tanh"), units=3, activation="softmax")},
    optimizer=optimizer("sgd", 0.3),
)
case(
    "loss_cross_entropy_k2",
    "cross entropy with two classes and two outputs",
    {"model": {"layers": layers((7, "sigmoid"), units=2)}},
    classes=[0, 1],
    loss={"name": "cross_entropy"},
    model={"layers": layers((7, "relu"), units=2)},
    optimizer=optimizer("sgd", 0.3),
)
case(
    "loss_cross_entropy_class_weights",
    "class_weights as a list: the batch's mean is weighted, divided by the sum of its rows' weights",
    without("loss", _divided_by_rows=True),
    classes=[0, 1, 2],
    loss={"name": "cross_entropy", "class_weights": [0.5, 1.0, 3.0]},
    model={"layers": layers((7, "tanh"), units=3)},
    optimizer=optimizer("sgd", 0.3),
)
case(
    "loss_cross_entropy_balanced",
    "class_weights balanced: rows / (classes x rows of the class)",
    without("loss", class_weights=None),
    classes=[0, 1, 2],
    loss={"name": "cross_entropy", "class_weights": "balanced"},
    model={"layers": layers((7, "tanh"), units=3)},
    optimizer=optimizer("sgd", 0.3),
)
case(
    "loss_cross_entropy_labels",
    "labels 2, 10 and 9: classes in numeric order, not in the order of their digits or of the file",
    without("data", _labels_as_text=True),
    classes=[2, 9, 10],
    loss={"name": "cross_entropy"},
    model={"layers": layers((7, "tanh"), units=3)},
    optimizer=optimizer("sgd", 0.3),
)
case(
    "loss_huber_delta",
    "huber with delta 0.5, errors on both sides of delta",
    without("loss", delta=1.0),
    loss={"name": "huber", "delta": 0.5},
    model={"layers": layers((7, "silu"))},
    optimizer=optimizer("sgd", 0.2),
)

# Batches.
case(
    "batch_full",
    "batch_size above the rows: one full batch an epoch",
    without("train", batch_size=16),
    train={"epochs": 8, "batch_size": 100},
    optimizer=optimizer("sgd", 0.2),
)
case(
    "batch_of_one_row",
    "batch_size 1",
    without("train", batch_size=2),
    rows=30,
    train={"epochs": 5, "batch_size": 1},
    optimizer=optimizer("sgd", 0.02),
)


# ---- data and start weights -----------------------------------------------------------------------------------------


def make_data(name, spec):
    """Columns of the file: features and targets, four decimals. Python's own generator stays the same for ever."""
    rng = random.Random(zlib.crc32(f"data of {name}".encode()))
    x = [[round(rng.gauss(0, 1), 4) for _ in range(spec["features"])] for _ in range(spec["rows"])]

    def surface():
        linear = [rng.gauss(0, 1) / math.sqrt(spec["features"]) for _ in range(spec["features"])]
        bend = [rng.gauss(0, 1) / math.sqrt(spec["features"]) for _ in range(spec["features"])]

        def value(row):
            return sum(a * v for a, v in zip(linear, row)) + math.sin(1.5 * sum(a * v for a, v in zip(bend, row)))

        return value

    if spec["classes"]:
        surfaces = [surface() for _ in spec["classes"]]
        # A bias for the first class, so that weights by class make a difference.
        scores = [[f(row) + 0.3 * rng.gauss(0, 1) + 0.7 * (i == 0) for i, f in enumerate(surfaces)] for row in x]
        y = [[spec["classes"][max(range(len(s)), key=s.__getitem__)]] for s in scores]
    else:
        surfaces = [surface() for _ in range(spec["outputs"])]
        y = [[round(spec["scale"] * (f(row) + spec["noise"] * rng.gauss(0, 1)), 4) for f in surfaces] for row in x]
    return x, y


def make_weights(name, spec):
    """Start weights in float32, by tensor name; biases and running statistics too, so that none stays unnoticed."""
    rng = random.Random(zlib.crc32(f"weights of {name}".encode()))
    weights, width = {}, spec["features"]

    def tensor(shape, draw):
        return numpy.array([draw() for _ in range(math.prod(shape))], dtype=numpy.float32).reshape(shape)

    for i, layer in enumerate(spec["run"]["model"]["layers"]):
        if layer["type"] == "dense":
            limit = 1.2 / math.sqrt(width)
            weights[f"layers.{i}.weight"] = tensor((layer["units"], width), lambda: rng.uniform(-limit, limit))
            if layer.get("bias", True):
                weights[f"layers.{i}.bias"] = tensor((layer["units"],), lambda: rng.uniform(-0.3, 0.3))
            width = layer["units"]
        else:
            weights[f"layers.{i}.weight"] = tensor((width,), lambda: rng.uniform(0.8, 1.2))
            weights[f"layers.{i}.bias"] = tensor((width,), lambda: rng.uniform(-0.2, 0.2))
            weights[f"layers.{i}.running_mean"] = tensor((width,), lambda: rng.uniform(-0.1, 0.1))
            weights[f"layers.{i}.running_var"] = tensor((width,), lambda: rng.uniform(0.7, 1.3))
    return weights


# ---- training -------------------------------------------------------------------------------------------------------

ACTIVATIONS = {
    "identity": lambda z: z,
    "exp": torch.exp,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "gelu": F.gelu,
    "silu": F.silu,
    "softplus": F.softplus,
    "softmax": lambda z: torch.softmax(z, dim=1),
}
INSIDE = {"cross_entropy": "softmax", "binary_cross_entropy": "sigmoid"}


def forward(run, weights, x):
    for i, layer in enumerate(run["model"]["layers"]):
        own = {key.rsplit(".", 1)[1]: value for key, value in weights.items() if key.startswith(f"layers.{i}.")}
        if layer["type"] == "batch_norm":
            if len(x) == 1 and run["model"].get("_one_row_as_a_batch"):
                x = own["bias"].expand_as(x)
                continue
            x = F.batch_norm(
                x,
                own["running_mean"],
                own["running_var"],
                own["weight"],
                own["bias"],
                training=len(x) > 1 and not run["model"].get("_running_statistics"),
                momentum=layer.get("momentum", 0.1),
                eps=layer.get("epsilon", 1e-5),
            )
            continue
        x = F.linear(x, own["weight"], own.get("bias"))
        name = layer.get("activation", "identity")
        last = i + 1 == len(run["model"]["layers"])
        inside = last and INSIDE.get(run["loss"]["name"]) == name
        if not inside or run["loss"].get("_output_twice"):
            x = ACTIVATIONS[name](x)
    return x


def loss_of(run, outputs, targets, class_weights):
    loss = run["loss"]
    if loss["name"] == "cross_entropy":
        if loss.get("_divided_by_rows"):
            each = F.cross_entropy(outputs, targets[:, 0].long(), reduction="none")
            return (each * class_weights[targets[:, 0].long()]).mean()
        return F.cross_entropy(outputs, targets[:, 0].long(), weight=class_weights)
    if run["data"]["task"] == "classification":
        targets = F.one_hot(targets[:, 0].long(), outputs.shape[1]).to(outputs.dtype)
    if loss.get("_sum_of_outputs"):
        return F.mse_loss(outputs, targets) * outputs.shape[1]
    return {
        "mse": F.mse_loss,
        "mae": F.l1_loss,
        "huber": lambda y, t: F.huber_loss(y, t, delta=loss.get("delta", 1.0)),
        "binary_cross_entropy": F.binary_cross_entropy_with_logits,
    }[loss["name"]](outputs, targets)


def make_optimizer(run, matrices, vectors):
    given = dict(run["optimizer"])
    name, rate = given.pop("name"), given.pop("learning_rate")
    names = {"epsilon": "eps"}
    betas = (given.pop("beta1", 0.9), given.pop("beta2", 0.999))
    given = {names.get(key, key): value for key, value in given.items() if key != "weight_decay"}
    if name in ("adam", "adamw"):
        given["betas"] = betas
    if name == "adamw":
        decay = run["optimizer"].get("weight_decay", 0.01)
        groups = [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
    else:
        groups = [{"params": matrices + vectors}]
    groups = [group for group in groups if group["params"]]
    kind = {"sgd": "SGD", "adagrad": "Adagrad", "rmsprop": "RMSprop", "adam": "Adam", "adamw": "AdamW"}[name]
    return getattr(torch.optim, kind)(groups, lr=rate, **given)


class Rates:
    """PyTorch's schedulers on an optimizer of their own: warm-up multiplies their rate and must not feed back."""

    def __init__(self, run, steps_per_epoch):
        self.schedule = run.get("schedule", {"name": "constant"})
        schedule, epochs = self.schedule, run["train"]["epochs"]
        self.dummy = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=run["optimizer"]["learning_rate"])
        kinds = torch.optim.lr_scheduler
        name = schedule["name"]
        if name == "constant":
            self.scheduler = None
        elif name == "step":
            self.scheduler = kinds.StepLR(self.dummy, schedule["every"], gamma=schedule.get("factor", 0.1))
        elif name == "exponential":
            self.scheduler = kinds.ExponentialLR(self.dummy, gamma=schedule["factor"])
        elif name == "cosine":
            length = schedule.get("epochs", epochs)
            self.scheduler = kinds.CosineAnnealingLR(self.dummy, length, eta_min=schedule.get("minimum", 0.0))
        elif name == "plateau":
            self.scheduler = kinds.ReduceLROnPlateau(
                self.dummy, factor=schedule.get("factor", 0.1), patience=schedule.get("patience", 10)
            )
        elif name == "one_cycle":
            total = epochs if schedule.get("_per_epoch") else epochs * steps_per_epoch
            self.scheduler = kinds.OneCycleLR(
                self.dummy, max_lr=run["optimizer"]["learning_rate"], total_steps=total, cycle_momentum=False
            )
        # Else PyTorch warns of schedulers stepping first.
        self.dummy.step()
        self.each_step = name == "one_cycle" and not schedule.get("_per_epoch")
        # PyTorch's scheduler may not be asked beyond its end.
        self.left = total - 1 if name == "one_cycle" else math.inf

    def rate(self, step):
        warmup = self.schedule.get("warmup_steps", 0)
        return self.dummy.param_groups[0]["lr"] * (min(1.0, (step + 1) / warmup) if warmup else 1.0)

    def advance(self, end_of_epoch, train_loss=None):
        if self.scheduler is None or end_of_epoch == self.each_step or self.left == 0:
            return
        self.left -= 1
        self.scheduler.step(*([train_loss] if self.schedule["name"] == "plateau" else []))


def train(run, x, y, start, dtype):
    """The weights after the last epoch, and each epoch's learning rate and training loss."""
    weights = {name: torch.from_numpy(value.copy()).to(dtype) for name, value in start.items()}
    trained = {name: value for name, value in weights.items() if "running" not in name}
    for value in trained.values():
        value.requires_grad_(True)
    matrices = [value for value in trained.values() if value.dim() == 2]
    vectors = [value for value in trained.values() if value.dim() == 1]

    x = torch.tensor(x, dtype=torch.float64).to(dtype)
    y = torch.tensor(y, dtype=torch.float64).to(dtype)
    class_weights = None
    if run["data"]["task"] != "regression":
        labels = sorted({int(v) for v in y[:, 0]}, key=str if run["data"].get("_labels_as_text") else None)
        y = torch.tensor([[labels.index(int(v))] for v in y[:, 0]]).to(dtype)
        asked = run["loss"].get("class_weights")
        if asked == "balanced":
            counts = torch.bincount(y[:, 0].long()).to(dtype)
            class_weights = len(y) / (len(counts) * counts)
        elif asked:
            class_weights = torch.tensor(asked, dtype=dtype)

    optimizer = make_optimizer(run, matrices, vectors)
    penalties = run.get("regularization", {})
    batch_size = run["train"]["batch_size"]
    rates = Rates(run, math.ceil(len(x) / batch_size))
    history = {"learning_rate": [], "train_loss": []}
    step = 0
    for _ in range(run["train"]["epochs"]):
        total = 0.0
        for first in range(0, len(x), batch_size):
            rows = slice(first, first + batch_size)
            loss = loss_of(run, forward(run, weights, x[rows]), y[rows], class_weights)
            total += loss.item() * len(x[rows])
            punished = matrices + (vectors if penalties.get("_on_vectors") else [])
            penalty = sum(penalties.get("l1", 0.0) * w.abs().sum() for w in punished)
            penalty = penalty + sum(penalties.get("l2", 0.0) / 2 * (w * w).sum() for w in punished)
            optimizer.zero_grad()
            if penalties.get("_penalty_unclipped"):
                loss.backward()
            else:
                (loss + penalty).backward()
            if penalties.get("clip_norm"):
                torch.nn.utils.clip_grad_norm_(list(trained.values()), penalties["clip_norm"])
            if penalties.get("clip_value"):
                torch.nn.utils.clip_grad_value_(list(trained.values()), penalties["clip_value"])
            if penalties.get("_penalty_unclipped"):
                penalty.backward()
            rate = rates.rate(step)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            step += 1
            rates.advance(end_of_epoch=False)
        history["learning_rate"].append(rate)
        history["train_loss"].append(total / len(x))
        rates.advance(end_of_epoch=True, train_loss=total / len(x))
    history["steps"] = step
    return {name: value.detach().numpy() for name, value in weights.items()}, history


def distance(got, expected):
    """The measure of the test; infinite where the tensors are not the same ones."""
    if got.keys() != expected.keys():
        return math.inf
    errors = []
    for name, want in expected.items():
        if got[name].shape != want.shape:
            return math.inf
        rms = math.sqrt((want**2).mean())
        errors.append(float(numpy.abs(got[name] - want).max() / max(rms, 1e-3)))
    return math.inf if any(math.isnan(e) for e in errors) else max(errors)


def overridden(run, changes):
    run = copy.deepcopy(run)
    for section, values in changes.items():
        merged = {**run.get(section, {}), **values}
        run[section] = {key: value for key, value in merged.items() if value is not None}
    return run


# ---- files ----------------------------------------------------------------------------------------------------------


def toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(v)}" for key, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(toml(v) for v in value) + "]"
    return json.dumps(value)


def run_file(spec):
    lines = [f"# {spec['description']}"]
    order = ["data", "model", "loss", "optimizer", "regularization", "schedule", "train"]
    for section in order:
        if section not in spec["run"]:
            continue
        lines += ([""] if len(lines) > 1 else []) + [f"[{section}]"]
        for key, value in spec["run"][section].items():
            if key == "layers":
                lines += ["layers = [", *(f"  {toml(layer)}," for layer in value), "]"]
            else:
                lines.append(f"{key} = {toml(value)}")
    return "\n".join(lines) + "\n"


def generate(name, spec):
    x, y = make_data(name, spec)
    start, run = make_weights(name, spec), spec["run"]
    if spec["classes"]:
        assert sorted({row[0] for row in y}) == sorted(spec["classes"]), f"{name}: a class has no row"
    expected, history = train(run, x, y, start, torch.float64)
    single, single_history = train(run, x, y, start, torch.float32)
    rounding = distance(single, expected)
    losses = zip(single_history["train_loss"], history["train_loss"])
    rounding = max(rounding, *(abs(got - want) / want for got, want in losses))

    changed = overridden(run, spec["without"])
    plain_start = make_weights(name, {**spec, "run": changed})
    plain_start |= {key: value for key, value in start.items() if key in plain_start}
    plain, _ = train(changed, x, y, plain_start, torch.float64)
    shows = distance(plain, expected)
    # Nothing learnt, nothing shown.
    moved = distance({key: value.astype(numpy.float64) for key, value in start.items()}, expected)
    print(f"{name:36} float32 {rounding:.1e}  without {shows:.1e}  moved {moved:.1e}")
    problems = []
    if not rounding <= FLOAT32_LIMIT:
        problems.append("its float32 run is too far from its float64 run")
    if not shows >= SHOWS:
        problems.append("it hardly differs from a run without its feature")
    if not moved >= 0.05 or not numpy.isfinite(history["train_loss"]).all():
        problems.append("it learns nothing")
    if run.get("schedule", {}).get("name") == "plateau":
        problems += plateau_margin(history["train_loss"])
    if problems:
        sys.exit(f"{name}: {'; '.join(problems)}")

    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    targets = run["data"]["target"]
    header = [f"f{i}" for i in range(spec["features"])] + (targets if isinstance(targets, list) else [targets])
    table = [header] + [[*row, *target] for row, target in zip(x, y)]
    (folder / "data.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in table))
    (folder / "run.toml").write_text(run_file(spec))
    save_file(start, folder / "init.safetensors")
    save_file(expected, folder / "expected.safetensors")
    meta = {
        "description": spec["description"],
        "rows": spec["rows"],
        "features": spec["features"],
        "steps": history["steps"],
        "tolerance": TOLERANCE,
        "tensor_tolerance": {},
        "learning_rate": history["learning_rate"],
        "train_loss": history["train_loss"],
    }
    (folder / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")


def plateau_margin(losses):
    """Each epoch must be clearly better than the best before it, or clearly not: float32 has to decide the same."""
    best, close = math.inf, []
    for loss in losses:
        bar = best * (1 - 1e-4)
        if best < math.inf and abs(loss / bar - 1) < 2e-3:
            close.append("an epoch's loss is too close to the best one")
        best = loss if loss < bar else best
    return close


if __name__ == "__main__":
    unknown = [name for name in sys.argv[1:] if name not in CASES]
    if unknown:
        sys.exit(f"no such case: {', '.join(unknown)}")
    for name in sys.argv[1:] or CASES:
        generate(name, CASES[name])
