"""The projection of Gaussians onto a picture in numba, and its gradients; all in double precision inside."""

from __future__ import annotations

import math

from numba import njit, prange

from lerf.kernels.reference_splats import DILATION, WIDER


@njit(cache=True)
def _local(means, i, rotation, position):  # type: ignore[no-untyped-def]
    """Mean of a Gaussian in the camera's axes."""
    px, py, pz = means[i, 0] - position[0], means[i, 1] - position[1], means[i, 2] - position[2]
    x = rotation[0, 0] * px + rotation[0, 1] * py + rotation[0, 2] * pz
    y = rotation[1, 0] * px + rotation[1, 1] * py + rotation[1, 2] * pz
    return x, y, rotation[2, 0] * px + rotation[2, 1] * py + rotation[2, 2] * pz


@njit(cache=True)
def _axes(quaternions, i):  # type: ignore[no-untyped-def]
    """The Gaussian's own axes, columns of its rotation."""
    w, x = float(quaternions[i, 0]), float(quaternions[i, 1])
    y, z = float(quaternions[i, 2]), float(quaternions[i, 3])
    return (
        (1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)),
        (2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)),
        (2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)),
    )


@njit(cache=True)
def _turned(rotation, row, axis):  # type: ignore[no-untyped-def]
    return rotation[row, 0] * axis[0] + rotation[row, 1] * axis[1] + rotation[row, 2] * axis[2]


@njit(cache=True)
def _cross(a, b):  # type: ignore[no-untyped-def]
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@njit(cache=True)
def _dot(a, b):  # type: ignore[no-untyped-def]
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(cache=True)
def _place(means, i, rotation, position, lens):  # type: ignore[no-untyped-def]
    """Mean in the camera's axes, the depth that it is divided by, and where the projection is linearised."""
    x, y, depth = _local(means, i, rotation, position)
    z, wide_x, wide_y = max(depth, lens[6]), WIDER * lens[4], WIDER * lens[5]
    return (x, y, depth), z, min(max(x / z, -wide_x), wide_x), min(max(y / z, -wide_y), wide_y)


@njit(cache=True)
def _turned_axes(quaternions, i, rotation):  # type: ignore[no-untyped-def]
    """The Gaussian's own axes, as their parts along the camera's right, down and forwards."""
    one, two, three = _axes(quaternions, i)
    right = (_turned(rotation, 0, one), _turned(rotation, 0, two), _turned(rotation, 0, three))
    down = (_turned(rotation, 1, one), _turned(rotation, 1, two), _turned(rotation, 1, three))
    ahead = (_turned(rotation, 2, one), _turned(rotation, 2, two), _turned(rotation, 2, three))
    return right, down, ahead


@njit(cache=True)
def _row(scales, i, focal, across, at, ahead):  # type: ignore[no-untyped-def]
    """A row of the linearised projection, along the Gaussian's own axes."""
    return (
        focal * float(scales[i, 0]) * (across[0] - at * ahead[0]),
        focal * float(scales[i, 1]) * (across[1] - at * ahead[1]),
        focal * float(scales[i, 2]) * (across[2] - at * ahead[2]),
    )


@njit(cache=True)
def _project_one(i, gaussians, camera, out):  # type: ignore[no-untyped-def]
    (means, quaternions, scales), (rotation, position, lens) = gaussians, camera
    centres, whitening, depths = out
    (x, y, depth), z, at_x, at_y = _place(means, i, rotation, position, lens)
    right, down, ahead = _turned_axes(quaternions, i, rotation)
    a, b = _row(scales, i, lens[0] / z, right, at_x, ahead), _row(scales, i, lens[1] / z, down, at_y, ahead)
    c = _cross(a, b)
    first, second, both = _dot(a, a), _dot(b, b), _dot(a, b)
    determinant = _dot(c, c) + DILATION * (first + second) + DILATION * DILATION
    height = second + DILATION
    shared = 1.0 / math.sqrt(height * determinant)
    whitening[i, 0], whitening[i, 1], whitening[i, 2] = height * shared, -both * shared, 1.0 / math.sqrt(height)
    centres[i, 0], centres[i, 1], depths[i] = lens[0] * x / z + lens[2], lens[1] * y / z + lens[3], depth


@njit(parallel=True, cache=True)
def project(means, quaternions, scales, camera, centres, whitening, depths):  # type: ignore[no-untyped-def]
    """As `reference_splats.project_splats`; the camera's seven numbers are focal, centre, reach and near."""
    rotation, position, lens = camera
    for i in prange(means.shape[0]):
        _project_one(i, (means, quaternions, scales), (rotation, position, lens), (centres, whitening, depths))


@njit(cache=True)
def _back_one(i, gaussians, camera, slopes, out):  # type: ignore[no-untyped-def]
    (means, quaternions, scales), (rotation, position, lens) = gaussians, camera
    (of_centres, of_whitening, of_depths), (of_means, of_quaternions, of_scales) = slopes, out
    (x, y, depth), z, at_x, at_y = _place(means, i, rotation, position, lens)
    fx, fy = lens[0] / z, lens[1] / z
    right, down, ahead = _turned_axes(quaternions, i, rotation)
    a, b = _row(scales, i, fx, right, at_x, ahead), _row(scales, i, fy, down, at_y, ahead)
    of_a, of_b = _of_rows(a, b, of_whitening[i])
    of_x, of_y = of_centres[i, 0] * fx, of_centres[i, 1] * fy
    of_z = -(of_x * x + of_y * y) / z - (_dot(a, of_a) + _dot(b, of_b)) / z
    of_at_x, of_at_y = 0.0, 0.0
    for k in range(3):
        of_at_x -= fx * float(scales[i, k]) * ahead[k] * of_a[k]
        of_at_y -= fy * float(scales[i, k]) * ahead[k] * of_b[k]
    if abs(x / z) <= WIDER * lens[4]:
        of_x += of_at_x / z
        of_z -= of_at_x * x / (z * z)
    if abs(y / z) <= WIDER * lens[5]:
        of_y += of_at_y / z
        of_z -= of_at_y * y / (z * z)
    of_depth = of_depths[i] + (of_z if depth >= lens[6] else 0.0)
    for k in range(3):
        of_means[i, k] = rotation[0, k] * of_x + rotation[1, k] * of_y + rotation[2, k] * of_depth
    turned, focal, at = (right, down, ahead), (fx, fy), (at_x, at_y)
    one, of_scales[i, 0] = _of_axis(0, (of_a, of_b), turned, float(scales[i, 0]), rotation, focal, at)
    two, of_scales[i, 1] = _of_axis(1, (of_a, of_b), turned, float(scales[i, 1]), rotation, focal, at)
    three, of_scales[i, 2] = _of_axis(2, (of_a, of_b), turned, float(scales[i, 2]), rotation, focal, at)
    _of_quaternion(quaternions, i, one, two, three, of_quaternions)


@njit(parallel=True, cache=True)
def project_back(means, quaternions, scales, camera, slopes, out):  # type: ignore[no-untyped-def]
    """Gradients of the projection: of centres, whitening and depths into those of means, quaternions and scales."""
    rotation, position, lens = camera
    of_centres, of_whitening, of_depths = slopes
    of_means, of_quaternions, of_scales = out
    for i in prange(means.shape[0]):
        _back_one(
            i, (means, quaternions, scales), (rotation, position, lens), (of_centres, of_whitening, of_depths),
            (of_means, of_quaternions, of_scales),
        )  # fmt: skip


@njit(cache=True)
def _of_rows(a, b, slope):  # type: ignore[no-untyped-def]
    """Gradients of the rows of the projection from those of the whitening."""
    c = _cross(a, b)
    first, second, both = _dot(a, a), _dot(b, b), _dot(a, b)
    determinant = _dot(c, c) + DILATION * (first + second) + DILATION * DILATION
    height = second + DILATION
    shared = 1.0 / math.sqrt(height * determinant)
    one, two, three = height * shared * slope[0], -both * shared * slope[1], slope[2] / math.sqrt(height)
    of_determinant = -0.5 * (one + two) / determinant
    of_both = -shared * slope[1]
    of_first = DILATION * of_determinant
    of_second = of_first + 0.5 * (one - two - three) / height
    bc, ca = _cross(b, c), _cross(c, a)
    of_a = (
        2 * (a[0] * of_first + bc[0] * of_determinant) + b[0] * of_both,
        2 * (a[1] * of_first + bc[1] * of_determinant) + b[1] * of_both,
        2 * (a[2] * of_first + bc[2] * of_determinant) + b[2] * of_both,
    )
    of_b = (
        2 * (b[0] * of_second + ca[0] * of_determinant) + a[0] * of_both,
        2 * (b[1] * of_second + ca[1] * of_determinant) + a[1] * of_both,
        2 * (b[2] * of_second + ca[2] * of_determinant) + a[2] * of_both,
    )
    return of_a, of_b


@njit(cache=True)
def _of_axis(k, of_rows, turned, scale, rotation, focal, at):  # type: ignore[no-untyped-def]
    """Gradients of one own axis in the world, and of the scale along it."""
    (of_a, of_b), (right, down, ahead), (fx, fy), (at_x, at_y) = of_rows, turned, focal, at
    of_scale = fx * (right[k] - at_x * ahead[k]) * of_a[k] + fy * (down[k] - at_y * ahead[k]) * of_b[k]
    of_right, of_down = fx * scale * of_a[k], fy * scale * of_b[k]
    of_ahead = -at_x * of_right - at_y * of_down
    axis = (
        rotation[0, 0] * of_right + rotation[1, 0] * of_down + rotation[2, 0] * of_ahead,
        rotation[0, 1] * of_right + rotation[1, 1] * of_down + rotation[2, 1] * of_ahead,
        rotation[0, 2] * of_right + rotation[1, 2] * of_down + rotation[2, 2] * of_ahead,
    )
    return axis, of_scale


@njit(cache=True)
def _of_quaternion(quaternions, i, one, two, three, out):  # type: ignore[no-untyped-def]
    """Gradients of a quaternion from those of its three axes."""
    w, x = float(quaternions[i, 0]), float(quaternions[i, 1])
    y, z = float(quaternions[i, 2]), float(quaternions[i, 3])
    out[i, 0] = 2 * (z * (one[1] - two[0]) + y * (three[0] - one[2]) + x * (two[2] - three[1]))
    out[i, 1] = 2 * (
        y * (two[0] + one[1]) + z * (three[0] + one[2]) + w * (two[2] - three[1]) - 2 * x * (two[1] + three[2])
    )
    out[i, 2] = 2 * (
        x * (two[0] + one[1]) + w * (three[0] - one[2]) + z * (three[1] + two[2]) - 2 * y * (one[0] + three[2])
    )
    out[i, 3] = 2 * (
        w * (one[1] - two[0]) + x * (three[0] + one[2]) + y * (three[1] + two[2]) - 2 * z * (one[0] + two[1])
    )
