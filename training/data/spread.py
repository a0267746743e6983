"""The same work on many things: in this process, in others of this machine, or on the machines of a Ray cluster.

Results come as they are ready. A task must be picklable, and hashable: equal tasks share what they have opened in a
process. On a cluster every machine needs this package, and the folders that a task names at the same place.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from importlib.util import find_spec
from itertools import islice
from multiprocessing import get_context
from typing import Any, TypeVar, cast

from meshlam_core.errors import UsageError
from meshlam_core.opencv import set_threads

Job = TypeVar("Job")
Result = TypeVar("Result")

AGAIN = "Run it again: what is finished stays."
WAITING = 2  # jobs handed to Ray per core


def spread(
    task: Callable[[Job], Result],
    jobs: Sequence[Job],
    workers: int = 0,  # processes of this machine; 0: this one
    ray_address: str | None = None,  # of a cluster's head as ray.init takes it; "local" starts one here
) -> Iterator[Result]:
    """What the task makes of the jobs.

    The first error of a task ends the work; UsageError where a process was killed.
    """
    if ray_address is not None:
        yield from _on_ray(task, jobs, ray_address)
    elif workers:
        yield from _in_processes(task, jobs, workers)
    else:
        yield from map(task, jobs)


def _in_processes(task: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Iterator[Result]:
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        waiting = [pool.submit(_do, task, job) for job in jobs]
        try:
            for done in as_completed(waiting):
                yield done.result()
        except BrokenProcessPool as error:
            raise UsageError("A working process was ended from outside, perhaps for want of memory.", AGAIN) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _on_ray(task: Callable[[Job], Result], jobs: Sequence[Job], address: str) -> Iterator[Result]:
    if find_spec("ray") is None:
        raise UsageError("--ray-address needs Ray, which is not installed.", "pip install 'meshlam[ray]'")
    import ray

    given = {"env_vars": {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}}
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address == "local":
        quiet["include_dashboard"] = False  # it would open a port, and nobody looks at it
    try:
        ray.init(address=address, runtime_env=given, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UsageError(f"There is no Ray cluster at {address}: {error}.", "Start one: ray start --head") from error
    try:
        work, left = ray.remote(_do), iter(jobs)
        most = WAITING * max(1, int(ray.cluster_resources().get("CPU", 1)))
        running = [work.remote(task, job) for job in islice(left, most)]
        while running:
            (done,), running = ray.wait(running, num_returns=1)
            yield ray.get(done)
            running += [work.remote(task, job) for job in islice(left, 1)]
    except ray.exceptions.RayTaskError as error:  # the task's own
        raise error.cause from error
    except ray.exceptions.RayError as error:
        raise UsageError(f"Ray lost a process or a machine: {error}.", AGAIN) from error
    finally:
        ray.shutdown()


def _do(task: Callable[[Job], Result], job: Job) -> Result:
    set_threads(1)
    return cast(Callable[[Job], Result], _kept(cast(Hashable, task)))(job)


@lru_cache(maxsize=1)
def _kept(task: Hashable) -> Hashable:
    """The first of all equal tasks, with what it has opened."""
    return task
