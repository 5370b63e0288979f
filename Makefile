# make figures          every figure and claim of the default study, desk. STUDY=smoke or STUDY=my.yaml selects another study;
#                       several files are merged in order: STUDY='paper docs/paper-reduced.yaml'
# make report           the same as one page, results/desk/report.html; missing results are computed first
# make gallery          figures and captions for docs/gallery.md, taken from that report
# make unlock           cleanup after a killed snakemake; make figures and make report do this first
# make watch            a live view of a running study in the terminal; STUDY as above
# make test             the tests, a few minutes
# make test-all         all tests, also slow ones and those that need a browser (Debian: chromium and chromium-driver) and
#                       SLURM (slurmctld, slurmd, slurm-client and munge; root); skipped tests say what is missing
# make faults           60 kills at random moments of every stage, half an hour; SEED=n draws other moments
# make reruns           the tables of docs/reruns.md, from dry runs
# make docs             the pages in docs/ as a site, docs/_build/html; warnings are errors
# make rulegraph        the graph of the rules, docs/rulegraph.svg (Debian: graphviz)
# make reference        the tables of keys in config/README.md, from the schema and config.yaml
# make bench            the eigensolver timed against other libraries, on an idle machine
# make lint             formatters, linters, the type checker and the spelling
#
# Each target installs .venv from the lock, requirements.txt, if .venv is missing or the lock changed.

VENV := .venv
BIN := $(VENV)/bin
STUDY :=
# desk is config.yaml itself; other studies are merged into it.
STUDY_FILES := $(foreach study,$(filter-out desk,$(STUDY)),$(if \
    $(filter %.yaml %.yml,$(study)),$(study),workflow/studies/$(study).yaml))
STUDIES := desk $(basename $(notdir $(wildcard workflow/studies/*.yaml)))
# It comes last on the command line, because snakemake would take targets after it for configuration files.
CONFIGURATION := $(if $(STUDY_FILES),--configfile $(STUDY_FILES))

# The name of the study, from the last file that gives one.
NAMED = $(lastword $(shell sed -n 's/^study: *\([^ #]*\).*/\1/p' config.yaml $(STUDY_FILES)))
RESULTS = results/$(NAMED)
REPORT = $(RESULTS)/report.html

.PHONY: figures report gallery unlock watch docs rulegraph reference test test-all faults reruns bench lint lock study venv

figures: unlock
	$(BIN)/snakemake $(CONFIGURATION)

report: unlock
	$(BIN)/snakemake reported $(CONFIGURATION)
	@$(BIN)/snakemake reported --report $(REPORT) --report-stylesheet workflow/report/style.css $(CONFIGURATION) \
	    > $(RESULTS)/logs/report.log 2>&1 || { cat $(RESULTS)/logs/report.log; exit 1; }
	@echo "The report is $(REPORT), one file that any browser opens."

gallery: report
	$(BIN)/python docs/gallery.py $(REPORT)

unlock: study venv
	@PYTHONPATH=workflow $(BIN)/python -m runtime.lock $(RESULTS)

study:
	@for file in $(STUDY_FILES); do [ -f "$$file" ] || { \
	    echo "There is no study $$file; STUDY takes files (.yaml) and names: $(STUDIES)."; exit 1; }; done

watch: study venv
	@PYTHONPATH=workflow $(BIN)/python -m runtime.watch $(STUDY_FILES)

docs: venv
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build/html
	@echo "The pages are docs/_build/html/index.html; it needs no network."

# Graphviz writes its version into the picture, which would change it with every version.
rulegraph: venv
	$(BIN)/snakemake --rulegraph dot 2> /dev/null | $(BIN)/python docs/rulegraph.py | dot -Tsvg \
	    | sed '/<!-- Generated/,/-->/d' > docs/rulegraph.svg

reference: venv
	$(BIN)/python docs/configuration_reference.py

test: venv
	$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup -m "not slow"

test-all: venv
	$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup -rs --durations=10 tests

faults: venv
	KILLS=60 $(BIN)/python -m pytest -rs tests/system/test_fault_campaign.py

reruns: venv
	REWRITE=1 $(BIN)/python -m pytest tests/system/test_rerun_table.py

bench: venv
	$(BIN)/python -m benchmarks

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=workflow $(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/snakefmt --check Snakefile workflow/Snakefile workflow/rules
	$(BIN)/mypy
	$(BIN)/snakemake --lint
	$(BIN)/codespell

# After a change of pyproject.toml: `pip install uv`, then `make lock`.
lock:
	uv pip compile pyproject.toml --extra workflow --extra dev --extra peers --extra slurm --extra docs --universal \
	    --fork-strategy fewest --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --custom-compile-command 'make lock' -o requirements.txt

# The lock is copied into .venv last, so a broken installation is repeated.
venv:
	@case '$(CURDIR)' in *' '*) \
	    echo "Snakemake cannot start jobs below a path with spaces: move '$(CURDIR)' elsewhere."; exit 1;; esac
	@cmp -s requirements.txt $(VENV)/requirements.txt || { \
	    for python in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	        $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
	        python=; \
	    done; \
	    [ -n "$$python" ] || { echo 'eigendrift needs Python 3.11 or newer: make PYTHON=/path/to/python3'; exit 1; }; \
	    echo "Installing $(VENV) from requirements.txt (a few minutes, because PyTorch is large)"; \
	    $$python -m venv --clear $(VENV) \
	    && $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	        -r requirements.txt \
	    && cp requirements.txt $(VENV)/requirements.txt; }
