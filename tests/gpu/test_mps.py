"""The fake `mps` refuses what Apple's GPUs refuse, and what stands in for it gives what a CPU gives."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from fake_gpu import SUPPORTED, fake_gpu, held

from lerf.devices import in_doubles, in_parts, resized, sums_of_rows, wide
from lerf.encoders.mini import load
from lerf.encoders.preprocessing import resize_as_pillow
from lerf.evaluation.metrics import pixel_auc, psnr, ssim
from lerf.evaluation.ovs import box_mean
from lerf.geometry.extent import robust_diagonal, robust_extent
from lerf.language.cells import compress, compress_dense
from lerf.language.lift import outliers
from lerf.language.scale_bounds import ScaleBounds
from lerf.queries.instances import find_regions
from lerf.rendering.pca import fit_pca_basis
from lerf.run.device import choose_device

pytestmark = pytest.mark.skipif(not SUPPORTED, reason="this torch knows no devices of Python's own")
on_mps = partial(fake_gpu, kind="mps")
WITHOUT_DOUBLES = {
    "made there": lambda x: torch.zeros(2, dtype=torch.float64, device="mps"),
    "brought": lambda x: torch.zeros(2, dtype=torch.float64).to("mps"),
    "of numpy's numbers": lambda x: torch.tensor(torch.zeros(2).double().numpy(), device="mps"),
    "converted": lambda x: x.double(),
    "copied as doubles": lambda x: x.to("cpu", torch.float64),
    "copied into doubles": lambda x: torch.zeros(3, dtype=torch.float64).copy_(x),
    "complex": lambda x: torch.zeros(2, dtype=torch.complex128, device="mps"),
}
NOT_THERE = {
    "eigenvectors": lambda x: torch.linalg.eigh(x[:, None] * x),
    "triangles": lambda x: torch.linalg.qr(x[:, None] * x),
    "bags": lambda x: F.embedding_bag(torch.zeros(2, 2, dtype=torch.long, device="mps"), x[:, None], mode="sum"),
    "cubes": lambda x: F.max_pool3d(x[None, None, None], 3, stride=1, padding=1),
    "small pictures": lambda x: F.interpolate(x[None, None, None], (1, 2), mode="bicubic", antialias=True),
}
WRONG = {
    "sorted integers": lambda x: x.long().sort(),
    "sorted columns": lambda x: torch.stack([x, x], -1)[:, 0].sort(),
    "quantiles of columns": lambda x: torch.quantile(torch.stack([x, x], -1)[:, 0], 0.5),
    "distinct keys": lambda x: torch.unique((x.long() + 3) << 40, return_inverse=True),
    "least integers": lambda x: x.long().scatter_reduce(0, x.long(), x.long(), "amin"),
    "sums of integers": lambda x: x.long().index_add_(0, x.long(), x.long()),
    "products of integers": lambda x: x.long()[:, None] @ x.long()[None],
}
THERE = {
    "single precision": lambda x: torch.tensor([1.5, 2.5], device="mps") * 2.0,
    "doubles at home": lambda x: x.cpu().double(),
    "sorted": lambda x: x.sort().values + x.int().argsort(),
    "sums": lambda x: x.index_add(0, x.long(), x).scatter_reduce(0, x.long(), x, "amax"),
    "random numbers": lambda x: torch.rand(2, generator=torch.Generator("mps").manual_seed(1), device="mps"),
    "small integers": lambda x: torch.unique(x.long()),
}


def numbers():
    return torch.arange(3.0, device="mps")


@pytest.mark.parametrize("name", WITHOUT_DOUBLES)
def test_there_are_no_doubles(name):
    with on_mps(), pytest.raises(TypeError, match="doesn't support float64"):
        WITHOUT_DOUBLES[name](numbers())


@pytest.mark.parametrize("name", NOT_THERE)
def test_operations_that_are_not_there(name):
    with on_mps(), pytest.raises(NotImplementedError, match="not currently implemented for the MPS device"):
        NOT_THERE[name](numbers())


@pytest.mark.parametrize("name", WRONG)
def test_operations_that_would_be_wrong(name):
    with on_mps(), pytest.raises(RuntimeError, match="MPS"):
        WRONG[name](numbers())


@pytest.mark.parametrize("name", THERE)
def test_what_there_is(name):
    with on_mps():
        THERE[name](numbers())


def test_the_device_is_called_mps_and_no_cuda_is_there():
    with on_mps():
        x = numbers()
        assert (x.device, x.is_mps, x.is_cuda) == (torch.device("mps", 0), True, False)
        assert choose_device("mps") == "mps"
        with pytest.raises(RuntimeError, match="found mps:0 and cpu"):
            x + torch.ones(3)
        assert not torch.cuda.is_available()


def test_on_other_devices_nothing_is_moved_for_doubles():
    with fake_gpu() as ledger:
        x = torch.ones(3, device="cuda")
        ledger.clear()
        assert in_doubles(x).is_cuda
        assert wide(x) is x
        assert not ledger.waits
    here = torch.ones(3)
    assert wide(here) is here


def test_memory_that_runs_out_halves_the_parts():
    with on_mps() as ledger:
        ledger.memory_left = 4 * 3
        assert [len(part) for part in in_parts(4, 4, "mps", lambda part: numbers()[:1].repeat(part.stop - part.start))]
        assert len(list(in_parts(4, 4, "mps", lambda part: torch.zeros(part.stop - part.start, device="mps") + 1))) == 2


def cubes(values):
    """The range of scales that a grid answers for."""
    bounds = ScaleBounds(4).to(values.device)
    bounds.note(values[:, :3], values[:, 0].abs(), values[:, 1].abs() + 1)
    bounds.widen()
    return bounds.low, bounds.high


def regions(values):
    found = find_regions(values[:, :3].contiguous(), values[:, 3].sigmoid(), threshold=0.4, cell_size=0.4)
    return [torch.tensor([each.peak, each.evidence]) for each in found] + [each.indices for each in found]


def bag(values, dtype=torch.float32):
    rows = torch.arange(12, dtype=torch.int32).view(6, 2).to(values.device)
    return sums_of_rows(values.to(dtype), rows, values[:6, :2].contiguous())


def compressed(values):
    found = compress(F.normalize(values, dim=-1)[None], 6)
    return found.codes.float() @ found.basis


def dense(values):
    found = compress_dense(values)
    return found.codes.float() @ found.basis + found.mean


PARTS = {
    "embeddings on a basis": compressed,
    "dense features on a basis": dense,
    "basis of colours": lambda x: fit_pca_basis(x).axes,
    "sums of rows": bag,
    "sums of rows in half": lambda x: bag(x, torch.float16),
    "pictures": lambda x: resized(x.view(1, 1, 20, 20), (7, 5), "bicubic"),
    "pictures as Pillow's": lambda x: resize_as_pillow(x.view(1, 1, 20, 20).sigmoid(), 7, 5),
    "ranges of scales": cubes,
    "instances": regions,
    "diagonal": lambda x: robust_diagonal(x[:, :3]),
    "extent": lambda x: robust_extent(x[:, :3].contiguous(), x[0, :3]),
    "outliers": lambda x: outliers(x.sigmoid()),
    "psnr": lambda x: psnr(x.view(20, 20, 1), x.view(20, 20, 1) + 0.1),
    "ssim": lambda x: ssim(x.view(20, 20, 1), x.view(20, 20, 1) + 0.1),
    "smoothed": lambda x: box_mean(x.view(20, 20), 5),
    "auc": lambda x: pixel_auc(x, x > 0.3),
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_give_what_they_give_on_a_cpu(name):
    values = torch.randn(40, 10, generator=torch.Generator().manual_seed(1))
    wanted = PARTS[name](values)
    with on_mps():
        found = PARTS[name](values.to("mps"))
        found = [held(each) if isinstance(each, torch.Tensor) else each for each in listed(found)]
    for one, other in zip(listed(wanted), found, strict=True):
        torch.testing.assert_close(torch.as_tensor(other), torch.as_tensor(one), rtol=1e-4, atol=1e-3)


def listed(value):
    return list(value) if isinstance(value, (list, tuple)) else [value]


def test_the_encoder_that_ships():
    tiles = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    wanted = load(device="cpu").encode_tiles(tiles)
    with on_mps():
        encoder = load(device="mps")
        found = held(encoder.encode_tiles(tiles.to("mps"))).clone()
    torch.testing.assert_close(found, wanted, rtol=0, atol=2e-2)
