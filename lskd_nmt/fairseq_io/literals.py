"""Text that fairseq would evaluate as Python: what may be evaluated is told from what could run code or fill memory."""

import ast

LONGEST_LITERAL = 2000  # characters
MOST_ELEMENTS = 10_000  # of what the text makes, such as `[(512, 3)] * 20`


def is_literal(text: str) -> bool:
    """Whether `text` is Python for data alone: numbers, words, tuples, lists, dicts, their sums and repetitions."""
    if len(text) > LONGEST_LITERAL:
        return False
    tree = parsed(text)
    return tree is not None and is_small(tree, names=False)


def harmless(text: str) -> bool:
    """Whether evaluating the text does nothing but make a small value, or fail: no Python, a literal, or names."""
    tree = parsed(text)
    return tree is None or is_small(tree, names=True)


def parsed(text: str) -> ast.expr | None:
    """The text as a Python expression, if it is one."""
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def is_small(tree: ast.expr, names: bool) -> bool:
    """Whether an expression is a literal of not too many elements; with `names` it may hold names as well."""
    try:
        return most_elements(tree, names) <= MOST_ELEMENTS
    except (ValueError, RecursionError):
        return False


def most_elements(node: ast.expr, names: bool) -> int:
    """How many elements a literal has at most; ValueError for what is none, such as a call or an attribute."""
    match node:
        case ast.Constant() | ast.Name() if names or isinstance(node, ast.Constant):
            return 1
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            return 1 + sum(most_elements(each, names) for each in parts)
        case ast.Dict(keys=keys, values=values) if None not in keys:  # a None stands for `**`
            return 1 + sum(most_elements(each, names) for each in (*keys, *values) if each is not None)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            return most_elements(operand, names)
        case ast.BinOp(op=ast.Add() | ast.Sub() | ast.Div(), left=left, right=right):
            return most_elements(left, names) + most_elements(right, names)
        case (
            ast.BinOp(op=ast.Mult(), left=repeated, right=ast.Constant(value=int(times)))
            | ast.BinOp(op=ast.Mult(), left=ast.Constant(value=int(times)), right=repeated)
        ):
            return max(1, times) * most_elements(repeated, names)
    raise ValueError("no literal")
