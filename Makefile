# Every target prepares .venv first; it is refreshed when the dependencies change.

PYTHON := .venv/bin/python
READY := .venv/.ready
ARGS ?=

.PHONY: setup demo test test-open-clip test-nerfstudio test-splat-transform test-gpu test-s3 lint bench fuzz fuzz-kills wheel demo-scene mini-encoder mini-things

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	python3 -m venv .venv
	$(PYTHON) -m pip install --quiet -c constraints.txt -e '.[catalogue,heic,offline,scenes,viewer,test,lint]'
	touch $@

demo: $(READY)
	.venv/bin/lerf demo $(ARGS)

# As many processes as processors, a file of tests to each: what a file's tests share is made once.
test: $(READY)
	$(PYTHON) -m pytest --numprocesses logical --dist loadfile $(ARGS)

# Our towers of CLIP and SigLIP against open_clip's own code, which lies apart: its torchvision may not fit this torch.
test-open-clip: $(READY)
	$(PYTHON) -m pip install --quiet --upgrade --no-deps --target .open_clip -c constraints.txt \
		open_clip_torch timm torchvision ftfy wcwidth
	PYTHONPATH=.open_clip LERF_TEST_OPEN_CLIP=required $(PYTHON) -m pytest tests/encoders/test_open_clip_exact.py \
		tests/encoders/test_open_clip_zoo.py $(ARGS)

# nerfstudio's own commands with our methods, in a folder of its own: it asks for versions of fifty packages that do not
# fit ours, and these are what its commands import.
NERFSTUDIO := nerfstudio torchvision torchmetrics lightning_utilities nerfacc gsplat splines mediapy ipython traitlets \
	decorator tensorboard absl-py werkzeug protobuf appdirs opencv-python-headless open3d dash janus retrying plotly \
	fpsample tensorly pathos multiprocess dill ppft pox pymeshlab xatlas pyquaternion pytorch-msssim rawpy
test-nerfstudio: $(READY)
	$(PYTHON) -m pip install --quiet --upgrade --no-deps --target .nerfstudio -c constraints.txt $(NERFSTUDIO)
	PYTHONPATH=.nerfstudio LERF_TEST_NERFSTUDIO=required $(PYTHON) -m pytest tests/nerfstudio -W ignore --timeout 1800 \
		$(ARGS)

# Triton's kernels, interpreted against their definitions and compiled for GPUs that need not be here, and what steps
# start on a GPU. Triton lies apart: it is a gigabyte that nothing needs without a GPU.
test-gpu: $(READY)
	test -d .triton/triton || $(PYTHON) -m pip install --quiet --no-deps --target .triton -c constraints.txt triton
	PYTHONPATH=.triton TRITON_INTERPRET=1 LERF_TEST_TRITON=required $(PYTHON) -m pytest \
		tests/gpu/test_triton_kernels.py tests/gpu/test_triton_splats.py tests/gpu/test_triton_compiled.py \
		tests/gpu/test_launches.py $(ARGS)

# What we write of splats against PlayCanvas's converter, which npm fetches; needs node.
test-splat-transform: $(READY)
	npm install --silent --no-save --prefix .splat_transform @playcanvas/splat-transform@2.7.1
	LERF_TEST_SPLAT_TRANSFORM=$(CURDIR)/.splat_transform/node_modules/.bin/splat-transform \
		$(PYTHON) -m pytest tests/splats/test_splat_transform.py $(ARGS)

# A catalogue in an S3 server of this machine, whose packages lie apart: its boto fits no other.
test-s3: $(READY)
	$(PYTHON) -m pip install --quiet --upgrade --only-binary :all: --target .moto 'moto[s3,server]==5.2.5'
	LERF_TEST_MOTO=$(CURDIR)/.moto $(PYTHON) -m pytest tests/catalogue/test_object_store.py $(ARGS)

lint: $(READY)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	.venv/bin/lint-imports --no-logo --no-cache

bench: $(READY)
	$(PYTHON) benchmarks/run.py $(ARGS)

# Spoilt inputs against the readers and commands: ten minutes, or ARGS="--seconds 60".
fuzz: $(READY)
	$(PYTHON) fuzz/fuzz.py $(ARGS)

# Commands killed at random: ARGS="--kills 1000 --journal runs/kills.jsonl" is a night, and goes on where it stopped.
fuzz-kills: $(READY)
	$(PYTHON) fuzz/kills.py $(ARGS)

# Into dist/. What an earlier build left is not to get into it.
wheel: $(READY)
	rm -rf build
	$(PYTHON) -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

# The capture that ships with the package, as scenes/demo.py says; some 10 minutes.
demo-scene: $(READY)
	$(PYTHON) recipes/demo_scene.py

# Pictures (an hour on two cores), training (three quarters), weights, numbers of the model card. Each step goes on
# where it was stopped.
DATA ?= runs/mini
mini-encoder: $(READY)
	$(PYTHON) recipes/mini/render_data.py $(DATA)/train --part 0 --parts 2 & first=$$!; \
	$(PYTHON) recipes/mini/render_data.py $(DATA)/train --part 1 --parts 2 && wait $$first
	$(PYTHON) recipes/mini/render_data.py $(DATA)/measure --measure --scenes 12 --views 6
	$(PYTHON) recipes/mini/train.py $(DATA)/train $(DATA)/state
	$(PYTHON) recipes/mini/export.py $(DATA)/train $(DATA)/state
	$(PYTHON) recipes/mini/measure.py $(DATA)/measure
	$(MAKE) mini-things

# What tells things apart in photos, on the tower as it is; the pictures are those of mini-encoder, some 3,000 will do.
mini-things: $(READY)
	$(PYTHON) recipes/mini/things.py $(DATA)/train $(DATA)/things
