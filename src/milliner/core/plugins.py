"""Finds plug-ins: a plug-in is one file of a package that defines an object under the package's agreed name."""

import importlib
import pkgutil
from typing import Any


def find_plugins(package: str, attribute: str) -> dict[str, Any]:
    """Imports every module of `package` and returns what they define as `attribute`, by its `name`, sorted."""
    modules = [importlib.import_module(f"{package}.{name}") for name in _modules(package)]
    plugins = [getattr(module, attribute) for module in modules if hasattr(module, attribute)]
    return {plugin.name: plugin for plugin in sorted(plugins, key=lambda plugin: plugin.name)}


def find_plugin(package: str, attribute: str, name: str) -> Any | None:
    """The plug-in of a name, None where there is none. Where its file has its name, no other one is imported."""
    if name in _modules(package):
        plugin = getattr(importlib.import_module(f"{package}.{name}"), attribute, None)
        if plugin is not None and plugin.name == name:
            return plugin
    return find_plugins(package, attribute).get(name)


def _modules(package: str) -> list[str]:
    return [found.name for found in pkgutil.iter_modules(importlib.import_module(package).__path__)]
