"""Write sound to files: the only module that imports soundfile.

Only WAV with 16-bit samples is written. Reading recordings belongs here too, once a pipeline needs them.
"""

import io
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from audiogan.corpus.files import write_whole


def write(waveform: NDArray[np.floating], sample_rate: int, path: Path) -> None:
    """Write a WAV file of 16-bit samples; it appears complete or not at all.

    Args:
        waveform: `(channel, time)` in [-1, 1]; what lies outside is cut off at full scale.
        sample_rate: In Hz.
        path: The file to make; an existing one is replaced.

    Raises:
        OutputError: The place cannot be written.
    """
    assert waveform.ndim == 2, "waveform is (channel, time)"
    samples = np.asarray(waveform, dtype=np.float64).T  # soundfile cuts off at full scale
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate, subtype="PCM_16", format="WAV")
    write_whole(path, buffer.getvalue())
