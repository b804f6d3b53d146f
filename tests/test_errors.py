"""Every error of the package has one root, its own class, and is a kind of what Python would have raised."""

from __future__ import annotations

import inspect

import pytest

import unspool
from unspool import errors

DEFINED = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if cls.__module__ == "unspool.errors"]
CLASSES = [cls for cls in DEFINED if not issubclass(cls, Warning)]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_errors_have_one_root_a_sentence_and_can_be_raised_with_a_message(cls: type[Exception]) -> None:
    assert issubclass(cls, errors.UnspoolError)
    assert cls.__name__.endswith("Error")
    assert inspect.getdoc(cls)
    with pytest.raises(errors.UnspoolError, match="what, where, way out"):
        raise cls("what, where, way out")


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (errors.PolicyError, ValueError),
        (errors.ProgramError, ValueError),
        (errors.InputError, TypeError),
        (errors.DetachedError, TypeError),
        (errors.UnsupportedError, TypeError),
        (errors.StateError, TypeError),
        (errors.ClosedError, RuntimeError),
        (errors.ReplayError, RuntimeError),
        (errors.NonFiniteError, ArithmeticError),
    ],
)
def test_errors_are_caught_as_pythons_own(cls: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(cls, builtin)


def test_every_public_name_is_there_and_documented() -> None:
    for name in unspool.__all__:
        assert inspect.getdoc(getattr(unspool, name)), name
