"""Tiny wheels for tests of installing, among them a meshlam that answers as the real one does."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

# A backend whose models are one file and whose doctor looks at it and at the module of the other wheel
_MAIN = """
import json, os, sys
from pathlib import Path
model = Path(os.environ["MESHLAM_HOME"]) / "assets" / "model.bin"
if "fetch" in sys.argv:
    if "--offline" in sys.argv and not model.exists():
        print(json.dumps({"error": {"message": "The file model.bin could not be had."}, "exit_code": 4}))
        sys.exit(4)
    model.parent.mkdir(parents=True, exist_ok=True)
    model.write_text("model")
    print(json.dumps({"assets": []}))
if "doctor" in sys.argv:
    import parts
    state = "ok" if model.exists() else "error"
    checks = [dict(name="device", state="ok", found="cpu, 1 threads", advice="")]
    checks += [dict(name="asset model", state=state, found="ok" if state == "ok" else "missing", advice="")]
    print(json.dumps({"checks": checks}))
"""


# Its worker copies the avatar that a test has put into the data folder
_WORKER = """
import json, os, shutil, sys
from pathlib import Path
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "hello":
        print(json.dumps(dict(type="ready", version="0.1.0", device="cpu", presets=[], assets={})), flush=True)
    if message["type"] == "reconstruct":
        shutil.copy(Path(os.environ["MESHLAM_HOME"]) / "sample.meshlam", message["out"])
        print(json.dumps(dict(type="done", id=message["id"], result=dict(avatar=message["out"]))), flush=True)
"""


def make_wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> Path:
    """A wheel as build tools make it, with its list of files and hashes."""
    info = f"{name}-{version}.dist-info"
    files = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(text.encode())}")
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,"]) + "\n")
    return wheel


def make_meshlam(folder: Path, version: str = "0.1.0", protocol: int = 1, files: dict[str, str] | None = None) -> Path:
    files = (files or {}) | {
        "meshlam_core/__init__.py": f'__version__ = "{version}"\n',
        "meshlam_core/__main__.py": _MAIN,
        "meshlam_core/worker/__init__.py": "",
        "meshlam_core/worker/__main__.py": _WORKER,
        "meshlam_core/worker/protocol.py": f"PROTOCOL = {protocol}\n",
    }
    return make_wheel(folder, "meshlam", version, files)
