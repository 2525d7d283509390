"""F15: killed while results are written. Nothing partial lies under a final name: song, sound, archive or model."""

import hashlib
import os
import signal
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from audiogan.adversarial.model import load_model, save_model
from audiogan.corpus import audio, midi
from audiogan.corpus.files import write_whole
from audiogan.errors import CheckpointError
from tests.adversarial.faults import killing
from tests.conftest import make_score, make_tone

CONFIG = "config.json"


def write_midi(folder: Path) -> None:
    midi.write(make_score(seed=1), folder / "song.mid")


def write_wav(folder: Path) -> None:
    audio.write(make_tone()[None], 16000, folder / "tone.wav")


def write_zip(folder: Path) -> None:
    staged = folder / ".archive"
    with zipfile.ZipFile(staged, "w") as archive:
        archive.writestr(zipfile.ZipInfo("song"), bytes(5000))  # without the time
    write_whole(folder / "songs.zip", staged.read_bytes())


def write_model(folder: Path) -> None:
    module = nn.Linear(64, 64)
    nn.init.constant_(module.weight, 1.0)
    nn.init.constant_(module.bias, 2.0)
    save_model(folder / "model", {"generator": module}, {"size": 64})


def dying(write: Callable[[Path], None], folder: Path, call: int) -> Callable[[], int]:
    """Return work that writes into a folder and dies at its `call`-th touch of the disk, a file half written."""

    def work() -> int:
        left = [call]

        def die_when_due(*_: object) -> None:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        def half_then_sync(descriptor: int) -> None:
            size = os.fstat(descriptor).st_size
            left[0] -= 1
            if left[0] == 0:
                if size > 1 and not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                    os.ftruncate(descriptor, size // 2)
                os.kill(os.getpid(), signal.SIGKILL)

        os.fsync = half_then_sync
        for owner, name in ((os, "replace"), (Path, "replace"), (Path, "rename"), (os, "rename")):
            setattr(owner, name, before(getattr(owner, name), die_when_due))
        write(folder)
        return 0

    return work


def before(whole: Callable[..., object], first: Callable[[], None]) -> Callable[..., object]:
    def both(*given: object, **options: object) -> object:
        first()
        return whole(*given, **options)

    return both


def contents(folder: Path) -> dict[str, bytes]:
    """Every file under a final name; what begins with a dot is nobody's result."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("write", [write_midi, write_wav, write_zip, write_model])
def test_a_file_has_its_name_when_it_is_whole(tmp_path: Path, write: Callable[[Path], None]) -> None:
    (tmp_path / "whole").mkdir()
    write(tmp_path / "whole")
    whole = contents(tmp_path / "whole")
    ends, call, folder = [], 0, tmp_path
    while not ends or ends[-1] == -signal.SIGKILL:
        call += 1
        folder = tmp_path / str(call)
        folder.mkdir()
        ends.append(killing.end(killing.fork(dying(write, folder, call))))
        assert contents(folder).items() <= whole.items(), "what is there is whole"
    assert ends[-1] == 0
    assert len(ends) >= 3, "killed at every touch of the disk"
    assert contents(folder) == whole


def test_a_model_that_was_being_replaced_is_the_old_the_new_or_refused_but_never_a_mixture(tmp_path: Path) -> None:
    def write(value: float) -> Callable[[Path], None]:
        def write_one(folder: Path) -> None:
            module = nn.Linear(8, 8)
            nn.init.constant_(module.weight, value)
            nn.init.constant_(module.bias, value)
            save_model(folder, {"generator": module}, {"value": value})

        return write_one

    for call in range(1, 9):
        folder = tmp_path / str(call)
        write(1.0)(folder)
        killing.end(killing.fork(dying(write(2.0), folder, call)))
        if hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() not in (folder / CONFIG).read_text():
            with pytest.raises(CheckpointError, match="does not match the sum in config.json"):
                load_model(folder)
            write(2.0)(folder)  # the run writes it again when it is resumed
        tensors, config = load_model(folder)
        assert torch.equal(tensors["generator"]["weight"].unique(), torch.tensor([config["value"]]).half())
