"""The subcommands of `instseg`; one module each, light to import (see `instseg_ros.cli`)."""
