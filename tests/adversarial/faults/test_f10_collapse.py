"""F10: mode collapse. It is told within two scores, the best model from before is kept, and on wish the run stops."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from audiogan.adversarial.config import Stopped
from audiogan.adversarial.scoring import ScoreConfig, Standing
from audiogan.evaluation.quick import spread
from tests.adversarial.test_scoring import counting


def vary(values: list[float]) -> Callable[[int], dict[str, float]]:
    return lambda step: {"distance": 1.0, "variety": values[step - 1]}


def test_a_collapse_is_told_after_two_scores(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    values = [0.9, 0.1, 0.9, 0.9, 0.1, 0.2, 0.1, 0.1, 0.1, 0.1]
    ended = counting(tmp_path, vary(values)).run()
    assert (ended.step, ended.exit_code, ended.warnings) == (10, 0, ("collapsed",))
    assert caplog.text.count("mode collapse") == 1
    assert "step 6: mode collapse: fakes vary 0.20 times as much as reals" in caplog.text


def test_a_collapse_can_stop_the_run_with_exit_code_4(tmp_path: Path) -> None:
    trained = counting(tmp_path, vary([0.9, 0.1, 0.1, *[0.9] * 7]), score={"on_collapse": "stop"})
    ended = trained.run()
    assert ended == Stopped(3, tmp_path / "checkpoints" / "step-00000003", 4, "collapsed", ("collapsed",))
    assert ended.checkpoint.is_dir()
    assert trained.saver.take_best() == 1


def test_fakes_that_are_alike_at_the_beginning_are_no_collapse_but_later_they_are(tmp_path: Path) -> None:
    begun = counting(tmp_path / "begun", vary([0.0, 0.1, 0.3, *[0.9] * 7]), score={"on_collapse": "stop"})
    assert begun.run().step == 10
    constant = counting(tmp_path / "constant", vary([0.0] * 10), score={"on_collapse": "stop"})
    assert (constant.run().step, constant.standing.n_collapsed) == (4, 2)


# ---- with samples instead of figures


def ring(n_modes: int, seed: int, n_samples: int = 64) -> np.ndarray:
    """Samples near the first so many of eight points on a circle, `(n_samples, 2)`."""
    chance = np.random.default_rng(seed)
    angle = chance.integers(0, n_modes, n_samples) * (2.0 * np.pi / 8)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.02 * chance.standard_normal((n_samples, 2))


def alarms(samples: Callable[[int], np.ndarray]) -> list[int]:
    """Return at which of ten scores a run that makes such samples is told that it has collapsed."""
    standing = Standing(ScoreConfig(every=0.1, least_steps=1), 0.0, 10)
    told = []
    for step in range(1, 11):
        variety = spread(samples(step)) / spread(ring(8, seed=1000 + step))
        if any("mode collapse" in news for news in standing.take(step, {"distance": 1.0, "variety": variety}).news):
            told.append(step)
    return told


def healthy_until(step: int, collapsed: np.ndarray) -> Callable[[int], np.ndarray]:
    return lambda now: ring(8, seed=now) if now < step else collapsed


@pytest.mark.parametrize("collapsed", [np.ones((64, 2)), ring(1, seed=3)], ids=["constant", "one of eight modes"])
def test_it_is_told_at_the_second_score_after_it_happened(collapsed: np.ndarray) -> None:
    assert alarms(healthy_until(5, collapsed)) == [6]


@pytest.mark.parametrize("seed", range(10))
def test_a_healthy_run_raises_no_alarm_also_where_two_modes_are_missing(seed: int) -> None:
    assert alarms(lambda step: ring(8, seed=100 * seed + step)) == []
    assert alarms(lambda step: ring(6, seed=100 * seed + step)) == []
