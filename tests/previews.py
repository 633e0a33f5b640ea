"""The command line with blob-csi among its controllers, while the registry does not have it yet.

`python -m tests.previews blob-csi ...` as `python -m profiles_controller blob-csi ...`.
"""

import os

from controllers import registry
from controllers.blob_csi.controller import CONTROLLER
from profiles_controller.cli import build
from profiles_controller.worlds import World


def main() -> None:
    known = registry.CONTROLLERS
    with_it = known if CONTROLLER in known else (*known, CONTROLLER)
    build(World(registry=with_it, environment=os.environ))()


if __name__ == "__main__":
    main()
