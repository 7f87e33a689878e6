"""The pages about dataclasses say what is so."""

from __future__ import annotations

import ast
import doctest
import inspect
import pathlib
import re

import pytest

from slipring import dataclass
from slipring.dataclass import Meta

DOCS = pathlib.Path(__file__).resolve().parents[3] / "docs"


@pytest.mark.parametrize(("page", "least"), [("dataclasses.md", 12), ("coming-from.md", 15)])
def test_the_examples_of_a_page_are_true(page, least, registered):
    """D1 to D4: each example is run, in the order of the page."""
    text = (DOCS / page).read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks), {"__name__": "page"}, page, page, 0)
    result = doctest.DocTestRunner().run(examples)
    assert result.attempted >= least and not result.failed


def test_each_option_is_on_the_page():
    """A new option is documented where the others are."""
    text = (DOCS / "dataclasses.md").read_text()
    for name in Meta.__dataclass_fields__:
        assert f"`{name}`" in text, name
    for name in dataclass.__all__:
        assert name in text, name


def test_the_stub_has_the_module_s_functions():
    """M5: names, kinds and defaults of the parameters; of those with two forms the longer one."""
    tree = ast.parse((pathlib.Path(dataclass.__file__).parent / "__init__.pyi").read_text())
    stubs = {node.name: node.args for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert set(stubs) == {name for name in dataclass.__all__ if inspect.isbuiltin(getattr(dataclass, name))}
    for name, given in stubs.items():
        real = inspect.signature(getattr(dataclass, name)).parameters.values()
        assert [p.name for p in real] == [arg.arg for arg in (*given.posonlyargs, *given.kwonlyargs)]
        of_keywords = [p.default for p in real if p.kind is inspect.Parameter.KEYWORD_ONLY]
        assert of_keywords == [ast.literal_eval(default) for default in given.kw_defaults]
