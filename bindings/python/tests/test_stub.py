"""The stub that users read against the module that they run."""

from __future__ import annotations

import ast
import inspect
import pathlib
import sys

import pytest

import slipring
from slipring import _native

TREE = ast.parse((pathlib.Path(slipring.__file__).parent / "_native.pyi").read_text())
CLASSES = {node.name: node for node in TREE.body if isinstance(node, ast.ClassDef)}
FUNCTIONS = {node.name: node for node in TREE.body if isinstance(node, ast.FunctionDef)}
# What every class of an extension module has, and what Python makes of a slot by itself.
GIVEN = {"__doc__", "__module__", "__new__", "__repr__", "__str__", "__hash__", "__release_buffer__"}


def parameters(node):
    """Of a function in the stub: name, kind and, where it is written, default of each parameter."""
    given = node.args
    empty = inspect.Parameter.empty
    positional = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(positional) - len(given.defaults)) + given.defaults
    kinds = [inspect.Parameter.POSITIONAL_ONLY] * len(given.posonlyargs)
    kinds += [inspect.Parameter.POSITIONAL_OR_KEYWORD] * len(given.args)
    rows = [*zip(positional, kinds, defaults)]
    rows += [
        (argument, inspect.Parameter.KEYWORD_ONLY, default)
        for argument, default in zip(given.kwonlyargs, given.kw_defaults)
    ]
    if given.kwarg:
        rows.append((given.kwarg, inspect.Parameter.VAR_KEYWORD, None))
    return [
        (argument.arg, kind, empty if default is None else ast.literal_eval(default))
        for argument, kind, default in rows
        if argument.arg != "self"
    ]


def real(function):
    found = inspect.signature(function).parameters.values()
    return [(p.name, p.kind, p.default) for p in found if p.name != "self"]


def names(node):
    return {
        item.name for item in node.body if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef))
    }


def test_the_stub_names_what_there_is():
    """Each public function and class, no more and no fewer; the package gives all of them."""
    public = {name for name in vars(_native) if not name.startswith("_")}
    assert public == {name for name in {**CLASSES, **FUNCTIONS} if not name.startswith("_")}
    assert all(getattr(slipring, name) is getattr(_native, name) for name in public)
    assert set(slipring.__all__) <= set(vars(slipring))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_have_the_stub_s_signatures(name):
    """Names, kinds and defaults of the parameters."""
    assert real(getattr(_native, name)) == parameters(FUNCTIONS[name])


@pytest.mark.parametrize("name", [name for name in CLASSES if not name.startswith("_")])
def test_classes_have_the_stub_s_members(name):
    """Every attribute and method, and the signature of each method."""
    found = vars(getattr(_native, name))
    members = names(CLASSES[name])
    if sys.version_info < (3, 12):
        # There it is a slot without a name.
        members.discard("__buffer__")
    assert {member for member in found if member not in GIVEN} == members
    for node in CLASSES[name].body:
        if not isinstance(node, ast.FunctionDef):
            continue
        decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
        if "property" in decorators:
            assert inspect.isgetsetdescriptor(found[node.name]), node.name
        elif node.name.startswith("__"):
            # Called by the interpreter, by position.
            if node.name in ("__exit__", "__array__"):
                assert len(parameters(node)) == len(real(found[node.name])), node.name
        elif "overload" in decorators:
            stub, module = parameters(node), real(found[node.name])
            assert [p[:2] for p in stub] == [p[:2] for p in module], node.name
            assert all(p[2] in (q[2], inspect.Parameter.empty) for p, q in zip(stub, module))
        else:
            assert real(found[node.name]) == parameters(node), node.name


def told(node):
    """Of a class or function in the stub: its docstring, and those of its members; of overloads the last one."""
    found = {node.name: ast.get_docstring(node)}
    for item in node.body if isinstance(node, ast.ClassDef) else ():
        if isinstance(item, ast.FunctionDef) and (doc := ast.get_docstring(item)):
            found[item.name] = doc
    return found


@pytest.mark.parametrize("name", [name for name in {**CLASSES, **FUNCTIONS} if not name.startswith("_")])
def test_help_says_what_the_stub_says(name):
    """In a shell as in an editor; what the interpreter calls by itself has words of its own."""
    found = getattr(_native, name)
    for member, doc in told({**CLASSES, **FUNCTIONS}[name]).items():
        if member == name:
            assert inspect.getdoc(found) == doc
        elif not member.startswith("__"):
            assert inspect.getdoc(vars(found)[member]) == doc, member
