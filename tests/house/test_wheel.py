"""The wheel, not the checkout: what is in it, that it leaves another pyspark as it is, and that it works beside that one."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pyspark
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
OTHER_SPARK = "4.0.1" if pyspark.__version__.startswith("4.1.") else "4.1.1"
UV = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
PROGRAM = """
import sys
from importlib.metadata import version
from pathlib import Path

import pyspark
from pyspark.sql import SparkSession

import sparknlp_tx
from sparknlp_tx import TransformerClassificationModel, TransformerClassifier
from sparknlp_tx.testing import make_checkpoint

assert Path(sparknlp_tx.__file__).is_relative_to(sys.prefix), sparknlp_tx.__file__
assert pyspark.__version__ == version("pyspark") == sys.argv[1], pyspark.__file__
assert Path(pyspark.__file__).is_relative_to(sys.prefix)
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
rows = [("my card was stolen", "card"), ("what is the exchange rate", "rate")] * 10
df = spark.createDataFrame(rows, "text string, label string").coalesce(1)
checkpoint = make_checkpoint([text for text, _ in rows], "checkpoint", hidden_size=32)
settings = {"numTrainEpochs": 5.0, "learningRate": 1e-3, "maxLength": 16, "precision": "float32"}
model = TransformerClassifier(checkpoint=checkpoint, **settings).fit(df)
scored = model.transform(df).select("text", "predictedLabel", "probability").collect()
assert len(scored) == 20
model.save("model")
assert TransformerClassificationModel.load("model").transform(df).select("text", "predictedLabel", "probability").collect() == scored
spark.stop()
"""


def run(*command: str | Path, **options) -> str:
    """What a command says, on both its outputs."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600, check=False, **options)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel that was built from a copy of the checkout."""
    if UV is None:
        pytest.skip("uv is not installed (make installs it beside the project)")
    source, out = tmp_path_factory.mktemp("source") / "copy", tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "sparknlp_tx", source / "sparknlp_tx", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    run(UV, "build", "--wheel", "--python", sys.executable, "--out-dir", out, source)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """The Python of an environment with another pyspark and the wheel; all other packages are those of this environment."""
    folder = tmp_path_factory.mktemp("environment")
    python = folder / "bin" / "python"
    run(UV, "venv", "--clear", "--python", sys.executable, folder)
    run(UV, "pip", "install", "--python", python, f"pyspark=={OTHER_SPARK}")
    own = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    Path(own, "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    run(UV, "pip", "install", "--python", python, "--no-deps", wheel)
    return python


def test_what_is_in_it(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    kinds = (".py", ".pyi", ".typed", ".jinja")
    files = {str(path.relative_to(ROOT)) for path in ROOT.glob("sparknlp_tx/**/*.*") if path.suffix in kinds}
    assert {name for name in names if ".dist-info/" not in name} == files
    assert "sparknlp_tx/cli/commands/score.py" in names


def test_another_pyspark_stays(wheel, environment):
    """What installing it with all that it requires would change: pyspark and what belongs to it are not among that."""
    would = run(UV, "pip", "install", "--dry-run", "--reinstall-package", "sparknlp-tx", "--python", environment, wheel)
    changed = {line.split()[1].partition("==")[0] for line in would.splitlines() if line.startswith((" + ", " - ", " ~ "))}
    assert {"transformers", "sparknlp-tx"} <= changed
    assert not changed & {"pyspark", "py4j", "delta-spark"}


def test_it_works_beside_another_pyspark(environment, tmp_path):
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "SPARK_HOME")}
    env |= {"PYSPARK_PYTHON": str(environment), "SPARK_LOCAL_IP": "127.0.0.1"}
    run(environment, "-c", PROGRAM, OTHER_SPARK, cwd=tmp_path, env=env)
    version = run(environment, "-c", "import pyspark; print(pyspark.__version__)", cwd=tmp_path, env=env)
    assert version.strip() == OTHER_SPARK
