"""How the network that hears clips was trained: on real clips, and on such with a foreign track or shuffled bars.

`python -m audiogan.pipelines.multitrack.roll_net_training RUN OUT` takes the folder of a run, whose songs it prepares
on the grid of comparison, and a folder for the weights. Nobody labels anything: a track is taken from another song,
bars are shuffled, all is transposed, and the key is the one that a clip's own pitch classes tell. Test songs are
counted once, at the end, and decide nothing.
"""

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audiogan import recipe as recipes
from audiogan.adversarial.runtime import seeded
from audiogan.corpus.score import Score
from audiogan.evaluation import pinned
from audiogan.pipelines.multitrack.config import Config, CorpusConfig
from audiogan.pipelines.multitrack.dataset import open_dataset, prepare
from audiogan.pipelines.multitrack.grid import ClipGrid, NoteTable, tabulate, tally
from audiogan.pipelines.multitrack.held_out import clip_grid, clips_of, fine
from audiogan.pipelines.multitrack.roll_net import NAME, RollNet, drum_tracks, rolls_of
from audiogan.representation.tonality import key_of
from audiogan.version import __version__

BATCH = 64
LEARNING_RATE, WEIGHT_DECAY = 2e-3, 1e-2
LARGEST_MOVE = 6
NO_KEY = -1
EVERY_BATCHES = 20

_log = logging.getLogger(__name__)


class Lesson(NamedTuple):
    """Notes of clips, the song of each, and its key: tonic, 12 more for minor, -1 for none."""

    table: NoteTable
    songs: NDArray[np.int64]
    keys: NDArray[np.int64]


class Riddle(NamedTuple):
    """Clips with their answers.

    Args:
        roll: `(batch, track, step, 2 * 128)`.
        belongs, in_order: `(batch,)` 0 or 1.
        key: `(batch,)` 0 to 23, or -1 where nothing tells it.
    """

    roll: Tensor
    belongs: Tensor
    in_order: Tensor
    key: Tensor


def lesson(clips: Sequence[Score], songs: Sequence[int], grid: ClipGrid) -> Lesson:
    """Put clips and their songs on the grid, and find the keys."""
    table = tabulate(clips, grid)
    pitched = ~table.is_drum
    lengths = (table.end - table.start)[pitched].astype(np.float64)
    weights = tally((table.n_clips, 12), table.clip[pitched], table.pitch[pitched] % 12, weights=lengths)
    found = [key_of(one) for one in weights]
    keys = [NO_KEY if key is None else key[0] + 12 * key[1] for key in found]
    return Lesson(table, np.asarray(songs, dtype=np.int64), np.array(keys, dtype=np.int64))


# ---- riddles


def riddle(taught: Lesson, chosen: NDArray[np.int64], rng: np.random.Generator) -> Riddle:
    """Draw riddles: half of the clips get a foreign track, half get their bars shuffled, all are transposed.

    Args:
        taught: Clips.
        chosen: `(batch,)` which of them.
        rng: Decides all.
    """
    grid = taught.table.grid
    roll = rolls_of(taught.table, chosen)
    others = rng.integers(0, taught.table.n_clips, len(chosen))
    foreign = rolls_of(taught.table, others)
    swaps = rng.random(len(chosen)) < 0.5
    swaps &= taught.songs[chosen] != taught.songs[others]
    belongs = np.ones(len(chosen), dtype=np.float32)
    in_order = np.ones(len(chosen), dtype=np.float32)
    key = taught.keys[chosen].copy()
    for place in range(len(chosen)):
        if swaps[place]:
            belongs[place] = float(not _replace_track(roll[place], foreign[place], rng))
        if grid.n_bars > 1 and rng.random() < 0.5:
            in_order[place] = float(not _shuffle_bars(roll[place], grid.n_bars, rng))
        by = int(rng.integers(-LARGEST_MOVE + 1, LARGEST_MOVE + 1))
        roll[place] = transposed(roll[place], by, grid)
        if key[place] >= 0:
            key[place] = 12 * (key[place] // 12) + (key[place] + by) % 12
    key[belongs == 0] = NO_KEY  # two keys, perhaps
    planes = torch.from_numpy(roll).flatten(3).float()
    return Riddle(planes, torch.from_numpy(belongs), torch.from_numpy(in_order), torch.from_numpy(key))


def _replace_track(roll: NDArray[np.int8], foreign: NDArray[np.int8], rng: np.random.Generator) -> bool:
    """Replace a track that sounds in both clips, in place; tell whether that changed anything."""
    sounds = roll.any(axis=(1, 2, 3))
    both = np.flatnonzero(sounds & foreign.any(axis=(1, 2, 3)))
    if sounds.sum() < 2 or not len(both):
        return False
    track = int(rng.choice(both))
    changed = bool((roll[track] != foreign[track]).any())
    roll[track] = foreign[track]
    return changed


def _shuffle_bars(roll: NDArray[np.int8], n_bars: int, rng: np.random.Generator) -> bool:
    """Put the bars of all tracks into another order, in place; tell whether that changed anything."""
    n_tracks, n_steps = roll.shape[:2]
    bars = roll.reshape(n_tracks, n_bars, n_steps // n_bars, *roll.shape[2:])
    moved = bars[:, rng.permutation(n_bars)].reshape(roll.shape)
    changed = bool((moved != roll).any())
    roll[:] = moved
    return changed


def transposed(roll: NDArray[np.int8], by: int, grid: ClipGrid) -> NDArray[np.int8]:
    """Return a roll `(track, step, 2, 128)`, pitched tracks moved by semitones; what leaves the range is lost."""
    moved = np.zeros_like(roll)
    low, high = max(0, by), min(128, 128 + by)
    moved[..., low:high] = roll[..., low - by : high - by]
    for track in grid.drum_tracks:
        moved[track] = roll[track]
    return moved


# ---- training


def train(taught: Lesson, *, epochs: int, seed: int = 0) -> RollNet:
    """Train a network.

    Args:
        taught: Training clips.
        epochs: Times that each clip is heard.
        seed: Of first weights, order and riddles.
    """
    rng, grid = np.random.default_rng(seed), taught.table.grid
    n_clips = taught.table.n_clips
    with seeded(seed, NAME):
        network = RollNet()
        n_batches = max(1, n_clips // BATCH)
        optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=epochs * n_batches)
        for epoch in range(epochs):
            order = rng.permutation(n_clips)
            for number in range(n_batches):
                asked = riddle(taught, order[number * BATCH : (number + 1) * BATCH], rng)
                loss = loss_of(network(asked.roll, drum_tracks(grid), grid.beats_per_bar), asked)
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimiser.step()
                schedule.step()
                if number % EVERY_BATCHES == 0:
                    _log.info("epoch %d batch %d of %d: %.3f", epoch, number, n_batches, float(loss.detach()))
    return network.eval()


def loss_of(answers: tuple[Tensor, Tensor, Tensor], asked: Riddle) -> Tensor:
    """Return the loss of answers to riddles: 2.97 for one who knows nothing."""
    belongs, in_order, key = answers
    two = nn.functional.binary_cross_entropy_with_logits
    loss = two(belongs, asked.belongs) + two(in_order, asked.in_order)
    if bool((asked.key >= 0).any()):
        loss = loss + 0.5 * nn.functional.cross_entropy(key, asked.key, ignore_index=NO_KEY)
    return loss


@torch.no_grad()
def accuracy(network: RollNet, asked: Lesson, *, seed: int = 0) -> dict[str, float]:
    """Return shares of right answers to riddles of each clip, and the mean of both kinds where there are two."""
    network.eval()
    rng, grid = np.random.default_rng(seed), asked.table.grid
    rows: list[Tensor] = []
    for some in np.split(np.arange(asked.table.n_clips), range(BATCH, asked.table.n_clips, BATCH)):
        one = riddle(asked, some, rng)
        belongs, in_order, key = network(one.roll, drum_tracks(grid), grid.beats_per_bar)
        found = [(belongs > 0).float(), (in_order > 0).float(), key.argmax(dim=1).float()]
        rows.append(torch.stack([*found, one.belongs, one.in_order, one.key.float()], dim=1))
    table = torch.cat(rows).double().numpy()
    right = table[:, :3] == table[:, 3:]
    told = table[:, 5] >= 0
    shares = {name: _balanced(right[:, i], table[:, 3 + i]) for i, name in enumerate(("belongs", "in_order"))}
    return shares | {"key": round(float(right[told, 2].mean()), 4) if told.any() else 0.0}


def _balanced(right: NDArray[np.bool_], answer: NDArray[np.float64]) -> float:
    """Mean over the answers of how often each was found; chance is a half."""
    return round(float(np.mean([right[answer == kind].mean() for kind in np.unique(answer)])), 4)


def card_of(network: RollNet, lessons: Mapping[str, Lesson], **facts: object) -> dict[str, object]:
    """Return what is told of a trained network.

    Args:
        network: Trained on the first of the lessons.
        lessons: By split: `train`, `valid`, `test`.
        facts: What else is to be told.
    """
    return {
        "what": "hears clips: do the tracks belong together, are the bars in order, which key; 128 features",
        "licence": "Apache-2.0",
        "n_parameters": sum(parameter.numel() for parameter in network.parameters()),
        "n_clips": {split: taught.table.n_clips for split, taught in lessons.items()},
        "n_songs": {split: len(set(taught.songs.tolist())) for split, taught in lessons.items()},
        "accuracy": {split: accuracy(network, lessons[split]) for split in ("valid", "test")},
        "accuracy_means": "belongs and in_order: mean over both answers, chance is 0.5; key: chance is 1 in 24",
        "version": __version__,
        **facts,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Train on the command line and write the weights with their card."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path, help="folder of a run, with its recipe.yaml")
    parser.add_argument("out", type=Path, help="folder for the weights")
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    recipe = recipes.read(chosen.run / "recipe.yaml")
    corpus, config = CorpusConfig.model_validate(recipe["corpus"]), Config.model_validate(recipe["model"])
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        prepare(corpus, fine(config), Path(folder))
        lessons, songs = lessons_of(Path(folder), corpus, config), learnt_from(Path(folder))
    begin = time.process_time()
    network = train(lessons["train"], epochs=chosen.epochs, seed=chosen.seed)
    facts = {
        "epochs": chosen.epochs,
        "seed": chosen.seed,
        "cpu_seconds": round(time.process_time() - begin),
        "learnt_from": songs,
    }
    _log.info("%s", pinned.save(NAME, network, card_of(network, lessons, **facts), chosen.out))


def learnt_from(cache: Path) -> list[dict[str, str]]:
    """Return name, hash, licence and origin of the training songs of a prepared corpus."""
    lines = (cache / "index.jsonl").read_text(encoding="ascii").splitlines()
    entries = [entry for entry in (json.loads(line).get("entry") for line in lines) if entry is not None]
    return [
        {"name": Path(entry["path"]).name, **{name: entry[name] for name in ("sha256", "licence", "origin")}}
        for entry in entries
        if entry["split"] == "train"
    ]


def lessons_of(cache: Path, corpus: CorpusConfig, config: Config) -> dict[str, Lesson]:
    """Open all splits of a corpus prepared on the grid of comparison."""
    lessons = {}
    for split in ("train", "valid", "test"):
        dataset = open_dataset(cache, fine(config), corpus, split)
        lessons[split] = lesson(*clips_of(dataset, len(dataset)), clip_grid(config))
    return lessons


if __name__ == "__main__":
    main()
