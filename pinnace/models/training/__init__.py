"""Training of adapters, by answers and by preference, on transformers and peft (extra: `pinnace[train]`)."""
