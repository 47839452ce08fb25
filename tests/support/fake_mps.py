"""What Apple's GPUs refuse, or get wrong in silence, for the fake GPU (`fake_gpu.py`).

Nothing here has been seen on such a GPU: each entry says where it was read. #N is an issue or a pull request of
github.com/pytorch/pytorch. `lerf` takes torch from 2.6 on, so that what any version since then cannot do is refused.
"""

from __future__ import annotations

import torch
from torch.utils import _pytree as trees

NOT_IMPLEMENTED = frozenset({
    "_ctc_loss", "_embedding_bag", "_embedding_bag_forward_only", "_linalg_eigh",
    "_upsample_bicubic2d_aa", "_upsample_bilinear2d_aa", "adaptive_avg_pool3d", "angle", "avg_pool3d", "cholesky",
    "cholesky_inverse", "erfc", "frexp", "geqrf", "grid_sampler_2d_backward", "grid_sampler_3d", "heaviside",
    "index_copy", "index_reduce", "isin.Tensor_Scalar", "kthvalue", "linalg_cholesky_ex", "linalg_eig", "linalg_lstsq",
    "linalg_lu", "linalg_matrix_exp", "linalg_qr", "logspace", "max_pool3d_with_indices", "mode", "nanmedian",
    "native_dropout", "ormqr", "poisson", "put_", "segment_reduce", "sinc", "take", "unique_dim",
    "upsample_trilinear3d",
})  # fmt: skip
"""Operations without an MPS kernel in `native_functions.yaml` of torch 2.6.0, which its wheels have in `torchgen`, that
`MPSFallback.mm` does not take to the CPU either; of those that `lerf` has used, `_linalg_eigh` and `linalg_matrix_exp`
have none in 2.13.0's."""
DOUBLES = (torch.float64, torch.complex128)
PRODUCTS = ("addmm", "baddbmm", "bmm", "linear", "mm")


def refuse(operation, args, kwargs, out, on_device: bool) -> None:
    """Raise what torch raises on `mps`; also where it would give something wrong.

    Raises:
        TypeError: the result would have 64-bit floats.
        NotImplementedError: `mps` has no such operation.
        RuntimeError: not of these numbers.
    """
    name = operation._schema.name.split("::")[1]
    found = [each for each in trees.tree_leaves(out) if isinstance(each, torch.Tensor)]
    # With these words in #122602. #197715: in torch 2.14 a copy to the CPU as doubles writes nothing.
    if any(each.dtype in DOUBLES for each in found):
        raise TypeError(
            "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64. "
            "Please use float32 instead."
        )
    if not on_device:
        return
    if name in NOT_IMPLEMENTED or f"{name}.{operation._overloadname}" in NOT_IMPLEMENTED:
        raise NotImplementedError(f"The operator 'aten::{name}' is not currently implemented for the MPS device.")
    taken = [each for each in trees.tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
    wide = bool(taken) and taken[0].dtype == torch.int64
    # #155560: behind the 256th, torch 2.7 sorts none of 64-bit integers. #175187, #101878: strides are not looked at.
    if name == "sort" and (wide or not taken[0].is_contiguous()):
        raise RuntimeError("MPS sorts neither 64-bit integers nor what is not contiguous as it should.")
    # #195595: inverse indices are wrong from 2^24 on.
    if name == "_unique2" and wide and int(found[0].abs().max()) >= 1 << 24:
        raise RuntimeError("MPS does not tell large 64-bit integers apart.")
    # #141948: neither least nor largest; 2.13's testing/_internal/common_mps.py: no products. #161446: no sums.
    if name.startswith(("index_add", "scatter_reduce")) and wide:
        raise RuntimeError(f"MPS has no atomic operations of 64-bit integers ({name}).")
    # "GEMM on MPS is not supported for integral types": common_mps.py.
    if name in PRODUCTS and not found[0].is_floating_point():
        raise RuntimeError(f"MPS multiplies no matrices of integers ({name}).")


def appear(patch) -> None:
    """Let `mps` be there."""
    patch.setattr(torch.backends.mps, "is_available", lambda: True)
    patch.setattr(torch.mps, "empty_cache", lambda: None)
