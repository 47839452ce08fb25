"""Work that reports its progress."""

from lerf.run.report import Silent, reported


class Heard(Silent):
    def __init__(self):
        self.calls = []

    def begin(self, stage, total):
        self.calls.append(("begin", stage, total))

    def advance(self, done, facts=None):
        self.calls.append(("advance", done))

    def end(self, seconds):
        self.calls.append(("end", seconds >= 0))


def test_begin_and_end_stand_around_the_work():
    heard = Heard()
    with reported(heard, "photos", 2) as progress:
        progress(1, 2)
        progress(2, 2)
    assert heard.calls == [("begin", "photos", 2), ("advance", 1), ("advance", 2), ("end", True)]
