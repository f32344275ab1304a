"""Deep thinking, on a tiny model: what settles where, and what the ratio makes of it."""

import importlib
import math
from pathlib import Path
from typing import Any

import pytest
from tiny_llama import make_tiny_llama

from pinnace.agents.depth_rank import by_depth
from pinnace.agents.reply import Account, Sample
from pinnace.agents.strategy import Drawn
from pinnace.models.completion import Message, Usage
from pinnace.models.deep_thinking import DeepThinking, _states, deep_share, divergence

ASKED = (Message("user", "How many?"),)


def test_the_share_counts_what_settles_in_the_last_layers() -> None:
    assert deep_share([], 30) == 0.0
    assert deep_share([1, 25, 26, 30], 30) == 0.5  # 0.85 * 30 = 25.5: from layer 26 on
    assert deep_share([1, 2], 2, deep=0.5) == 1.0


def test_divergence_is_in_bits() -> None:
    torch: Any = pytest.importorskip("torch")
    one, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    half = torch.tensor([[0.5, 0.5]])
    assert divergence(one, one).item() == 0.0
    assert divergence(one, other).item() == pytest.approx(1.0)
    by_hand = 0.5 * math.log2(1 / 0.75) + 0.5 * (0.5 * math.log2(0.5 / 0.75) + 0.5 * math.log2(0.5 / 0.25))
    assert divergence(one, half).item() == pytest.approx(by_hand)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama with a tokenizer of bytes."""
    return make_tiny_llama(tmp_path_factory.mktemp("tiny")).folder


def test_every_token_settles_somewhere_and_a_looser_bound_settles_it_no_later(folder: Path) -> None:
    (strict,) = DeepThinking(folder, settled=1e-4).depths(ASKED, ["four of them"])
    (loose,) = DeepThinking(folder, settled=0.5).depths(ASKED, ["four of them"])
    layers = importlib.import_module("transformers").AutoConfig.from_pretrained(str(folder)).num_hidden_layers
    assert len(strict) == len(loose) > 0
    assert all(1 <= few <= many <= layers for few, many in zip(loose, strict, strict=True))
    assert DeepThinking(folder, settled=1.0).depths(ASKED, ["four of them"]) == [[1] * len(loose)]
    assert DeepThinking(folder, settled=-1.0).ratio(ASKED, "four of them") == 1.0
    assert DeepThinking(folder).ratio(ASKED, "") == 0.0


def test_answers_are_read_together_as_they_are_alone(folder: Path) -> None:
    """Their states do not differ but by rounding, whatever is beside them."""
    torch: Any = pytest.importorskip("torch")
    model = DeepThinking(folder)._load()[1].float()
    asked, said = [5, 6, 7], [[11, 12, 13, 14], [], [15], [12, 11]]
    with torch.inference_mode():
        together = _states(model, asked, said)
        for layer, states in enumerate(together):
            alone = torch.cat([_states(model, asked, [each])[layer] for each in said if each])
            assert torch.allclose(states, alone, atol=1e-5)
            whole = model.model(torch.tensor([[*asked, *said[0]]]), output_hidden_states=True)
            assert torch.allclose(states[:4], whole.hidden_states[layer + 1][0, 2:6], atol=1e-5)


def test_a_specialist_is_read_with_its_adapter(folder: Path, tmp_path: Path) -> None:
    peft: Any = pytest.importorskip("peft")
    transformers: Any = importlib.import_module("transformers")
    torch: Any = importlib.import_module("torch")
    base = transformers.AutoModelForCausalLM.from_pretrained(str(folder))
    torch.manual_seed(0)
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    peft.get_peft_model(base, config).save_pretrained(str(tmp_path))
    plain, special = DeepThinking(folder), DeepThinking(folder, adapter=tmp_path)
    name = "model.layers.0.self_attn.q_proj.weight"
    weights = [each._load()[1].state_dict()[name] for each in (plain, special)]
    assert not torch.equal(*weights)
    assert len(special.depths(ASKED, ["four"])[0]) == len(plain.depths(ASKED, ["four"])[0])


@pytest.mark.parametrize("settled", [1e-4, 1e-3, 0.01, 0.5])
@pytest.mark.parametrize("deep", [0.0, 0.5, 0.85, 1.0])
def test_the_ratio_is_the_share_of_deep_depths(folder: Path, settled: float, deep: float) -> None:
    reader = DeepThinking(folder, settled=settled, deep=deep)
    answers = ["four of them", "", "none at all, said she"]
    layers = reader._load()[1].config.num_hidden_layers
    by_depth = [deep_share(each, layers, deep) for each in reader.depths(ASKED, answers)]
    assert reader.ratios(ASKED, answers) == by_depth


async def test_beginnings_are_ranked_by_it(folder: Path) -> None:
    reader = DeepThinking(folder, settled=1e-4)
    account = Account("tiny", ("tiny",), None, escalated=False, why="", usage=Usage(), cost_usd=0.0)
    drawn = [Drawn[str](Sample(text), account, text, asked=ASKED) for text in ("four", "of them", "")]
    ranks = await by_depth(reader)(drawn)  # type: ignore[misc]
    assert list(ranks) == reader.ratios(ASKED, ["four", "of them", ""])
    assert ranks[2] == reader.ratio(ASKED, "") == 0.0
