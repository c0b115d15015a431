# make book         builds the book, and says which file to open
# make test         runs all tests, the site and every notebook included
# make serve        shows the built book at http://localhost:8000
# make lab          opens the notebooks in JupyterLab
# make notebooks    runs the notebooks and stores their outputs as they are committed
# make student      writes the notebooks without solutions into _build/student
# make lighthouse   measures every page of the book on a phone (needs Node.js and Chromium)
# make experiments  runs the studies whose results the chapters show
# make bench        compares the losses with torch's own for speed, and two trainings with one
# make conventions  runs what the book says of PyTorch, Keras, scikit-learn and optax
# make lint         checks the style of the code
# make clean        removes what was built, and keeps the environment

# Prints which Python it is where the book is for it, and a new environment can be made with it.
USABLE := import ensurepip, sys; (3, 11) <= sys.version_info[:2] <= (3, 14) or sys.exit(1); \
	print(sys._base_executable)
# python3 if that is usable, else the newest that is; `make book PYTHON=/path/to/python` names another.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$name" -c '$(USABLE)' 2>/dev/null && break; done)
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

.PHONY: book test serve lab notebooks student lighthouse experiments bench conventions lint clean

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

student: $(INSTALLED)
	@$(VENV) book/_tools/student.py

lighthouse: book
	@$(VENV) book/_tools/lighthouse.py

experiments: $(INSTALLED)
	@$(VENV) -m lossbook.experiments run

bench: $(INSTALLED)
	@$(VENV) benchmarks/beside_torch.py
	@$(VENV) benchmarks/side_by_side.py

conventions: $(CONVENTIONS)/installed
	@$(CONVENTIONS)/bin/python tests/conventions.py

lint: $(INSTALLED)
	@$(VENV) -m ruff check .
	@$(VENV) -m ruff format --check lossbook tests

clean:
	rm -rf _build .pytest_cache .ruff_cache .hypothesis

# An environment for what follows: made anew with the Python $(2) if an installation into it was not
# finished, or its own Python is gone. It counts as unfinished until `finished`.
define environment
@if [ -e $(1)/unfinished ] || ! $(1)/bin/python -c '$(USABLE)' >/dev/null 2>&1 \
	|| ! $(1)/bin/python -m pip --version >/dev/null 2>&1; then \
	python=$$("$(2)" -c '$(USABLE)' 2>/dev/null) || { \
		echo "This book needs Python 3.11, 3.12, 3.13 or 3.14 with venv and ensurepip: install one" \
			"(python3-venv on Debian), or name one with PYTHON=/path/to/python" >&2; exit 1; }; \
	rm -rf $(1) && mkdir $(1) && touch $(1)/unfinished && "$$python" -m venv $(1) || { \
		echo "No environment could be made in $(1): see above. The next try starts afresh." >&2; \
		exit 1; }; \
fi
@rm -f $(1)/installed && touch $(1)/unfinished
endef

define install
@$(1)/bin/python -m pip install --quiet $(2) || { \
	free=$$(df -Pk . | awk 'NR == 2 {print int($$4 / 1024)}'); \
	[ "$$free" -ge 1000 ] && what="see above" || what="the disk is full, with $$free MB left"; \
	echo "Not all packages could be installed: $$what. The next try starts afresh." >&2; exit 1; }
endef

define finished
@rm $(1)/unfinished && touch $(1)/installed
endef

# Up to date until the pinned packages or the project's own metadata change.
$(INSTALLED): requirements.txt pyproject.toml
	$(call environment,.venv,$(PYTHON))
	@echo "Installing the pinned packages into .venv (a few minutes the first time)."
	$(call install,.venv,-r requirements.txt)
	$(call install,.venv,--no-deps --no-build-isolation -e .)
	$(call finished,.venv)

$(CONVENTIONS)/installed: requirements-conventions.txt $(INSTALLED)
	$(call environment,$(CONVENTIONS),$(VENV))
	@echo "Installing Keras, JAX and optax into $(CONVENTIONS) (a few minutes the first time)."
	$(call install,$(CONVENTIONS),-r requirements-conventions.txt)
	$(call install,$(CONVENTIONS),--no-deps --no-build-isolation -e .)
	$(call finished,$(CONVENTIONS))
