"""Clouds of points: meshes read and sampled, and what is done to a cloud before a model sees it."""
