"""What a recipe says about training, and what a training run says when it ends."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from audiogan.adversarial.budget import parse_budget
from audiogan.adversarial.ema import AveragesConfig
from audiogan.adversarial.runtime import RuntimeConfig
from audiogan.adversarial.scoring import ScoreConfig


class TrainConfig(BaseModel):
    """How long, how much at a time, and how often to save."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    budget: str = Field(default="20000 steps", description="`N steps`, `N examples` or `N minutes`.")
    batch_size: int = Field(default=16, ge=1, description="Examples per move over all processes.")
    seed: int = Field(default=0, ge=0, description="Decides every random draw of the run.")
    checkpoint_minutes: float | None = Field(
        default=5.0, gt=0.0, description="Save when so long has passed; null for never."
    )
    checkpoint_steps: int | None = Field(default=None, ge=1, description="Save every so many steps; null for never.")
    keep: int = Field(default=3, ge=1, description="Newest checkpoints to keep, besides the best.")
    window: int = Field(default=50, ge=1, description="Steps per line of the record.")
    workers: int = Field(
        default=0, ge=0, description="Processes that fetch batches; 0 fetches in the training process."
    )
    tensorboard: bool = Field(default=True, description="Whether to write TensorBoard event files.")
    averages: AveragesConfig = Field(default=AveragesConfig(), description="Memory of the averaged modules.")
    score: ScoreConfig = Field(default=ScoreConfig(), description="Scores on the way, the best model, when to stop.")
    rollbacks: int = Field(
        default=3, ge=0, description="Times to go back to the last checkpoint, with smaller steps, after divergence."
    )
    runtime: RuntimeConfig = Field(default=RuntimeConfig(), description="Device, threads, precision.")

    @field_validator("budget")
    @classmethod
    def _check_budget(cls, value: str) -> str:
        parse_budget(value)
        return value


@dataclass(frozen=True)
class Finished:
    """Training is over.

    Args:
        step: Steps done.
        checkpoint: The last checkpoint.
        reason: `budget` when all of it is spent, `plateau` when nothing better came for as long as patience lasts.
        warnings: Alarms that are on at the end: `collapsed`, `overfitting`.
    """

    step: int
    checkpoint: Path
    exit_code: int = 0
    reason: str = "budget"
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stopped:
    """A signal or a collapse ended the run; all is saved.

    Args:
        step: Steps done.
        checkpoint: The last checkpoint.
        exit_code: 143 after SIGTERM, 130 after SIGINT, 4 after a collapse.
        reason: `signal` or `collapsed`.
        warnings: Alarms that are on.
    """

    step: int
    checkpoint: Path
    exit_code: int
    reason: str = "signal"
    warnings: tuple[str, ...] = ()
