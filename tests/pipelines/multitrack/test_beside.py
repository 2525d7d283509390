"""Two models of clips side by side, on the same draws."""

from pathlib import Path

import pytest
import torch

from audiogan.corpus import midi
from audiogan.errors import UsageError
from audiogan.pipelines.multitrack.beside import beside
from tests.pipelines.multitrack.test_evaluation import CONFIG, song, untrained


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of songs."""
    folder = tmp_path_factory.mktemp("songs")
    for seed in range(5):
        midi.write(song(seed), folder / f"{seed}.mid")
    return folder


def test_a_model_beside_itself_is_no_better(songs: Path) -> None:
    model = untrained(songs)
    told: list[tuple[int, int]] = []
    found = beside(model, model, reference=songs, count=16, progress=lambda done, of: told.append((done, of)))
    assert {(row.embedding, row.metric) for row in found.rows} == {
        ("score_desc", "kernel distance"),
        ("roll_net", "kernel distance"),
    }
    assert all((row.difference, row.better) == (0.0, "neither") for row in found.rows)
    assert (found.n_generated, found.n_real, found.items) == (16, 15, "clips")
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_clips_of_another_shape_are_not_compared(songs: Path) -> None:
    model = untrained(songs)
    torch.manual_seed(0)
    longer = untrained(songs)
    object.__setattr__(longer, "config", CONFIG.model_copy(update={"n_bars": 4}))
    with pytest.raises(UsageError, match="clips of different shape; expected the same grid and tracks"):
        beside(model, longer, reference=songs, count=8)
