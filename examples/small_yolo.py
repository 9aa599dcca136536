"""A small YOLO of your own: SiLU, two levels, distances with DFL; trained on thermal frames of any dataset.

    python examples/small_yolo.py annotations/ir-train.json --steps 400 --out yolo

Nothing of it knows the toolkit's networks: it stands for the detector that you bring. It leaves yolo.keras.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from models.preprocess import batch
from models.readers import read_dataset

HEIGHT, WIDTH, STRIDES, BINS = 128, 160, (4, 8), 8


def build(classes: int) -> keras.Model:
    """Return the network; its outputs are [1, h, w, 4 BINS + classes] for each stride."""

    def conv(x, filters, stride=1):
        x = layers.Conv2D(filters, 3, stride, padding="same", use_bias=False)(x)
        return layers.Activation("silu")(layers.BatchNormalization()(x))

    image = keras.Input((HEIGHT, WIDTH, 1), name="image")
    fine = conv(conv(conv(image, 16, 2), 32, 2), 32)
    coarse = conv(conv(fine, 64, 2), 64)
    fine = conv(
        layers.Concatenate()([fine, layers.UpSampling2D(interpolation="bilinear")(layers.Conv2D(32, 1)(coarse))]), 32
    )
    # Objects are rare: every class begins at 1 %.
    first = keras.initializers.Constant(np.r_[np.zeros(4 * BINS), np.full(classes, -4.6)])
    heads = {
        name: layers.Conv2D(4 * BINS + classes, 1, bias_initializer=first, name=name)(level)
        for name, level in (("p2", fine), ("p3", coarse))
    }
    return keras.Model(image, heads)


def targets(objects, classes: int) -> list[np.ndarray]:
    """Return for each level [h, w, 4 + classes]: distances in strides and the class of the cells inside an object."""
    made = [np.zeros((HEIGHT // s, WIDTH // s, 4 + classes), np.float32) for s in STRIDES]
    for label, (x0, y0, x1, y1) in objects:
        level = int(max(x1 - x0, y1 - y0) > 24)
        stride = STRIDES[level]
        centre = (y0 + y1) / 2 / stride, (x0 + x1) / 2 / stride
        for row, column in np.ndindex(made[level].shape[:2]):
            x, y = (column + 0.5) * stride, (row + 0.5) * stride
            near = max(abs(row + 0.5 - centre[0]), abs(column + 0.5 - centre[1])) <= 1
            if near and x0 < x < x1 and y0 < y < y1:
                distance = np.array([x - x0, y - y0, x1 - x, y1 - y]) / stride
                made[level][row, column, :4] = np.clip(distance, 0, BINS - 1.01)
                made[level][row, column, 4 + label] = 1
    return made


def loss(found: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of the classes over all cells, and DFL (Li et al. 2020) over those of an object."""
    scores = tf.nn.sigmoid_cross_entropy_with_logits(wanted[..., 4:], found[..., 4 * BINS :])
    chance = tf.sigmoid(found[..., 4 * BINS :])
    focus = tf.stop_gradient(tf.abs(wanted[..., 4:] - chance) ** 2)  # focal: easy background counts little
    inside = tf.reduce_max(wanted[..., 4:], axis=-1)
    count = tf.reduce_sum(inside) + 1.0
    bins = tf.reshape(found[..., : 4 * BINS], (*tf.unstack(tf.shape(found)[:3]), 4, BINS))
    below = tf.floor(wanted[..., :4])
    share = wanted[..., :4] - below
    two_hot = tf.one_hot(tf.cast(below, tf.int32), BINS) * (1 - share)[..., None]
    two_hot += tf.one_hot(tf.cast(below, tf.int32) + 1, BINS) * share[..., None]
    sides = tf.reduce_sum(tf.nn.softmax_cross_entropy_with_logits(two_hot, bins), axis=-1)
    return (4 * tf.reduce_sum(focus * scores) + tf.reduce_sum(inside * sides) / 4) / count


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--frames", type=int, default=1200)
    parser.add_argument("--out", type=Path, default=Path("yolo"))
    given = parser.parse_args()
    keras.utils.set_random_seed(1)
    captures = read_dataset(given.dataset)[0].labelled
    chosen = np.linspace(0, len(captures) - 1, min(given.frames, len(captures))).astype(int)
    frames = batch(captures, chosen.tolist(), HEIGHT, WIDTH)
    classes = len(captures.classes)
    wanted = [
        targets([(o.object_class, t.to_network(o.box)) for o in captures.captures[i].objects if not o.ignore], classes)
        for i, t in zip(chosen, frames.transforms, strict=True)
    ]
    levels = [np.stack(level) for level in zip(*wanted, strict=True)]
    model = build(classes)
    optimizer = keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(2e-3, given.steps), weight_decay=1e-4)

    @tf.function
    def step(images, fine, coarse):
        with tf.GradientTape() as tape:
            found = model(images, training=True)
            total = loss(found["p2"], fine) + loss(found["p3"], coarse)
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(total, variables), variables, strict=True))
        return total

    random = np.random.default_rng(1)
    for number in range(given.steps):
        pick = random.integers(0, len(chosen), 16)
        images, truth = frames.lwir[pick] / np.float32(255), [level[pick] for level in levels]
        if random.random() < 0.5:  # mirrored: left and right change places
            images = images[:, :, ::-1]
            truth = [t[:, :, ::-1][..., [2, 1, 0, 3, *range(4, 4 + classes)]] for t in truth]
        total = step(tf.constant(images), *map(tf.constant, truth))
        if number % 50 == 0 or number == given.steps - 1:
            print(f"step {number}: loss {float(total):.3f}", flush=True)
    given.out.mkdir(parents=True, exist_ok=True)
    model.save(given.out / "yolo.keras")
    print(f"{given.out / 'yolo.keras'}: classes {','.join(captures.classes)}")


if __name__ == "__main__":
    main()
