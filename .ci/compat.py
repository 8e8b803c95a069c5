"""The versions of Python, Spark and transformers that are supported: an environment for each combination, a part of the tests, a table.

    python .ci/compat.py [--folder FOLDER] [NAME ...]

Needs `uv`, PyPI, Maven Central, and the Pythons (of pyenv, else as uv finds or fetches them). Exit code 1: a combination failed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHOWN = ("pyspark", "delta-spark", "transformers", "torch", "pandas", "pyarrow", "mlflow")
INSTALLING, TESTING = 1_800, 1_200  # seconds, at most

CLASSIC = (
    "tests/scoring/test_transform.py",
    "tests/scoring/test_observation.py",
    "tests/scoring/test_odd_texts.py",
    "tests/inference/test_engine.py",
    "tests/inference/test_openvino.py::test_every_architecture_gives_the_same_logits_or_falls_back_with_a_warning",
    "tests/inference/test_openvino.py::test_every_precision_keeps_the_labels_of_float32",
    "tests/ml/test_model_methods.py::test_evaluate_gives_a_summary",
    "tests/ml/test_model_methods.py::test_spark_knows_the_labels_of_the_prediction",
    "tests/scoring/test_functions.py::test_a_function_for_expressions_and_sql",
    "tests/scoring/test_functions.py::test_a_function_of_pairs",
    "tests/scoring/test_functions.py::test_streams_are_scored",
    "tests/ml/test_persistence.py::test_a_model_comes_back_as_it_was",
    "tests/ml/test_persistence.py::test_hugging_face_loads_the_inner_directory_and_gives_the_same_labels",
    "tests/ml/test_persistence.py::test_an_estimator_comes_back_as_it_was",
    "tests/ml/test_persistence.py::test_in_a_pipeline_it_is_saved_and_loaded_by_spark",
    "tests/spark/test_object_store.py::test_a_model_goes_there_and_comes_back",
    "tests/ml/test_params.py::test_lora_rank",
    "tests/ml/test_errors.py::test_a_loss_that_is_no_number_stops_the_fit",
    "tests/tracking/test_mlflow.py::test_a_run_tells_how_the_model_came_about",
    "tests/tracking/test_mlflow.py::test_pyfunc_transform_and_predict_agree",
    "tests/lifecycle/test_tune.py::test_a_failing_trial_keeps_its_traceback_and_three_stop_the_study",
    "tests/lifecycle/test_compare.py::test_models_of_an_experiment_and_of_a_folder",
    "tests/lifecycle/test_gate.py::test_the_command_ends_with_3_and_tells_why",
    "tests/lifecycle/test_promotion.py::test_a_model_is_promoted_twice_and_rolled_back",
)
CONNECT = (
    "tests/scoring/test_transform.py::test_it_has_learnt_and_every_row_comes_back_once_in_its_place",
    "tests/scoring/test_observation.py::test_counters_tell_what_was_done",
    "tests/ml/test_model_methods.py::test_evaluate_gives_a_summary",
    "tests/scoring/test_functions.py::test_a_function_for_expressions_and_sql",
    "tests/ml/test_persistence.py::test_in_a_pipeline_it_is_saved_and_loaded_by_spark",
)
CLUSTER = ("tests/between_sessions/test_cluster.py::test_executors_do_not_need_the_drivers_files",)
ALL = {"classic": CLASSIC, "connect": CONNECT, "local-cluster": CLUSTER}
# pyspark 3.5 does not bring a Connect server; its jar would have to be fetched.
WITHOUT_SERVER = {"classic": CLASSIC, "local-cluster": CLUSTER}


@dataclass(frozen=True)
class Combination:
    """Versions to be tested together.

    Args:
        pins: requirements that constrain the installation, or a file of them; empty for the lowest that setup.cfg allows.
        tested: the tests by the kind of session.
    """

    name: str
    what: str
    python: str
    pins: str
    tested: dict[str, tuple[str, ...]]


# What Databricks ships stands in the constraint files that github.com/pietern/databricks-environments keeps of each runtime. Of 16.4
# two are others here: its pandas 1.5.3 has no wheel for Python 3.12, and its mlflow 2.21 is older than this library takes.
DBR16 = """
pyspark==3.5.2 delta-spark==3.2.0 transformers~=4.50.2 tokenizers~=0.21.0 torch==2.6.0 accelerate~=1.5.2 datasets~=3.5.0
numpy~=1.26.4 pandas~=2.1.1 pyarrow~=15.0.2 scikit-learn~=1.4.2 scipy~=1.13.1 matplotlib~=3.8.4 safetensors~=0.4.4
huggingface-hub~=0.29.3 sqlalchemy~=2.0.30 psutil~=5.9.0 pyyaml~=6.0.1 setuptools~=74.0 mlflow~=3.0.1
"""
DBR17 = """
pyspark==4.0.0 delta-spark==4.0.0 transformers~=4.51.3 tokenizers~=0.21.0 torch==2.7.0 accelerate~=1.5.2 datasets~=3.5.0
numpy~=2.1.3 pandas~=2.2.3 pyarrow~=19.0.1 scikit-learn~=1.6.1 scipy~=1.15.1 matplotlib~=3.10.0 safetensors~=0.6.2
huggingface-hub~=0.30.2 sqlalchemy~=2.0.37 psutil~=5.9.0 pyyaml~=6.0.2 setuptools~=74.0 mlflow~=3.0.1 protobuf~=5.29.4
grpcio~=1.67.0 grpcio-status~=1.67.0
"""
SPARK35 = "pyspark~=3.5.9 delta-spark~=3.3.3 transformers==5.23.0 torch==2.15.0 numpy<2"
SPARK41 = "pyspark~=4.1.4 delta-spark==4.4.0 transformers==4.57.6 torch==2.15.0"
COMBINATIONS = (
    Combination("lowest", "the lowest that setup.cfg allows", "3.10", "", WITHOUT_SERVER),
    Combination("dbr16", "Databricks Runtime 16.4 LTS ML", "3.12", DBR16, WITHOUT_SERVER),
    Combination("dbr17", "Databricks Runtime 17.3 LTS ML", "3.12", DBR17, ALL),
    Combination("spark35", "the last Spark 3.5 with transformers 5", "3.11", SPARK35, WITHOUT_SERVER),
    Combination("spark41", "Spark 4.1 with the last transformers 4", "3.11", SPARK41, ALL),
    Combination("python310", "constraints.txt", "3.10", "constraints.txt", ALL),
    Combination("python313", "constraints.txt", "3.13", "constraints.txt", ALL),
)


def main() -> int:
    """Test the combinations that are named, or all; the table goes to standard output, what is being done to standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [combination.name for combination in COMBINATIONS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)} (default: all)")
    folder = Path(tempfile.gettempdir(), "sparknlp_tx-compat")
    parser.add_argument("--folder", type=Path, default=folder, help="for the environments (default: %(default)s)")
    options = parser.parse_args()
    if unknown := set(options.names) - set(names):
        parser.error(f"no such combination: {', '.join(unknown)}")
    rows, complaints = [], []
    for combination in COMBINATIONS:
        if combination.name in (options.names or names):
            row, complaint = test(combination, options.folder / combination.name)
            rows.append(row)
            complaints += [f"{combination.name}: {line}" for line in complaint]
    columns = ("combination", "Python", *SHOWN, "result", "passed", "failed", "skipped", "seconds")
    print("", line(columns), line("---" for _ in columns), *map(line, rows), "", sep="\n")
    print(*complaints, sep="\n")
    return 1 if complaints else 0


def line(cells) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"


def test(combination: Combination, folder: Path) -> tuple[list, list[str]]:
    """Install and test; returns the row of the table, and what went wrong."""
    begin, found, complaints, versions = time.monotonic(), Counter(), [], ["?"] * len(SHOWN)
    python = folder / "environment" / "bin" / "python"
    try:
        install(combination, folder, python)
        shown = f"from importlib.metadata import version as v; print(*map(v, {SHOWN}))"
        versions = run([str(python), "-c", shown], 60, capture=True).split()
        for kind, tests in combination.tested.items():
            say(f"{combination.name}: {kind}")
            counts, failures = run_tests(python, kind, tests, folder / f"{kind}.xml")
            found += counts
            complaints += [f"{kind}: {failure}" for failure in failures]
    except (subprocess.SubprocessError, OSError) as error:
        complaints.append(f"{error}\n{getattr(error, 'stderr', None) or ''}"[-3000:])
    result = "fails" if complaints else "passes"
    say(f"{combination.name}: {result} {dict(found)}")
    counts = (found["passed"], found["failed"], found["skipped"], round(time.monotonic() - begin))
    return [f"{combination.name}: {combination.what}", combination.python, *versions, result, *counts], complaints


def install(combination: Combination, folder: Path, python: Path) -> None:
    """Make the environment of a combination afresh, with the checkout in it."""
    say(f"{combination.name}: installing")
    folder.mkdir(parents=True, exist_ok=True)
    uv = [shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}") or "uv"]
    run([*uv, "venv", "--quiet", "--clear", "--python", interpreter(combination.python), str(python.parent.parent)], 600)
    install = [*uv, "pip", "install", "--quiet", "--python", str(python), "--editable", ".[spark,cpu,dev]"]
    if not combination.pins:
        run([*install, "--resolution", "lowest-direct"], INSTALLING)
        return
    file = folder / "constraints.txt"
    pins = combination.pins
    file.write_text((ROOT / pins).read_text() if pins.endswith(".txt") else "\n".join(pins.split()) + "\n")
    run(
        [*install, "--constraint", str(file), "setuptools"], INSTALLING
    )  # pyspark 3.5 imports distutils, which Python 3.12 lacks


def interpreter(version: str) -> str:
    """pyenv's Python of a version, whose shims uv cannot ask; else the version, which uv finds or fetches."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    return str(next(iter(sorted(versions.glob(f"{version}.*/bin/python"))), version))


def run_tests(python: Path, kind: str, tests: tuple[str, ...], report: Path) -> tuple[Counter, list[str]]:
    """Run tests in a kind of session; returns how many passed, failed and were skipped, and those that failed."""
    report.unlink(missing_ok=True)
    command = [str(python), "-m", "pytest", *tests, "--session", kind, "-m", "not slow", "-p", "no:cacheprovider", "-q"]
    environment = {"OMP_NUM_THREADS": "1"} | os.environ | {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    with open(report.with_suffix(".log"), "w") as log:
        code = subprocess.run(
            [*command, f"--junitxml={report}"], cwd=ROOT, env=environment, stdout=log, stderr=log, timeout=TESTING, check=False
        ).returncode
    if not report.is_file():
        return Counter(), [f"pytest ended with {code}, see {report.with_suffix('.log')}"]
    counts, failures = Counter(), []
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        counts[outcome] += 1
        failures += [f"{case.get('classname')}.{case.get('name')}"] * (outcome == "failed")
    return counts, failures if failures or counts["passed"] else [f"no test ran, see {report.with_suffix('.log')}"]


def run(command: list[str], seconds: float, capture: bool = False) -> str:
    """Run a command in the checkout; what it says on standard output."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=True)
    return done.stdout if capture else ""


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
