"""The subcommands that train and what belongs to it; see `commands`."""
