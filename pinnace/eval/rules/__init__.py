"""Scoring rules, one to a module: is this answer right? Pure; none asks a model.

Each is a fixed reading of free text and is wrong on some answers. What a rule takes as the model's answer is
said in its docstring; `pinnace.eval.scoring` has them by name.
"""
