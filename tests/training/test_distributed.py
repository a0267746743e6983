from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from tests.training.two_processes import make

ROOT = Path(__file__).resolve().parents[2]


def test_two_processes_take_the_steps_of_one_that_sees_all_their_batches(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["-m", "tests.training.two_processes", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = (load_file(tmp_path / f"{rank}.safetensors") for rank in range(2))
    alone = make(accumulate=2)
    alone.run()
    moved, untrained = 0.0, dict(make(1).network.named_parameters())
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
        torch.testing.assert_close(value, alone.parameters[name].detach(), rtol=1e-3, atol=1e-5)
        moved = max(moved, float((value - untrained[name]).detach().abs().max()))
    assert moved > 1e-3
    assert (tmp_path / "checkpoint.safetensors").is_file()
