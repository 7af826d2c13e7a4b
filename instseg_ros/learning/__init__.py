"""Training of the network. The only room that imports torch; a robot needs none of it."""
