"""``python -m profiles_controller``."""

from __future__ import annotations

from profiles_controller.cli import main

main()
