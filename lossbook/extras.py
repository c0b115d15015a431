"""The packages that only parts of this one need: whoever lacks one is told how to get it."""

from __future__ import annotations

from contextlib import contextmanager


@contextmanager
def extra(name):
    """Import under this what an extra of pyproject.toml brings.

    Raises
    ------
    ModuleNotFoundError
        If it is not installed; the message says how to install it.

    Examples
    --------
    >>> with extra("torch"):
    ...     import no_such_package
    Traceback (most recent call last):
        ...
    ModuleNotFoundError: no_such_package is not installed; pip install "lossbook[torch]" brings it
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = error.name.split(".")[0]
        # A module of this package that is not there is a mistake, and no extra brings it.
        if package == "lossbook":
            raise
        message = f'{package} is not installed; pip install "lossbook[{name}]" brings it'
        raise ModuleNotFoundError(message, name=package) from None
