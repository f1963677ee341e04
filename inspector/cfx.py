"""A unit event as IPC-CFX, under the name that docs/mes.md gave it before."""

from inspector.events.cfx import units_inspected

__all__ = ["units_inspected"]
