"""What is said while a person waits."""

import time

from lskd_nmt.progress import Progress, waiting


def test_progress_counts_what_was_there_and_times_what_is_new():
    now, said = [0.0], []
    progress = Progress(1000, "tokens", said.append, lambda: now[0])
    progress.skip(400)
    for now[0] in (5.0, 10.0, 12.0, 25.0):
        progress.add(100)
    assert said == [
        "600 of 1,000 tokens, 20 a second, 0.3 minutes left",
        "800 of 1,000 tokens, 16 a second, 0.2 minutes left",
    ]
    progress.add(200)
    assert said[-1].startswith("1,000 of 1,000 tokens") and said[-1].endswith("0.0 minutes left")


def test_work_that_cannot_tell_how_far_it_is_is_heard_of():
    said = []
    with waiting("learning", said.append, seconds=0.01):
        time.sleep(0.1)
    count = len(said)
    time.sleep(0.03)
    assert 2 <= count == len(said) and said[0] == "learning: 0 seconds so far"
