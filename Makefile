# make book         builds the book, and says which file to open
# make test         runs all tests, the site and every notebook included
# make serve        shows the built book at http://localhost:8000
# make lab          opens the notebooks in JupyterLab
# make notebooks    runs the notebooks and stores their outputs as they are committed
# make experiments  runs the studies whose results the chapters show
# make bench        compares the losses with torch's own for speed, and two trainings with one
# make conventions  runs what the book says of PyTorch, Keras, scikit-learn and optax
# make lint         checks the style of the code
# make clean        removes what was built, and keeps the environment

# A Python 3.11; `make book PYTHON=/path/to/python` names another one.
PYTHON ?= $(shell for name in python3.11 python3 python; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1 \
	&& echo "$$name" && break; done)
VENV := .venv/bin/python
INSTALLED := .venv/installed
# Keras, JAX and optax stand in an environment of their own, which nothing else needs.
CONVENTIONS := .venv-conventions
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# A notebook runs in its own folder, so that a relative path would be looked for there.
ifneq ($(LOSSBOOK_DATA),)
export LOSSBOOK_DATA := $(if $(filter /%,$(LOSSBOOK_DATA)),$(LOSSBOOK_DATA),$(CURDIR)/$(LOSSBOOK_DATA))
endif

# Threads of torch that sleep while they wait, in every kernel: a chapter may load torch before the
# package, which asks for them otherwise.
ifeq ($(OMP_WAIT_POLICY)$(GOMP_SPINCOUNT),)
export OMP_WAIT_POLICY := passive
export GOMP_SPINCOUNT := 0
endif

.PHONY: book test serve lab notebooks experiments bench conventions lint clean

book: $(INSTALLED)
	@$(VENV) book/_tools/build.py

test: $(INSTALLED)
	@$(VENV) -m pytest -q -n 2 --dist loadfile

serve: book
	@echo "The book is at http://localhost:8000 (stop with Ctrl-C)."
	@$(VENV) -m http.server --bind 127.0.0.1 --directory _build/html 8000

lab: $(INSTALLED)
	@$(VENV) -m jupyterlab book

notebooks: $(INSTALLED)
	@$(VENV) book/_tools/notebooks.py

experiments: $(INSTALLED)
	@$(VENV) -m lossbook.experiments

bench: $(INSTALLED)
	@$(VENV) benchmarks/beside_torch.py
	@$(VENV) benchmarks/side_by_side.py

conventions: $(CONVENTIONS)/installed
	@$(CONVENTIONS)/bin/python tests/conventions.py

lint: $(INSTALLED)
	@$(VENV) -m ruff check .

clean:
	rm -rf _build .pytest_cache .ruff_cache .hypothesis

# Up to date until the pinned packages or the project's own metadata change.
$(INSTALLED): requirements.txt pyproject.toml
	@if [ ! -x $(VENV) ] && ! "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; \
	then echo "This book needs Python 3.11: install it, or name one with PYTHON=/path/to/python3.11" >&2; exit 1; fi
	@[ -x $(VENV) ] || "$(PYTHON)" -m venv .venv
	@echo "Installing the pinned packages into .venv (a few minutes the first time)."
	@$(VENV) -m pip install --quiet -r requirements.txt
	@$(VENV) -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(CONVENTIONS)/installed: requirements-conventions.txt $(INSTALLED)
	@[ -x $(CONVENTIONS)/bin/python ] || $(VENV) -m venv $(CONVENTIONS)
	@echo "Installing Keras, JAX and optax into $(CONVENTIONS) (a few minutes the first time)."
	@$(CONVENTIONS)/bin/python -m pip install --quiet -r requirements-conventions.txt
	@$(CONVENTIONS)/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@
