"""Finds plug-ins: a plug-in is one file of a package that defines an object under the package's agreed name."""

import importlib
import pkgutil
from typing import Any


def find_plugins(package: str, attribute: str) -> dict[str, Any]:
    """Imports every module of `package` and returns what they define as `attribute`, by its `name`, sorted."""
    path = importlib.import_module(package).__path__
    modules = [importlib.import_module(f"{package}.{found.name}") for found in pkgutil.iter_modules(path)]
    plugins = [getattr(module, attribute) for module in modules if hasattr(module, attribute)]
    return {plugin.name: plugin for plugin in sorted(plugins, key=lambda plugin: plugin.name)}
