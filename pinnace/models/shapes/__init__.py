"""The shape of a model: what its files say of its layers, and layers that share their weights."""
