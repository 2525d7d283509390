"""Work spread by Ray gives the answers that it gives here."""

import os
import signal
import sys
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from audiogan.corpus.spreading import by_ray, spread_of
from audiogan.errors import CorpusError, UnsupportedError


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UnsupportedError, match=r"corpus.spread_by: ray; expected Ray: pip install 'audiogan\[ray\]'"):
        list(by_ray(abs, [1]))


def test_a_cluster_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ray(ModuleType):
        cloudpickle = SimpleNamespace(dumps=bytes)
        is_initialized = staticmethod(lambda: False)

        @staticmethod
        def init(**_: object) -> None:
            raise ConnectionError

    monkeypatch.setitem(sys.modules, "ray", Ray("ray"))
    monkeypatch.setitem(sys.modules, "ray.data", ModuleType("ray.data"))
    monkeypatch.setenv("RAY_ADDRESS", "far:6379")
    with pytest.raises(UnsupportedError, match="no cluster answers at far:6379; expected RAY_ADDRESS of one"):
        list(by_ray(abs, []))


def test_names_of_recipes() -> None:
    assert spread_of("processes") is None
    assert spread_of("ray") is by_ray


def _work(number: int, folder: Path, deadly: int = -1) -> tuple[int, str]:
    if number == deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    if number < 0:
        raise CorpusError(f"{number}: below 0", "bad_header")
    (folder / str(number)).write_text("done")
    return number * number, "square"


@pytest.mark.filterwarnings("default")  # Ray's own
def test_ray_does_all_work_tells_refusals_and_outlives_a_killer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=1, include_dashboard=False, logging_level="error", log_to_driver=False)
    try:
        work = partial(_work, folder=tmp_path)
        assert sorted(by_ray(work, range(5))) == [(n, (n * n, "square")) for n in range(5)]
        assert len(list(tmp_path.iterdir())) == 5
        assert list(by_ray(work, [])) == []
        with pytest.raises(CorpusError, match="-7: below 0") as raised:
            list(by_ray(work, [-7]))
        assert raised.value.reason == "bad_header"
        left = dict(by_ray(partial(work, deadly=1), range(5)))
        assert sorted(left) == [0, 2, 3, 4], "what kills is not tried for ever, and takes no other with it"
    finally:
        ray.shutdown()
