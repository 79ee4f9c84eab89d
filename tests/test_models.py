"""Networks by name: shapes, seeds, the sizes of the literature, and prediction."""

import numpy as np
import pytest
import torch
from torch import nn

from rdlite import models
from rdlite.models import AveragedScorer, BasicBlock, create, parameter_count, predict

NAMES = ["linear", "mlp-16", "cnn-4", "resnet-8", "resnet-18"]


def inputs(n=3, channels=1, size=14, seed=0):
    """uint8 images (n, channels, size, size)."""
    random = torch.Generator().manual_seed(seed)
    shape = (n, channels, size, size)
    return torch.randint(256, shape, generator=random, dtype=torch.uint8)


def used(name, **arguments):
    """A network whose batch norm statistics are not the initial ones, in training mode."""
    net = create(name, num_classes=4, in_channels=1, **arguments)
    with torch.no_grad():
        net(models.as_input(inputs(16, seed=9)))
    return net


# ---------------------------------------------------------------- create


@pytest.mark.parametrize("size", [14, 28, 32])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_every_network_gives_finite_logits_at_every_size(name, channels, size):
    net = create(name, num_classes=7, in_channels=channels)
    logits = net(torch.zeros(2, channels, size, size).uniform_(-1, 1))
    assert logits.shape == (2, 7)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_gets_a_gradient(name):
    net = create(name, num_classes=5, in_channels=1)
    net(models.as_input(inputs(8))).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_gives_the_same_weights_and_another_seed_others(name):
    first, same, other = (
        torch.cat([p.flatten() for p in create(name, num_classes=3, seed=s).parameters()])
        for s in (5, 5, 6)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", NAMES)
def test_weights_depend_on_the_seed_only_and_the_global_random_state_is_untouched(name):
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        found.append(create(name, num_classes=3).state_dict())
        assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_global_random_state_of_the_gpu_is_untouched():
    torch.cuda.manual_seed_all(123)
    before = torch.cuda.get_rng_state()
    create("linear", num_classes=3)
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_linear_is_logistic_regression_on_averaged_pixels():
    net = create("linear", num_classes=4, in_channels=3)
    x = np.random.default_rng(0).uniform(-1, 1, (5, 3, 28, 28))
    pixels = x.reshape(5, 3, 14, 2, 14, 2).mean((3, 5)).reshape(5, -1)
    weight, bias = (p.detach().double().numpy() for p in net.parameters())
    got = net(torch.tensor(x).float()).detach()
    np.testing.assert_allclose(got, pixels @ weight.T + bias, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("linear", 3 * 196 * 10 + 10),
        ("mlp-16", 3 * 196 * 16 + 16 + 16 * 10 + 10),
        ("cnn-4", 9 * (3 * 4 + 4 * 8 + 8 * 8 + 8 * 16) + 2 * (4 + 8 + 8 + 16) + 16 * 10 + 10),
    ],
)
def test_parameter_counts_by_hand(name, wanted):
    assert parameter_count(create(name, num_classes=10)) == wanted


# ---------------------------------------------------------------- ResNet


@pytest.mark.parametrize(
    ("depth", "count", "millions"),
    [(20, 269_722, 0.27), (32, 464_154, 0.46), (56, 853_018, 0.85)],
)
def test_resnet_sizes_are_those_of_he_et_al(depth, count, millions):
    n = (depth - 2) // 6
    within = {w: 2 * (9 * w * w + 2 * w) for w in (16, 32, 64)}  # a block: 2 x (conv, batch norm)
    first = {w: 9 * (w // 2) * w + 9 * w * w + 4 * w for w in (32, 64)}
    stages = n * within[16] + sum(first[w] + (n - 1) * within[w] for w in (32, 64))
    got = parameter_count(create(f"resnet-{depth}", num_classes=10))
    assert got == (9 * 3 * 16 + 32) + stages + (64 * 10 + 10) == count
    assert round(got / 1e6, 2) == millions


@pytest.mark.parametrize("depth", [8, 14, 20, 56, 110])
def test_resnet_has_as_many_weight_layers_as_its_name_says(depth):
    net = create(f"resnet-{depth}", num_classes=10)
    layers = [layer for layer in net.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    assert len(layers) == depth
    assert all(layer.kernel_size == (3, 3) for layer in layers[:-1])


def test_resnet_18_keeps_small_images_large():
    net = create("resnet-18", num_classes=200)
    # torchvision's 11,689,512 with 1000 classes; less 800 x 513 of the head, 7x7 -> 3x3 stem
    assert parameter_count(net) == 11_689_512 - 800 * 513 - 64 * 3 * (49 - 9)
    sizes = []
    for stage in (net.layer1, net.layer4):
        stage.register_forward_hook(lambda *call: sizes.append(tuple(call[2].shape[2:])))
    assert net(torch.zeros(2, 3, 64, 64)).shape == (2, 200)
    assert sizes == [(64, 64), (8, 8)]
    assert create("resnet-18", num_classes=3, in_channels=1).conv1.weight.shape[1] == 1
    same = create("resnet-18", num_classes=200)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), same.parameters(), strict=True))


@pytest.mark.parametrize(("inputs_", "outputs", "stride"), [(16, 16, 1), (16, 32, 2), (32, 64, 2)])
def test_resnet_shortcut_is_a_subsampled_padded_copy_without_parameters(inputs_, outputs, stride):
    block = BasicBlock(inputs_, outputs)
    assert len(list(block.parameters())) == len(list(block.body.parameters())) == 6
    nn.init.zeros_(block.body[-1].weight)  # the body now gives 0
    x = np.random.default_rng(0).normal(size=(2, inputs_, 8, 8)).astype("float32")
    wanted = np.zeros((2, outputs, 8 // stride, 8 // stride), "float32")
    start = (outputs - inputs_) // 2
    wanted[:, start : start + inputs_] = np.maximum(x[:, :, ::stride, ::stride], 0)
    np.testing.assert_array_equal(block(torch.tensor(x)).detach(), wanted)


def test_resnet_stages_halve_the_image_and_double_the_channels():
    net = create("resnet-20", num_classes=10)
    x, shapes = net.stem(torch.zeros(1, 3, 32, 32)), []
    for block in net.blocks:
        x = block(x)
        shapes.append((x.shape[1], x.shape[2]))
    assert shapes == [(16, 32)] * 3 + [(32, 16)] * 3 + [(64, 8)] * 3


# ---------------------------------------------------------------- bad arguments


@pytest.mark.parametrize(
    "name", ["", "resnet", "resnet20", "ResNet-20", "resnet-020", "cnn-0", "cnn--4", "vgg-16", None]
)
def test_create_names_an_unknown_network(name):
    with pytest.raises(ValueError, match=r"name must be 'linear', .* got ") as error:
        create(name, num_classes=10)
    assert f"got {name!r}" in str(error.value)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet20", "resnet-20"),
        ("ResNet-20", "resnet-20"),
        ("cnn--4", "cnn-4"),
        ("lin", "linear"),
    ],
)
def test_create_suggests_the_nearest_network(name, near):
    with pytest.raises(ValueError, match=f"did you mean '{near}'"):
        create(name, num_classes=10)


@pytest.mark.parametrize("depth", [2, 16, 21, 34, 51])
def test_create_names_a_depth_that_is_not_6n_plus_2(depth):
    with pytest.raises(ValueError, match=rf"depth of 6n \+ 2 .* got {depth}"):
        create(f"resnet-{depth}", num_classes=10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 1}, r"num_classes must be a whole number of at least 2, got 1"),
        ({"num_classes": 10, "in_channels": 0}, r"in_channels .* at least 1, got 0"),
        ({"num_classes": 10, "seed": -1}, r"seed must be .* at least 0, got -1"),
        ({"num_classes": 10, "seed": 0.5}, r"seed .* got 0\.5"),
    ],
)
def test_create_names_the_bad_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        create("linear", **arguments)


# ---------------------------------------------------------------- predict


@pytest.mark.parametrize("batch_size", [1, 3, 10, 1024])
@pytest.mark.parametrize("name", NAMES)
def test_predict_in_batches_equals_one_big_batch_in_eval_mode(name, batch_size):
    net, images = used(name), inputs(10)
    got = predict(net, images, batch_size=batch_size)
    net.eval()
    with torch.no_grad():
        wanted = net(images.float() / 127.5 - 1)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_large_images_are_predicted_in_smaller_batches_on_a_cpu():
    seen = []
    net = create("cnn-4", num_classes=3, in_channels=1).eval()
    net.register_forward_hook(lambda net, shown, _: seen.append(len(shown[0])))
    for side in (14, 32, 64):
        seen.clear()
        predict(net, torch.zeros(1300, 1, side, side, dtype=torch.uint8))
        assert sum(seen) == 1300
        assert max(seen) == {14: 668, 32: 128, 64: 32}[side]


def test_predict_uses_running_statistics_and_leaves_them_unchanged():
    net, images = used("cnn-4"), inputs(10)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    got = predict(net, images)
    assert all(torch.equal(net.state_dict()[key], before[key]) for key in before)
    with torch.no_grad():
        assert not torch.allclose(got, net(models.as_input(images)), atol=1e-3)  # training mode


@pytest.mark.parametrize("training", [True, False])
def test_predict_restores_the_training_mode(training):
    net = used("cnn-4").train(training)
    predict(net, inputs())
    assert {module.training for module in net.modules()} == {training}


def test_predict_restores_the_training_mode_of_every_part():
    net = used("cnn-4").train()
    frozen = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in frozen:
        layer.eval()
    before = [module.training for module in net.modules()]
    predict(net, inputs())
    assert [module.training for module in net.modules()] == before


def test_predict_restores_the_training_mode_after_an_error():
    net = used("cnn-4").train()
    with pytest.raises(ValueError, match=r"images must be uint8, got torch\.float32"):
        predict(net, inputs().float())
    assert all(module.training for module in net.modules())


def test_predictions_carry_no_gradient_but_can_be_used_where_one_is_taken():
    net = used("mlp-16")
    logits = predict(net, inputs())
    assert not logits.requires_grad
    assert all(p.grad is None for p in net.parameters())
    scale = torch.ones(4, requires_grad=True)
    (scale * logits).sum().backward()  # a tensor of inference mode would refuse
    np.testing.assert_allclose(scale.grad, logits.sum(0), rtol=1e-5)


def test_predict_of_no_images_gives_no_logits():
    assert predict(create("cnn-4", num_classes=4), inputs(0, 3)).shape == (0, 4)


@pytest.mark.parametrize(
    ("gives", "words"),
    [(lambda z: {"logits": z}, "a dict"), (lambda z: (z, z), "a tuple"), (list, "a list")],
)
@pytest.mark.parametrize("name", ["model", "teacher"])
def test_a_network_that_gives_no_tensor_is_named(gives, words, name):
    class Wrapped(nn.Linear):
        def forward(self, inputs):
            return gives(super().forward(inputs.flatten(1)))

    message = f"^{name} must give one tensor of logits, got {words}; wrap it"
    with pytest.raises(ValueError, match=message):
        predict(Wrapped(196, 9), inputs(5), name=name)
    with pytest.raises(ValueError, match=message):
        models.check(name, Wrapped(196, 9), inputs(5), 9)


def test_one_number_an_image_is_named_as_that():
    net = nn.Sequential(nn.Flatten(0), nn.Linear(196, 1))
    with pytest.raises(ValueError, match=r"model must give 3 logits, got 1$"):
        models.check("model", net, inputs(1), 3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_network_in_another_precision_is_named_by_it_and_not_by_its_channels(dtype):
    with pytest.raises(ValueError, match=rf"its weights are {dtype}, .* use teacher\.float\(\)"):
        predict(used("cnn-4").to(dtype), inputs(), name="teacher")
    with pytest.raises(ValueError, match="was it made for as many channels"):
        predict(used("cnn-4"), inputs(channels=3))


def test_predict_names_a_bad_batch_size():
    with pytest.raises(ValueError, match=r"batch_size must be a whole number of at least 1, got 0"):
        predict(used("linear"), inputs(), batch_size=0)


# ---------------------------------------------------------------- AveragedScorer


def test_averaged_scorer_gives_the_mean_of_logits():
    nets = [used("cnn-4", seed=seed) for seed in range(3)]
    images = inputs(6)
    got = predict(AveragedScorer(nets), images)
    wanted = np.mean([predict(net, images).double().numpy() for net in nets], 0)
    np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_averaged_scorer_of_one_network_is_that_network():
    net = used("cnn-4")
    assert torch.equal(predict(AveragedScorer([net]), inputs()), predict(net, inputs()))


def test_averaged_scorer_owns_the_weights_of_its_networks():
    nets = [create("linear", num_classes=3, seed=seed) for seed in range(2)]
    assert parameter_count(AveragedScorer(nets)) == 2 * parameter_count(nets[0])


def test_averaged_scorer_needs_a_network():
    with pytest.raises(ValueError, match=r"scorers must hold at least one network, got none"):
        AveragedScorer([])


def test_images_too_small_for_a_cnn_are_named():
    net = create("cnn-4", num_classes=3, in_channels=1)
    assert net(torch.zeros(2, 1, 8, 8)).shape == (2, 3)
    with pytest.raises(ValueError, match="images must have at least 8 x 8 pixels for a cnn, got 7"):
        net(torch.zeros(1, 1, 7, 9))
