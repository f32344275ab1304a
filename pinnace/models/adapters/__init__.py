"""LoRA adapters as fleet members: checked, taken in, and computed in one batch with their base."""
