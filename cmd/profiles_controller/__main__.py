"""``python -m profiles_controller``."""

from __future__ import annotations

from profiles_controller.cli.app import main

main()
