"""Which class of task a `plugin_config` asks for."""

from __future__ import annotations

from typing import Any

__all__ = ["TaskPluginRegistry"]


class _Registry:
    """Task classes by the type of their configuration."""

    def __init__(self) -> None:
        self._plugins: dict[type, type[Any]] = {}

    def register(self, config_type: type, plugin: type[Any]) -> None:
        """Tasks whose `plugin_config` is of the type become instances of the plugin's class."""
        self._plugins[config_type] = plugin

    def find(self, config_type: type) -> type[Any] | None:
        """The class for a type of configuration, or None."""
        return self._plugins.get(config_type)

    def list_plugins(self) -> list[type]:
        """The types of configuration there are classes for."""
        return list(self._plugins)

    def get(self, config: Any) -> type[Any]:
        """The class for a configuration.

        Raises:
            ValueError: when there is none.
        """
        plugin = self.find(type(config))
        if plugin is None:
            raise ValueError(
                f"No task plugin found for config type {type(config)}. "
                "Please register a plugin using flyte.extend.TaskPluginRegistry.register() api."
            )
        return plugin

    def __repr__(self) -> str:
        return f"TaskPluginRegistry(plugins={self.list_plugins()})"


TaskPluginRegistry = _Registry()
