"""Where snapshots are kept: one file per store, four methods each."""

from unspool.stores.base import Store
from unspool.stores.ram import RamStore

__all__ = ["RamStore", "Store"]
