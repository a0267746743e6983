"""A stand-in for the worker that misbehaves on request. Run: python fake_worker.py BEHAVIOUR"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

BEHAVIOUR = sys.argv[1] if len(sys.argv) > 1 else "good"


def say(kind: str, /, **content: Any) -> None:
    print(json.dumps({"type": kind, **content}), flush=True)


def reconstruct(message: dict[str, Any]) -> None:
    job = message["id"]
    say("progress", id=job, stage="landmarks", fraction=0.25, message="Finding the face")
    if BEHAVIOUR == "crash":
        print("the roof is on fire", file=sys.stderr, flush=True)
        sys.exit(7)
    if BEHAVIOUR == "fail":
        say("failed", id=job, kind="no_face", message="No face was found.", hint="Try another photo.", trace="Trace…")
        return
    if BEHAVIOUR == "garbage":
        print("Loading weights: 100%", flush=True)
        print('{"type": "done"}', flush=True)
        print('{"type": "progress", "id": "' + job + '", "stage": "x", "fraction": "half", "message": ""}', flush=True)
        print("[" * 100_000, flush=True)
        say("progress", id="another job", stage="elsewhere", fraction=0.9, message="")
    if BEHAVIOUR in ("slow", "stubborn"):
        return  # until cancelled
    say("done", id=job, result={"avatar": message["out"], "landmark_error": 0.0071, "warnings": [], "spare": 1})


def main() -> None:
    if BEHAVIOUR == "dead":
        print("ModuleNotFoundError: No module named 'meshlam_core'", file=sys.stderr)
        sys.exit(1)
    if BEHAVIOUR == "silent":
        time.sleep(60)
    running = ""
    for line in sys.stdin:
        message = json.loads(line)
        kind = message["type"]
        if kind == "hello":
            if BEHAVIOUR == "older":
                say("failed", id=None, kind="protocol", message="This worker speaks protocol 0.", hint="", trace="")
                continue
            say("ready", version="1", device="cpu", presets=["small"], assets={}, news="unknown fields are ignored")
        elif kind == "reconstruct":
            running = message["id"]
            reconstruct(message)
        elif kind == "record":
            sys.exit(6)  # ended from outside
        elif kind == "cancel" and BEHAVIOUR != "stubborn" and message["id"] == running:
            say("cancelled", id=running)
        elif kind == "shutdown":
            if BEHAVIOUR == "stubborn":
                time.sleep(60)
            return
    if BEHAVIOUR == "stubborn":
        time.sleep(60)


if __name__ == "__main__":
    main()
