"""The types that a user's type checker sees: it follows the public names, knows every Param, and finds what is wrong."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WRONG = {  # lines of a program, and what is to be found in each
    'TransformerClassifier(txtCol="a")': 'Unexpected keyword argument "txtCol"',
    'TransformerClassifier(batchSize="x")': 'incompatible type "str"; expected "int"',
    'TransformerClassifier().setBatchSize("x")': 'incompatible type "str"; expected "int"',
    "TransformerClassifier().setSeed(1).setTxtCol": '"TransformerClassifier" has no attribute "setTxtCol"',
    "name: str = TransformerClassifier().getBatchSize()": 'expression has type "int"',
    "TransformerClassifier().fit(rows).lables": '"TransformerClassificationModel" has no attribute "lables"',
    "TransformerClassifier().fit(rows, []).labels": '"list[TransformerClassificationModel]" has no attribute "labels"',
    "TransformerClassifier.load('e').getTxtCol()": '"TransformerClassifier" has no attribute "getTxtCol"',
    "TransformerClassificationModel.load('m').quantize(rows).lables": '"TransformerClassificationModel" has no attribute',
}


def mypy(*arguments: str) -> str:
    """What mypy says, as of an installed package: of the library itself only where that is what it checks."""
    pytest.importorskip("mypy")
    answer = subprocess.run([sys.executable, "-m", "mypy", *arguments], capture_output=True, text=True, cwd=ROOT)
    assert answer.returncode in (0, 1), answer.stdout + answer.stderr
    return answer.stdout


def test_the_package_has_no_type_errors():
    assert mypy().startswith("Success")


def test_a_users_program_has_no_type_errors():
    assert mypy("--strict", "--follow-imports=silent", "tests/house/typed_user.py").startswith("Success")


def test_a_users_mistakes_are_found(tmp_path):
    program = [
        "from pyspark.sql import DataFrame",
        "from sparknlp_tx import TransformerClassificationModel, TransformerClassifier",
    ]
    program += ["def use(rows: DataFrame) -> None:", *(f"    {line}" for line in WRONG)]
    (tmp_path / "wrong.py").write_text("\n".join(program))
    told = mypy("--follow-imports=silent", str(tmp_path / "wrong.py"))
    for number, (line, message) in enumerate(WRONG.items(), 4):
        assert [m for m in told.splitlines() if f"wrong.py:{number}: error" in m and message in m], f"{line}\n{told}"


def test_the_stub_has_every_param_with_its_getter_and_setter():
    from sparknlp_tx import TransformerClassifier
    from sparknlp_tx.ml.params import TransformerClassifierParams

    stub = ast.parse((ROOT / "sparknlp_tx" / "ml" / "params.pyi").read_text())
    bodies = {node.name: node.body for node in stub.body if isinstance(node, ast.ClassDef)}
    fields, attributes = (
        {node.target.id: ast.unparse(node.annotation) for node in bodies[name] if isinstance(node, ast.AnnAssign)}
        for name in ("ParamValues", "TransformerClassifierParams")
    )
    methods = {node.name: node for node in bodies["TransformerClassifierParams"] if isinstance(node, ast.FunctionDef)}
    own = vars(TransformerClassifierParams)
    params = {param.name for param in TransformerClassifier().params}
    assert set(fields) == params
    assert attributes == {name: f"Param[{kind}]" for name, kind in fields.items() if name in own}
    assert set(methods) == {name for name, value in own.items() if callable(value)}
    for name, kind in fields.items():
        accessor = name[0].upper() + name[1:]
        assert ast.unparse(methods[f"set{accessor}"]) == f"def set{accessor}(self, value: {kind}) -> Self:\n    ..."
        if f"get{accessor}" in methods:
            assert ast.unparse(methods[f"get{accessor}"]) == f"def get{accessor}(self) -> {kind}:\n    ..."
        else:  # of Spark ML's own mixin
            assert hasattr(TransformerClassifierParams, f"get{accessor}")
