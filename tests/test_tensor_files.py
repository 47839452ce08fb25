"""Files of tensors: what was written is read, the library reads it too, and no damage goes unseen."""

import json
import random
import warnings

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lerf.errors import LerfError, RunError
from lerf.tensor_files import DTYPES, TensorFile, write_tensors


def some_tensors():
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randint(0, 2, (3, 4), generator=generator)
    return {f"a.{name}": numbers.to(dtype) for name, dtype in DTYPES.items()} | {
        "turned": torch.arange(6.0).view(2, 3).T,
        "empty": torch.zeros(0, 3),
        "nothing": torch.zeros(0, dtype=torch.float16),
        "one": torch.tensor(7.0),
    }


def opened(path):
    return TensorFile(path, error=RunError, remedy="delete it")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "some.safetensors"
    write_tensors(path, some_tensors(), {"step": 3, "name": "é"}, 1)
    return path


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(
        ours[name].dtype == theirs[name].dtype and torch.equal(ours[name], theirs[name]) for name in ours
    )


def test_what_is_read_is_what_was_written(path):
    file = opened(path)
    assert same(file.tensors(), some_tensors())
    assert (file.version, file.facts) == ("1", {"step": 3, "name": "é"})


def test_the_library_reads_it_and_is_read(path, tmp_path):
    assert same(load_file(path), some_tensors())
    with safe_open(path, framework="pt") as file:
        assert file.metadata()["format"] == "1"
        assert json.loads(file.metadata()["facts"]) == {"step": 3, "name": "é"}
    contiguous = {name: tensor.contiguous() for name, tensor in some_tensors().items()}
    save_file(contiguous, tmp_path / "theirs.safetensors", {"format": "1", "facts": '{"step": 4}'})
    theirs = opened(tmp_path / "theirs.safetensors")
    assert same(theirs.tensors(), some_tensors())
    assert theirs.facts == {"step": 4}


def test_equal_content_is_equal_bytes(path, tmp_path):
    names = list(some_tensors())
    for seed in range(5):
        random.Random(seed).shuffle(names)
        again = tmp_path / f"{seed}.safetensors"
        write_tensors(again, {name: some_tensors()[name] for name in names}, {"name": "é", "step": 3}, 1)
        assert again.read_bytes() == path.read_bytes()


def test_any_flipped_bit_is_seen(path):
    """In the header, the facts or the numbers; what only pads the header may be any blank."""
    whole, pick = path.read_bytes(), random.Random(1)
    length = 8 + int.from_bytes(whole[:8], "little")
    blanks = range(len(whole[:length].rstrip()), length)
    places = [at for at in pick.sample(range(len(whole)), 300) if at not in blanks]
    for at in [*places, *range(8), len(whole) - 1]:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << pick.randrange(8)]) + whole[at + 1 :])
        assert _refused(path), f"the bit at {at} changed nothing"


def _refused(path):
    """Whether it is damaged, or of another version, which the reader of runs refuses."""
    try:
        file = opened(path)
        return file.version != "1" or not (file.tensors() and file.facts)
    except LerfError:
        return True


@pytest.mark.parametrize("length", [0, 4, 8, 20, -1])
def test_a_file_that_is_cut_off(path, length):
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(RunError, match=r"some\.safetensors is damaged .*; delete it\.$"):
        opened(path)


def test_no_memory_is_taken_for_sizes_that_the_file_does_not_have(path):
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    data = whole[8 + length :]
    for shape, offsets in [([1 << 40], [0, 1 << 42]), ([1 << 40], [0, 96]), ([-1], [0, 96]), ([1e3], [0, 96])]:
        header["a.F64"] |= {"shape": shape, "data_offsets": offsets}
        text = json.dumps(header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + data)
        with pytest.raises(RunError):
            opened(path)
    path.write_bytes((1 << 62).to_bytes(8, "little") + whole[8:])
    with pytest.raises(RunError, match="cut off, or no file of tensors"):
        opened(path)


def test_numbers_that_are_none(tmp_path):
    write_tensors(tmp_path / "a", {"depth.0": torch.tensor([torch.nan]), "x": torch.tensor([torch.inf])}, {}, 1)
    with pytest.raises(RunError, match=r"depth\.0 has numbers that are NaN"):
        opened(tmp_path / "a").tensors()
    assert opened(tmp_path / "a").tensors(may_be_nan="depth.")["x"].isinf()


def test_what_is_no_file(tmp_path):
    for path in (tmp_path, tmp_path / "gone", tmp_path / "a\0b", tmp_path / ("n" * 300)):
        with pytest.raises(RunError, match="is damaged"):
            opened(path)


def test_numbers_can_be_written_to(path):
    """As those of a library that maps the file may not be."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened(path).tensors()["a.F32"].add_(1.0)
