"""The command line with gitea among its controllers, while the registry does not have it yet.

`python -m tests.previews gitea ...` as `python -m profiles_controller gitea ...`.
"""

import os

from controllers import registry
from controllers.gitea.controller import CONTROLLER
from profiles_controller.cli import build
from profiles_controller.worlds import World


def main() -> None:
    build(World(registry=(*registry.CONTROLLERS, CONTROLLER), environment=os.environ))()


if __name__ == "__main__":
    main()
