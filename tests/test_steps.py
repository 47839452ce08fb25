"""Work in steps: the result of all of them, and giving up early."""

from lerf.steps import finish


def counted(done: list[int], count: int):
    for number in range(count):
        done.append(number)
        yield
    return sum(done)


def test_the_result_is_what_the_steps_return() -> None:
    assert finish(counted([], 5)) == 10
    assert finish(counted([], 0)) == 0


def test_steps_that_nobody_goes_on_with_are_not_taken() -> None:
    done: list[int] = []
    steps = counted(done, 5)
    next(steps), next(steps)
    steps.close()
    assert done == [0, 1]


def test_steps_within_steps_give_their_result() -> None:
    def outer():
        first = yield from counted([], 3)
        yield
        return first + 1

    assert finish(outer()) == 4
    assert sum(1 for _ in outer()) == 4
