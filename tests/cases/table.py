"""All cases by the name of their loss, gathered from one file a family."""

from importlib import import_module

from lossbook.losses import FAMILIES

CASES = {
    name: case
    for family in FAMILIES
    for name, case in import_module(f"cases.{family.__name__.rpartition('.')[2]}").CASES.items()
}
