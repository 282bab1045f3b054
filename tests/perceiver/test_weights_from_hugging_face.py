"""Hugging Face's Perceivers with weights of order one and ours agree everywhere: elements, latents, logits.

Their own initialisation, a deviation of 0.02, would hide errors: every attention is flat and every layer near
zero.
"""

import math
from dataclasses import replace

import pytest
import torch

from perceiver import (
    Bytes,
    ConfigError,
    ConvolvedImage,
    Fourier,
    Image,
    LiftedImage,
    Queries,
    variants,
)
from perceiver.weights import WeightsError, from_hugging_face, report, to_hugging_face

transformers = pytest.importorskip("transformers")
PerceiverFourierPositionEncoding = pytest.importorskip(
    "transformers.models.perceiver.modeling_perceiver"
).PerceiverFourierPositionEncoding

SIZES = {"d_latents": 32, "num_latents": 12, "num_blocks": 3, "num_self_attends_per_block": 2}
HEADS = {"num_self_attention_heads": 4, "num_cross_attention_heads": 1}
IMAGE = replace(
    variants.io_imagenet_fourier(),
    inputs=Image(20, 20, positions=Fourier(64, 224)),
    num_latents=12,
    latent_channels=32,
    blocks=3,
    self_attends_per_block=2,
    self_heads=4,
    num_classes=10,
)
CONFIGS = {
    "fourier": IMAGE,
    "learned": replace(IMAGE, inputs=LiftedImage(20, 20)),
    "conv": replace(IMAGE, inputs=ConvolvedImage(20, 20, padding="hugging_face")),
    "language": replace(
        IMAGE,
        inputs=Bytes(length=24, channels=16, vocabulary=262),
        blocks=1,
        self_attends_per_block=3,
        cross_heads=4,
        qk_channels=64,
        num_classes=262,
        decoder=Queries(
            24, 16, qk_channels=256, value_channels=16, heads=8, residual=False, readout="embedding"
        ),
    ),
}


def theirs(kind, dtype):
    config = transformers.PerceiverConfig(
        **SIZES, **HEADS, num_labels=10, image_size=20, attention_probs_dropout_prob=0.0
    )
    if kind == "language":
        config = transformers.PerceiverConfig(
            **SIZES | {"num_blocks": 1, "num_self_attends_per_block": 3},
            num_self_attention_heads=4,
            num_cross_attention_heads=4,
            qk_channels=64,
            v_channels=32,
            d_model=16,
            max_position_embeddings=24,
            attention_probs_dropout_prob=0.0,
        )
    model = {
        "fourier": transformers.PerceiverForImageClassificationFourier,
        "learned": transformers.PerceiverForImageClassificationLearned,
        "conv": transformers.PerceiverForImageClassificationConvProcessing,
        "language": transformers.PerceiverForMaskedLM,
    }[kind](config)
    return draw_weights(model.to(dtype)).eval()


def draw_weights(model):
    """Weights of variance 1 / inputs, biases and scales of order one: nothing is near zero."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if not tensor.is_floating_point():
            continue
        drawn = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        if name.endswith("running_var") or (name.endswith("weight") and tensor.ndim == 1):
            drawn = 1 + 0.2 * drawn.clamp(-2, 2)
        elif name.endswith("weight") and tensor.ndim > 1 and "embeddings" not in name:
            drawn = drawn / math.sqrt(tensor[0].numel())
        tensor.copy_(drawn)
    return model


def raw_inputs(kind, dtype):
    generator = torch.Generator().manual_seed(1)
    if kind == "language":
        return torch.randint(1, 262, (3, 24), generator=generator)
    return torch.rand(3, 20, 20, 3, generator=generator, dtype=torch.float64).to(dtype) * 2 - 1


def their_results(model, raw):
    """Elements, latents before, between and after the self-attends, logits."""
    seen = []
    preprocessor = model.perceiver.input_preprocessor
    hook = preprocessor.register_forward_hook(lambda module, args, output: seen.append(output[0]))
    with torch.no_grad():
        out = model(raw if raw.ndim == 2 else raw.permute(0, 3, 1, 2), output_hidden_states=True)
    hook.remove()
    # They list the latents at the end of a block twice, as its last and the next one's first.
    latents = [z for i, z in enumerate(out.hidden_states) if i == 0 or z is not out.hidden_states[i - 1]]
    return [seen[0], *latents, out.logits]


def our_results(model, raw):
    seen = [model.inputs(raw)]
    attends = [*model.cross_attends, *(layer for block in model.blocks for layer in block)]
    hooks = [a.register_forward_hook(lambda module, args, output: seen.append(output)) for a in attends]
    with torch.no_grad():
        logits = model.eval()(raw)
    for hook in hooks:
        hook.remove()
    return [*seen, logits]


def our_positions(model, raw):
    """Our Fourier features (m, p), which stand at the end of the elements."""
    inputs = model.config.inputs
    positions = getattr(inputs, "grid", inputs).positions
    return model.eval().inputs(raw)[0, :, -positions.channels(2) :].detach()


def give_our_positions(their_model, our_model, raw):
    """Theirs are off by as much as 3e-5, see below: for the comparison they get ours, if Fourier features
    they have."""
    encoding = their_model.perceiver.input_preprocessor.position_embeddings
    if isinstance(encoding, PerceiverFourierPositionEncoding):
        features = our_positions(our_model, raw)
        encoding.forward = lambda *args, **kwargs: features.expand(len(raw), -1, -1)


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def dtype(request):
    before = torch.get_default_dtype()
    torch.set_default_dtype(request.param)  # their Fourier features have the default precision
    yield request.param
    torch.set_default_dtype(before)


@pytest.mark.parametrize("kind", CONFIGS)
def test_elements_latents_and_logits_are_theirs(kind, dtype):
    their_model, raw = theirs(kind, dtype), raw_inputs(kind, dtype)
    our_model = from_hugging_face(CONFIGS[kind], their_model.state_dict())
    give_our_positions(their_model, our_model, raw)
    expected, given = their_results(their_model, raw), our_results(our_model, raw)
    assert len(given) == len(expected)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-10
    for ours, reference in zip(given, expected, strict=True):
        assert reference.std() > 0.3, "of order one, or the comparison means nothing"
        assert (ours - reference).abs().max() / reference.std() < tolerance


@pytest.mark.parametrize(("kind", "max_resolution"), [("fourier", 224), ("conv", 56)])
def test_positions_are_theirs_up_to_the_rounding_of_their_coordinates(kind, max_resolution, dtype):
    """Their coordinates are float32 in any model, and in float32 their angles are rounded too."""
    raw = raw_inputs(kind, dtype)
    elements = their_results(theirs(kind, dtype), raw)[0]
    ours = our_positions(CONFIGS[kind].build(), raw)
    one_rounding = math.pi * max_resolution / 2 * 2**-24
    roundings = 1 if dtype == torch.float64 else 4
    assert (elements[0, :, -ours.shape[-1] :] - ours).abs().max() < roundings * one_rounding


def test_padded_text_is_decoded_as_theirs_is_with_its_mask(dtype):
    their_model, text = theirs("language", dtype), raw_inputs("language", dtype)
    text[0, 15:], text[1, 20:] = 0, 0
    with torch.no_grad():
        expected = their_model(text, attention_mask=(text != 0).long()).logits
        given = from_hugging_face(CONFIGS["language"], their_model.state_dict())(text)
    assert (given - expected).abs().max() / expected.std() < (1e-5 if dtype == torch.float32 else 1e-10)


@pytest.mark.parametrize("kind", CONFIGS)
def test_weights_go_there_and_back_unchanged(kind):
    state = theirs(kind, torch.float32).state_dict()
    returned = to_hugging_face(from_hugging_face(CONFIGS[kind], state))
    assert returned.keys() == state.keys()
    for name, tensor in state.items():
        assert torch.equal(returned[name], tensor), name


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_tensor_of_either_side_is_in_the_report(kind):
    state = theirs(kind, torch.float32).state_dict()
    rows = report(CONFIGS[kind], state)
    assert {row.theirs for row in rows} == state.keys()
    assert {row.ours for row in rows} == CONFIGS[kind].build().state_dict().keys()
    assert {row.status for row in rows} == {"matched"}


def test_a_checkpoint_of_another_model_is_refused_with_every_fault():
    state = theirs("fourier", torch.float32).state_dict()
    state["perceiver.extra"] = state.pop("perceiver.encoder.self_attends.1.mlp.dense2.bias")
    state["perceiver.embeddings.latents"] = torch.zeros(11, 32)
    with pytest.raises(WeightsError) as refused:
        from_hugging_face(IMAGE, state)
    for fault in ("extra unexpected", "self_attends.1.mlp.dense2.bias missing", "latents another shape"):
        assert fault in str(refused.value)


def test_models_they_do_not_have_are_refused():
    linear = replace(CONFIGS["language"], decoder=Queries(24))
    for config in (variants.imagenet(), replace(IMAGE, decoder=None), replace(IMAGE, sharing="none"), linear):
        with pytest.raises(ConfigError, match="Hugging Face's Perceivers have"):
            report(config, {})


def test_their_tanh_gelu_is_ours():
    """DeepMind's own code has the tanh approximation; the checkpoints' models can be told to."""
    config = transformers.PerceiverConfig(
        **SIZES, **HEADS, num_labels=10, attention_probs_dropout_prob=0.0, hidden_act="gelu_pytorch_tanh"
    )
    their_model = draw_weights(transformers.PerceiverForImageClassificationFourier(config)).eval()
    raw = raw_inputs("fourier", torch.float32)
    our_model = from_hugging_face(replace(IMAGE, gelu="tanh"), their_model.state_dict())
    give_our_positions(their_model, our_model, raw)
    for ours, reference in zip(our_results(our_model, raw), their_results(their_model, raw), strict=True):
        assert (ours - reference).abs().max() / reference.std() < 1e-5
