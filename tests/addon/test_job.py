"""Reconstruction jobs against workers that crash, dawdle, babble or refuse to stop."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from blender_addon import job
from blender_addon.job import Request, Session, State

REQUEST = Request(Path("/photos/Élodie 1.jpg"), Path("/out/a.meshlam"), {"face": "largest"})


def wait_for(session: Session, stage: str) -> None:
    deadline = time.monotonic() + 20
    while session.stage != stage and time.monotonic() < deadline:
        session.pump()
        time.sleep(0.01)
    assert session.stage == stage


def test_a_job_runs_to_its_result_and_the_worker_stays_for_the_next(session, fake_backend):
    session.start(fake_backend("good"), REQUEST)
    assert session.state is State.STARTING
    assert session.wait(0.01) is State.DONE
    assert session.result["avatar"] == str(Path("/out/a.meshlam"))
    assert session.stage == "landmarks"
    process = session._client._process.pid
    session.start(fake_backend("good"), REQUEST)
    assert session.state is State.RUNNING  # no second start
    assert session.wait(0.01) is State.DONE
    assert session._client._process.pid == process


def test_a_worker_started_ahead_takes_the_first_job(session, fake_backend):
    session.prepare(fake_backend("good"))
    assert session.state is State.IDLE
    process = session._client._process.pid
    session.prepare(fake_backend("good"))  # a second photo was chosen
    session.start(fake_backend("good"), REQUEST)
    assert session.wait(0.01) is State.DONE
    assert session._client._process.pid == process


def test_a_worker_that_greeted_before_the_job_gets_it_at_once(session, fake_backend):
    session.prepare(fake_backend("good"))
    deadline = time.monotonic() + 20
    while session.worker is None and time.monotonic() < deadline:
        session.pump()
        time.sleep(0.01)
    session.start(fake_backend("good"), REQUEST)
    assert session.state is State.RUNNING
    assert session.wait(0.01) is State.DONE


def test_a_worker_that_failed_ahead_of_the_job_is_told_with_the_job(session, fake_backend, tmp_path):
    for kind in ("older", "dead"):
        session.prepare(fake_backend(kind))
        time.sleep(0.5)
        session.start(fake_backend(kind), REQUEST)
        assert session.wait(0.01) is State.FAILED
    session.prepare(type(fake_backend("good"))(tmp_path / "no such python"))
    assert session.state is State.FAILED  # still that of the job


def test_a_failure_keeps_the_workers_words_hint_and_trace(session, fake_backend):
    session.start(fake_backend("fail"), REQUEST)
    assert session.wait(0.01) is State.FAILED
    assert (session.error.kind, session.error.message) == ("no_face", "No face was found.")
    assert session.error.hint == "Try another photo."
    assert "Trace…" in session.error.report
    assert session._client.alive


def test_a_crash_is_reported_with_the_workers_log_and_the_next_job_works(session, fake_backend):
    session.start(fake_backend("crash"), REQUEST)
    assert session.wait(0.01) is State.FAILED
    assert "code 7" in session.error.message
    assert "the roof is on fire" in session.error.report
    session.start(fake_backend("good"), REQUEST)
    assert session.wait(0.01) is State.DONE


def test_a_worker_that_macos_ends_for_asking_for_the_camera_says_what_helps(session, fake_backend, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    session.start(fake_backend("good"), Request(Path("/out/a.mp4"), Path("/out/a.mp4"), {"camera": "0"}, "record"))
    assert session.wait(0.01) is State.FAILED
    assert session.error.message == "macOS does not let Blender use the camera."
    assert session.error.hint.startswith("Start Blender from Terminal")


def test_lines_that_are_no_messages_do_no_harm(session, fake_backend):
    session.start(fake_backend("garbage"), REQUEST)
    assert session.wait(0.01) is State.DONE
    assert "Loading weights" in session._client.log()
    assert session.stage == "landmarks"  # the progress of another job was ignored


def test_cancel_stops_the_job_and_keeps_the_worker(session, fake_backend):
    session.start(fake_backend("slow"), REQUEST)
    wait_for(session, "landmarks")
    session.cancel()
    assert session.state is State.CANCELLING
    assert session.wait(0.01) is State.CANCELLED
    assert session._client.alive


def test_a_worker_that_ignores_cancel_is_ended(session, fake_backend, monkeypatch):
    monkeypatch.setattr(job, "CANCEL_SECONDS", 0.3)
    session.start(fake_backend("stubborn"), REQUEST)
    wait_for(session, "landmarks")
    process = session._client._process
    session.cancel()
    assert session.wait(0.01) is State.CANCELLED
    assert process.poll() is not None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_worker_that_hangs_is_told_from_one_that_works_and_the_cross_ends_it(fake_backend, monkeypatch):
    monkeypatch.setattr(job, "CANCEL_SECONDS", 0.3)
    late = [0.0]
    session = Session(clock=lambda: time.monotonic() + late[0])
    session.start(fake_backend("slow"), REQUEST)
    wait_for(session, "landmarks")
    process = session._client._process
    process.send_signal(signal.SIGSTOP)
    assert session.silent_seconds < 20
    late[0] = 40.0
    assert session.silent_seconds > 39
    session.cancel()
    assert session.wait(0.01) is State.CANCELLED
    assert process.poll() is not None
    session.start(fake_backend("good"), REQUEST)
    assert session.wait(0.01) is State.DONE
    assert session.silent_seconds == 0
    session.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_worker_that_the_system_ends_is_said_to_have_run_out_of_memory(session, fake_backend):
    session.start(fake_backend("slow"), REQUEST)
    wait_for(session, "landmarks")
    session._client._process.kill()
    assert session.wait(0.01) is State.FAILED
    assert "memory ran out" in session.error.message
    session.start(fake_backend("good"), REQUEST)
    assert session.wait(0.01) is State.DONE


# Blender's own Python leaves SIGPIPE at ending the program
IN_BLENDER = """
import signal, sys
from pathlib import Path
from blender_addon.backend.locate import Backend
from blender_addon.job import Request, Session
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
session, request = Session(), Request(Path("a.png"), Path("a.meshlam"))
for behaviour in ("crash", "dead", "good"):
    session.start(Backend(Path(sys.executable), None, (sys.argv[1], behaviour)), request)
    print(session.wait(0.01).value, flush=True)
session._client._process.kill()
session._client._process.wait()
session.start(session._backend, request)
session.wait(0.01)
session.close()
print("still here")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_worker_that_is_gone_does_not_take_blender_along():
    script = str(Path(__file__).with_name("fake_worker.py"))
    command = [sys.executable, "-c", IN_BLENDER, script]
    run = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout.split("\n")[:4]) == (0, ["failed", "failed", "done", "still here"]), run.stderr


def test_cancel_while_starting_ends_the_worker(session, fake_backend):
    session.start(fake_backend("silent"), REQUEST)
    process = session._client._process
    session.cancel()
    assert session.state is State.CANCELLED
    assert process.poll() is not None


def test_a_worker_that_never_answers_is_given_up(session, fake_backend, monkeypatch):
    monkeypatch.setattr(job, "START_SECONDS", 0.2)
    session.start(fake_backend("silent"), REQUEST)
    assert session.wait(0.01) is State.FAILED
    assert "did not answer" in session.error.message


def test_a_python_without_meshlam_is_named_as_the_cause(session, fake_backend):
    session.start(fake_backend("dead"), REQUEST)
    assert session.wait(0.01) is State.FAILED
    assert session.error.message == "The chosen Python has no meshlam package."


def test_a_worker_of_another_protocol_is_refused(session, fake_backend):
    session.start(fake_backend("older"), REQUEST)
    assert session.wait(0.01) is State.FAILED
    assert "protocol 0" in session.error.message


def test_a_backend_that_is_no_program_is_a_failure_not_an_exception(session, fake_backend, tmp_path):
    backend = fake_backend("good")
    session.start(type(backend)(tmp_path / "nothing", None, backend.arguments), REQUEST)
    assert session.state is State.FAILED
    assert session.error.message.startswith(f"There is no program at {tmp_path / 'nothing'}")


def test_two_jobs_at_once_are_refused(session, fake_backend):
    session.start(fake_backend("slow"), REQUEST)
    with pytest.raises(RuntimeError, match="running already"):
        session.start(fake_backend("slow"), REQUEST)


def test_another_backend_replaces_the_worker(session, fake_backend):
    session.start(fake_backend("good"), REQUEST)
    session.wait(0.01)
    first = session._client._process
    session.start(fake_backend("fail"), REQUEST)
    assert session.wait(0.01) is State.FAILED
    assert first.poll() is not None


def test_an_idle_worker_is_ended_after_its_time_but_a_busy_one_is_not(fake_backend):
    now = [0.0]
    session = Session(clock=lambda: now[0])
    session.start(fake_backend("good"), REQUEST)
    now[0] = 100.0
    assert not session.end_if_idle(60)  # starting
    session.wait(0.01)
    assert not session.end_if_idle(60)
    now[0] = 159.0
    assert not session.end_if_idle(60)
    assert not session.end_if_idle(0)
    now[0] = 161.0
    process = session._client._process
    assert session.end_if_idle(60)
    assert process.poll() is not None


def test_closing_while_a_job_runs_cancels_it_and_ends_the_process(session, fake_backend):
    session.start(fake_backend("slow"), REQUEST)
    wait_for(session, "landmarks")
    process = session._client._process
    session.close()
    assert session.state is State.CANCELLED
    assert process.poll() is not None
