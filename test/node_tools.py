"""What several tests of the node need."""


def values_of(message):
    """Return the values of a diagnostics message by key."""
    return {entry.key: entry.value for entry in message.status[0].values}
