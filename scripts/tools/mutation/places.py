"""The places of a Python file at which a small change alters what it does.

A change replaces the text of one node of the syntax tree.  Places whose change cannot alter what a rule decides are
left out: docstrings and other texts, annotations, `__slots__`, assertions for the type checker, the number of digits in
round(), and first assignments, without which the code raises an exception at once.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any, NamedTuple

_SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
}  # fmt: skip
_NEGATED = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
"""Comparisons whose swap is their negation."""
_OTHER_FUNCTION = {"min": "max", "max": "min", "any": "all", "all": "any"}


class Place(NamedTuple):
    """A change: the bytes from `begin` to `end` of the file become `text`."""

    path: str
    """Relative to the root of the tree."""
    line: int
    column: int
    kind: str
    begin: int
    end: int
    text: str

    @property
    def id(self) -> str:
        return f"{self.path}:{self.line}:{self.column}:{self.kind}"

    def apply(self, source: bytes) -> bytes:
        return source[: self.begin] + self.text.encode() + source[self.end :]


def places(path: str, source: bytes) -> list[Place]:
    """All places of the file, in the order of the text."""
    return sorted(_Finder(path, source).found, key=lambda p: (p.begin, p.kind))


class _Finder:
    def __init__(self, path: str, source: bytes) -> None:
        self.found: list[Place] = []
        self._path = path
        self._begins = [0]
        for line in source.splitlines(keepends=True):
            self._begins.append(self._begins[-1] + len(line))
        self._assigned: set[str] = set()
        self._visit(ast.parse(source))

    def _add(self, node: ast.expr | ast.stmt, kind: str, text: str) -> None:
        assert node.end_lineno is not None and node.end_col_offset is not None
        begin = self._begins[node.lineno - 1] + node.col_offset
        end = self._begins[node.end_lineno - 1] + node.end_col_offset
        at = node.right if isinstance(node, ast.BinOp) else node  # `a + b + c` begins where `a + b` begins
        self.found.append(Place(self._path, at.lineno, at.col_offset, kind, begin, end, text))

    def _replace(self, node: ast.expr, kind: str, other: ast.expr) -> None:
        self._add(node, kind, f"({ast.unparse(other)})")

    def _visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            outer, self._assigned = self._assigned, set()
            self._visit_all(node.args.defaults + [d for d in node.args.kw_defaults if d is not None])
            # Without its first assignments an object raises an exception at the first use.
            self._visit_all(node.body, drops=node.name != "__init__")
            self._assigned = outer
            return
        if _is_text(node) or _is_for_types(node):
            return
        if isinstance(node, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.BinOp | ast.Constant | ast.Call):
            self._change(node)
        if isinstance(node, ast.If | ast.IfExp | ast.While):
            self._negate(node.test)
        self._visit_all(_children(node))

    def _visit_all(self, nodes: list[ast.expr] | list[ast.stmt] | list[ast.AST], *, drops: bool = True) -> None:
        for node in nodes:
            if drops and isinstance(node, ast.stmt):
                self._drop(node)
            self._visit(node)

    def _change(self, node: ast.expr) -> None:
        """The node with another operator or value."""
        match node:
            case ast.Compare(left, [op], comparators) if type(op) in _SWAPPED:
                self._replace(node, "compare", ast.Compare(left, [_swap(op)], comparators))
            case ast.BoolOp(op, values):
                self._replace(node, "and-or", ast.BoolOp(_swap(op), values))
            case ast.UnaryOp(ast.Not(), operand):
                self._replace(node, "not", operand)
            case ast.BinOp(left, op, right) if type(op) in _SWAPPED and not (_is_text(left) or _is_text(right)):
                self._replace(node, "arithmetic", ast.BinOp(left, _swap(op), right))
            case ast.Constant(bool(value)):
                self._replace(node, "true-false", ast.Constant(not value))
            case ast.Constant(int(value) | float(value)):
                self._replace(node, "plus-one", ast.Constant(value + 1))
                if value != 0:
                    self._replace(node, "minus-one", ast.Constant(value - 1))
            case ast.Call(ast.Name(name) as function) if name in _OTHER_FUNCTION:
                self._add(function, "min-max" if name in ("min", "max") else "any-all", _OTHER_FUNCTION[name])

    def _negate(self, test: ast.expr) -> None:
        """The other branch is taken."""
        negated_elsewhere = isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], _NEGATED)
        if not negated_elsewhere and not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)):
            self._replace(test, "branch", ast.UnaryOp(ast.Not(), test))

    def _drop(self, node: ast.stmt) -> None:
        """The statement is left out."""
        match node:
            case ast.Assign() | ast.AugAssign():
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names = {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
                first = isinstance(node, ast.Assign) and not any(_is_part(t) for t in targets)
                if not first or names <= self._assigned:
                    self._add(node, "drop", "pass")
                self._assigned |= names
            case ast.AnnAssign(target=ast.Name(name)):
                self._assigned.add(name)
            case ast.Expr(ast.Call()):
                self._add(node, "drop", "pass")
            case ast.Continue():
                self._add(node, "loop", "break")
            case ast.Break():
                self._add(node, "loop", "continue")


def _swap(op: ast.AST) -> Any:
    return _SWAPPED[type(op)]()


def _is_part(target: ast.expr) -> bool:
    """The target is, or holds, an attribute or an element: it has had a value before."""
    return any(isinstance(n, ast.Attribute | ast.Subscript) for n in ast.walk(target))


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))


def _is_for_types(node: ast.AST) -> bool:
    """Only for a reader or a type checker."""
    match node:
        case ast.Assert() | ast.Import() | ast.ImportFrom() | ast.Raise():
            return True
        case ast.Expr(ast.Constant()):
            return True
        case ast.If(ast.Name("TYPE_CHECKING")):
            return True
        case ast.Assign([ast.Name("__slots__" | "__all__")]):
            return True
    return False


def _children(node: ast.AST) -> list[ast.AST]:
    """The nodes below, without annotations, decorators, base classes, and digits in round()."""
    match node:
        case ast.AnnAssign(value=value):
            return [value] if value is not None else []
        case ast.ClassDef(body=body):
            return list(body)
        case ast.Call(ast.Name("round"), [first, *_]):
            return [first]
    return list(_below(node))


def _below(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.expr_context | ast.operator | ast.cmpop | ast.boolop | ast.unaryop):
            yield child
