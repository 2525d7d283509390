"""The benchmark of killed runs counts rightly, also a run that is not exact."""

import signal

from tests.benchmarks.kills import Row, row_of, table


def test_figures_and_table() -> None:
    killed, lucky = -signal.SIGKILL, 0
    found = [
        {"ends": [killed, killed, lucky], "in_save": 1, "lost": [3, 6]},
        {"ends": [lucky, lucky], "in_save": 0, "lost": []},
    ]
    row = row_of("slow disk", found, [True, False])
    assert row == Row("slow disk", runs=2, exact=1, kills=2, in_saves=1, lost_steps=4.5)
    assert table([row]).splitlines()[-1] == "| slow disk | 2 | 1 | 2 | 1 | 4.5 |"
