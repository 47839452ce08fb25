"""The fake GPU refuses what a GPU refuses, and counts what makes its host wait."""

import pytest
import torch
from fake_gpu import LEDGER, SUPPORTED, fake_gpu, held

from lerf.devices import free_bytes, in_parts, resident_bytes, upload
from lerf.errors import is_out_of_memory
from lerf.geometry.rays import rays_at_once

pytestmark = pytest.mark.skipif(not SUPPORTED, reason="this torch knows no devices of Python's own")


def test_tensors_of_both_devices_do_not_meet():
    with fake_gpu():
        there, here = torch.ones(3, device="cuda"), torch.ones(3)
        assert there.device == torch.device("cuda", 0)
        with pytest.raises(RuntimeError, match="found cuda:0 and cpu"):
            there + here
        with pytest.raises(RuntimeError, match="found cuda:0 and cpu"):
            torch.cat([there, here])
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()
        # A single number may come along.
        assert held(there * torch.tensor(2.0)).tolist() == [2.0] * 3
        assert held(there[torch.zeros(2, dtype=torch.long, device="cuda")]).tolist() == [1.0] * 2


def test_random_numbers_are_drawn_on_the_device():
    with fake_gpu():
        drawn = torch.rand(4, generator=torch.Generator("cuda").manual_seed(3), device="cuda")
        assert torch.equal(held(drawn), torch.rand(4, generator=torch.Generator().manual_seed(3)))
        with pytest.raises(RuntimeError, match="generator but found 'cpu'"):
            torch.rand(4, generator=torch.Generator(), device="cuda")


WAITING = {
    "item": lambda x: x.sum().item(),
    "if": lambda x: bool((x > 0).all()),
    "mask": lambda x: x[x > 0],
    "nonzero": lambda x: (x > 0).nonzero(),
    "cpu": lambda x: x.cpu(),
    "tolist": lambda x: x.tolist(),
    "upload": lambda x: torch.ones(2).to("cuda"),
    "new": lambda x: torch.tensor([1.0], device="cuda"),
    "copy": lambda x: x.copy_(torch.zeros(3)),
    "not pinned": lambda x: torch.ones(2).to("cuda", non_blocking=True),
}
GOING_ON = {
    "arithmetic": lambda x: (x * 2 + 1).cumsum(0).clamp(min=0),
    "index": lambda x: x[(x > 0).long()],
    "fill": lambda x: x[:2].fill_(3.0),
    "made there": lambda x: torch.arange(3, device="cuda"),
    "pinned": lambda x: upload(torch.ones(2), "cuda"),
    "where": lambda x: torch.where(x > 0, x, 0.0),
}


@pytest.mark.parametrize("name", WAITING)
def test_what_is_waited_for(name):
    with fake_gpu():
        x = torch.ones(3, device="cuda")
        LEDGER.clear()
        WAITING[name](x)
        assert sum(LEDGER.waits.values()) == 1, LEDGER.waits


@pytest.mark.parametrize("name", GOING_ON)
def test_what_is_not_waited_for(name):
    with fake_gpu():
        x = torch.ones(3, device="cuda")
        LEDGER.clear()
        GOING_ON[name](x)
        assert not LEDGER.waits
        assert LEDGER.launched > 0


def test_gradients():
    with fake_gpu():
        x = torch.arange(4.0).to("cuda").requires_grad_()
        LEDGER.clear()
        x.square().sum().backward()
        assert held(x.grad).tolist() == [0.0, 2.0, 4.0, 6.0]
        assert 3 <= LEDGER.launched < 12


def test_parts_are_halved_where_memory_runs_out():
    tried = []

    def work(part):
        tried.append(part.stop - part.start)
        return torch.zeros(tried[-1], 8, device="cuda") + 1

    with fake_gpu() as ledger:
        ledger.memory_left = 4 * 8 * 3
        parts = list(in_parts(10, 8, "cuda", work))
        assert [len(part) for part in parts] == [2, 2, 2, 2, 2]
        assert tried == [8, 4, 2, 2, 2, 2, 2]
        # Where there is nothing, there is one part without anything.
        assert [len(part) for part in in_parts(0, 8, "cuda", work)] == [0]
        ledger.memory_left = 8
        with pytest.raises(torch.cuda.OutOfMemoryError) as raised:
            list(in_parts(10, 8, "cuda", work))
        assert is_out_of_memory(raised.value)


def test_errors_of_other_kinds_come_out():
    def work(part):
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        list(in_parts(10, 8, "cuda", work))
    assert not is_out_of_memory(RuntimeError("something else"))
    assert is_out_of_memory(RuntimeError("MPS backend out of memory"))


def test_what_a_pass_and_the_photos_may_take_follows_the_free_memory():
    with fake_gpu(free=80 << 30):
        assert rays_at_once("cuda") == 1 << 16
        assert resident_bytes("cuda", 4) == 40 << 30
    with fake_gpu(free=4 << 30):
        assert 1 << 12 < rays_at_once("cuda") < 1 << 15
    with fake_gpu(free=1 << 20):
        assert rays_at_once("cuda") == 1 << 12
    assert resident_bytes("cpu", 4) == 4
    assert free_bytes("cpu") is None
