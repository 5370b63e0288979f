"""Bytes of unfinished jobs' progress that change on disk: it is refused, or reads as what was written."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eigendrift.errors import UserError
from eigendrift.stores.progress import Progress, resumable

KEY = "5e" * 32
RECORD = {"weights": np.linspace(-1, 1, 23, dtype=np.float32), "loss": np.array(0.3)}
FLIPS = 200


def trained() -> dict[str, Any]:
    """The state of a small network and its optimizer, as training keeps it."""
    network = torch.nn.Linear(5, 3)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(2, 5)).sum().backward()
    optimizer.step()
    parts = {"model": network.state_dict(), "optimizer": optimizer.state_dict()}
    return {"step": 7, "generator": torch.get_rng_state(), **parts}


STATE = trained()


def same(left: Any, right: Any) -> bool:
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right)
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return bool(left == right)


def read_state(progress: Progress) -> bool:
    return same(progress.read_state(lambda file: torch.load(file, weights_only=True)), STATE)


def read_record(progress: Progress) -> bool:
    record, column = progress.load(0), progress.column("weights", 1)[0]
    return all(map(np.array_equal, (*record.values(), column), (*RECORD.values(), RECORD["weights"])))


@pytest.fixture
def progress(tmp_path: Path) -> Progress:
    """That of a job that saved a record and a state, and was interrupted."""
    with pytest.raises(InterruptedError), resumable(tmp_path / "s.zarr", KEY) as progress:  # noqa: PT012
        progress.save(0, RECORD)
        progress.replace_state(lambda file: torch.save(STATE, file))
        raise InterruptedError
    return progress


@pytest.mark.parametrize(("name", "read"), [("state", read_state), ("record-00000.npz", read_record)])
def test_no_damage_to_state_or_records_goes_unnoticed(
    name: str, read: Callable[[Progress], bool], progress: Progress
) -> None:
    path = progress.directory / name
    content = path.read_bytes()
    assert read(progress)
    dice = np.random.default_rng(0)
    for place in dice.integers(len(content), size=FLIPS):
        flipped = bytes([content[place] ^ (1 << int(dice.integers(8)))])
        for harmed in (content[:place] + flipped + content[place + 1 :], content[:place]):
            path.write_bytes(harmed)
            with pytest.raises(UserError, match=rf"damaged, in .*{name}; .*`rm -rf \S+-progress`"):
                read(progress)
    path.unlink()
    with pytest.raises(UserError, match="damaged"):
        read(progress)


def test_progress_whose_key_is_damaged_is_nobodys(progress: Progress) -> None:
    """Whatever it was made for, it is never gone on from for something else; the job starts anew."""
    path = progress.directory / "key.json"
    files = {file: file.read_bytes() for file in progress.directory.iterdir()}
    for place in range(len(files[path])):
        for harmed in (*(flip(files[path], place, bit) for bit in range(8)), files[path][:place]):
            for file, content in files.items():
                file.write_bytes(content)
            path.write_bytes(harmed)
            with (  # noqa: PT012
                pytest.raises(InterruptedError),
                resumable(progress.directory.with_name("s.zarr"), KEY) as again,
            ):
                # What stands around the key may differ.
                assert again.completed() == 0 or f'"{KEY}"'.encode() in harmed
                raise InterruptedError


def flip(content: bytes, place: int, bit: int) -> bytes:
    return content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :]
