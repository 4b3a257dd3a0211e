"""Compares `ctc_wgpu.torch` with `torch.nn.CTCLoss`."""

from functools import partial

import numpy as np
import pytest
import torch
import torch.multiprocessing
from ctc_wgpu.torch import CTCLoss, ctc_loss
from support import assert_close, draw
from torch.nn.functional import ctc_loss as original

SEEDS = range(12)


def time_major(batch, dtype):
    return torch.tensor(batch.logits.transpose(1, 0, 2), dtype=dtype, requires_grad=True)


def step(loss_of, batch, dtype, targets, **choices):
    """Returns the loss as a numpy array, and the gradient of its sum with respect to the logits."""
    x = time_major(batch, dtype)
    lengths = torch.tensor(batch.logit_lengths), torch.tensor(batch.label_lengths)
    goes_in = x if choices.get("from_logits") else x.log_softmax(-1)
    loss = loss_of(goes_in, targets, *lengths, blank=batch.blank, **choices)
    loss.sum().backward()
    return loss.detach().numpy(), x.grad.numpy()


def ends_with_blank(batch):
    last = batch.labels[np.arange(len(batch.labels)), batch.label_lengths - 1]
    return (batch.label_lengths > 0) & (last == batch.blank)


@pytest.mark.parametrize("from_logits", [False, True], ids=["log-probs", "logits"])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("seed", SEEDS)
def test_it_agrees_with_the_original_in_float64(seed, reduction, from_logits):
    batch = draw(seed, blanks_in_labels=seed % 3 == 0)
    batch = batch.only(batch.possible & ~ends_with_blank(batch))
    expected = step(original, batch, torch.float64, torch.tensor(batch.labels).long(), reduction=reduction)
    got = step(
        ctc_loss, batch, torch.float32, torch.tensor(batch.garbled), reduction=reduction, from_logits=from_logits, backend="cpu"
    )
    assert got[0].dtype == got[1].dtype == np.float32
    scale = len(batch.labels) if reduction == "sum" else 1
    assert_close(got[0] / scale, got[1], expected[0] / scale, expected[1])


@pytest.mark.parametrize("seed", [0, 3, 6, 9])
def test_the_gradient_is_exact_if_the_last_label_is_the_blank(seed):
    """PyTorch's gradient is not the derivative of its own loss; ours is."""
    batch = draw(seed, blanks_in_labels=True)
    batch = batch.only(batch.possible & ends_with_blank(batch))
    assert len(batch.labels)
    arguments = torch.tensor(batch.labels).long(), torch.tensor(batch.logit_lengths), torch.tensor(batch.label_lengths)
    loss, wrong = step(original, batch, torch.float64, arguments[0], reduction="none")
    # Finite differences change one class of one frame in all items at once: items are independent.
    x, nudge = time_major(batch, torch.float64).detach(), 1e-6
    slope = np.zeros(x.shape)
    for frame, klass in np.ndindex(x.shape[0], x.shape[2]):
        losses = []
        for sign in (1, -1):
            moved = x.clone()
            moved[frame, :, klass] += sign * nudge
            losses.append(original(moved.log_softmax(-1), *arguments, blank=batch.blank, reduction="none"))
        slope[frame, :, klass] = (losses[0] - losses[1]) / (2 * nudge)
    assert np.abs(wrong - slope).max() > 0.1
    assert_close(*step(ctc_loss, batch, torch.float32, arguments[0], reduction="none", backend="cpu"), loss, slope)


@pytest.mark.parametrize("seed", [1, 2])
def test_it_agrees_on_an_adapter(seed):
    batch = draw(seed)
    batch = batch.only(batch.possible)
    expected = step(original, batch, torch.float64, torch.tensor(batch.labels).long())
    assert_close(*step(ctc_loss, batch, torch.float32, torch.tensor(batch.garbled), backend="gpu"), *expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_impossible_items_have_the_loss_of_pytorch_and_a_gradient_of_0(seed):
    batch = draw(seed)
    targets = torch.tensor(batch.labels).long()
    for zero in (False, True):
        loss, _ = step(original, batch, torch.float64, targets, reduction="none", zero_infinity=zero)
        choices = {"reduction": "none", "zero_infinity": zero, "from_logits": True, "backend": "cpu"}
        got, grad = step(ctc_loss, batch, torch.float32, targets, **choices)
        np.testing.assert_allclose(got, loss, rtol=1e-5, atol=1e-5)
        assert (grad.transpose(1, 0, 2)[~batch.possible] == 0).all()


def test_targets_may_be_padded_or_concatenated_and_lengths_tuples():
    batch = draw(4)
    row = torch.tensor(batch.concatenated)
    x = time_major(batch, torch.float32).log_softmax(-1)
    lengths = tuple(batch.logit_lengths.tolist()), tuple(batch.label_lengths.tolist())
    choices = {"blank": batch.blank, "reduction": "none", "backend": "cpu"}
    padded = ctc_loss(x, torch.tensor(batch.garbled), *lengths, **choices)
    assert torch.equal(ctc_loss(x, row, *lengths, **choices), padded)
    with pytest.raises(ValueError, match="label"):
        ctc_loss(x, row[:-1], *lengths, **choices)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_one_item_needs_no_batch(reduction):
    x = torch.randn(9, 5, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    arguments = x, torch.tensor([1, 1, 3]), torch.tensor(8), torch.tensor(3)
    got = ctc_loss(*arguments, reduction=reduction, backend="cpu")
    wanted = original(*arguments, reduction=reduction)
    assert got.shape == wanted.shape
    torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("from_logits", [False, True], ids=["log-probs", "logits"])
def test_gradcheck(from_logits):
    batch = draw(2, items=3)
    batch = batch.only(batch.possible)
    x = time_major(batch, torch.float64)

    def loss(x):
        goes_in = x if from_logits else x.log_softmax(-1)
        lengths = batch.logit_lengths, batch.label_lengths
        choices = {"blank": batch.blank, "reduction": "none", "from_logits": from_logits, "backend": "reference"}
        return ctc_loss(goes_in, batch.labels, *lengths, **choices)

    assert torch.autograd.gradcheck(loss, (x,))


def test_incoming_gradients_scale_items_and_0_suppresses_nan():
    batch = draw(9)
    batch = batch.only(batch.possible)
    lengths = batch.logit_lengths, batch.label_lengths
    choices = {"blank": batch.blank, "reduction": "none", "from_logits": True, "backend": "cpu"}
    _, once = step(ctc_loss, batch, torch.float32, batch.labels, reduction="none", from_logits=True, backend="cpu")
    weights = torch.linspace(0, 2, len(batch.labels))
    batch.logits[0, 0, 0] = np.nan
    x = time_major(batch, torch.float32)
    (ctc_loss(x, batch.labels, *lengths, **choices) * weights).nan_to_num().sum().backward()
    np.testing.assert_allclose(x.grad[:, 1:], once[:, 1:] * weights[1:, None].numpy(), rtol=1e-6)
    assert (x.grad[:, 0] == 0).all()


def test_a_probability_of_0_has_a_finite_gradient():
    """PyTorch's gradient is NaN."""
    batch = draw(10, blank=0)
    batch = batch.only(batch.possible)
    unused = batch.logits.shape[2] - 1
    batch.labels = np.where(batch.labels == unused, 1, batch.labels)
    batch = batch.only(batch.possible)
    batch.logits[:, 0, unused] = -np.inf
    targets = torch.tensor(batch.labels).long()
    expected, spoilt = step(original, batch, torch.float64, targets, reduction="none")
    loss, grad = step(ctc_loss, batch, torch.float32, targets, reduction="none", from_logits=True, backend="cpu")
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    assert np.isnan(spoilt).any()
    assert np.isfinite(grad).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_losses_are_float32_and_the_gradient_has_the_type_of_the_logits(dtype):
    x = torch.zeros(3, 1, 2, dtype=dtype, requires_grad=True)
    arguments = torch.tensor([[1]]), [3], [1]
    loss = ctc_loss(x, *arguments, from_logits=True, backend="cpu")
    loss.backward()
    assert (loss.dtype, x.grad.dtype) == (torch.float32, dtype)
    assert loss.item() == pytest.approx(np.log(8 / 6), rel=1e-6)
    for backend, kind in [("cpu", torch.float32), ("reference", torch.float64 if dtype == torch.float64 else torch.float32)]:
        assert ctc_loss(x.detach(), *arguments, backend=backend).dtype == kind
    assert ctc_loss(x.to("meta"), *arguments).dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_a_loss_of_half_precision_is_that_of_the_same_numbers_in_float32(dtype, reduction):
    """The sum is above 65504, the largest number of half precision."""
    x = torch.randn(3000, 16, 20, generator=torch.Generator().manual_seed(0)).log_softmax(-1).to(dtype)
    arguments = torch.randint(1, 20, (16, 9)), torch.full((16,), 3000), torch.full((16,), 9)
    got = ctc_loss(x, *arguments, reduction=reduction, backend="cpu")
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, original(x.double(), *arguments, reduction=reduction).float(), rtol=1e-5, atol=1e-5)
    assert reduction != "sum" or got > 65504


def test_a_gradient_of_half_precision_is_scaled_before_it_is_rounded():
    """AMP's gradient scaling relies on it: 1e-8 is 0 in half precision, 2^16 times 1e-8 is not."""
    x = torch.zeros(2, 1, 3)
    x[..., 2] = -18.5
    half = x.half().requires_grad_()
    (ctc_loss(half, torch.tensor([[1]]), [2], [1], from_logits=True, backend="cpu") * 2**16).backward()
    exact = x.requires_grad_()
    ctc_loss(exact, torch.tensor([[1]]), [2], [1], from_logits=True, backend="cpu").backward()
    assert 0 < exact.grad[0, 0, 2] < 2**-25
    torch.testing.assert_close(half.grad.float(), exact.grad * 2**16, rtol=1e-3, atol=0)


def test_under_autocast():
    layer = torch.nn.Linear(4, 5)
    arguments = torch.tensor([[1, 2], [3, 1]]), [6, 6], [2, 2]
    with torch.autocast("cpu", torch.bfloat16):
        logits = layer(torch.randn(6, 2, 4))
        loss = CTCLoss(from_logits=True, backend="cpu")(logits, *arguments)
    assert (logits.dtype, loss.dtype) == (torch.bfloat16, torch.float32)
    assert loss.item() == pytest.approx(original(logits.float().log_softmax(-1), *arguments).item(), rel=1e-5)


def test_without_gradients_only_losses_are_computed(monkeypatch):
    import ctc_wgpu.torch as module

    requested, compute = [], module.compute

    def spy(*arguments, grad, **more):
        requested.append(grad)
        return compute(*arguments, grad=grad, **more)

    monkeypatch.setattr(module, "compute", spy)
    x = torch.zeros(3, 1, 2, requires_grad=True)
    arguments = torch.tensor([[1]]), [3], [1]
    ctc_loss(x, *arguments, backend="cpu")
    with torch.no_grad():
        ctc_loss(x, *arguments, backend="cpu")
    ctc_loss(x.detach(), *arguments, backend="cpu")
    assert requested == [True, False, False]


BAD = {
    "label": ({"targets": torch.tensor([[2]])}, ValueError, "targets: item 0: label 2 at position 0 is out of range: expected 0 to 1 for 2 classes"),
    "padding": (
        {"targets": torch.tensor([[1, -100]]), "target_lengths": [2]},
        ValueError,
        "targets: item 0: label -100 at position 1 is out of range.*target_lengths must not count it",
    ),
    "a large label": ({"targets": np.array([[2**63]], np.uint64)}, ValueError, "targets: item 0: label 9223372036854775808 at"),
    "input length": ({"input_lengths": [4]}, ValueError, "input_lengths: item 0: logit length 4 is out of range: expected 0 to 3"),
    "target length": ({"target_lengths": (2,)}, ValueError, "target_lengths: item 0: label length 2 is out of range: expected 0 to 1 targets"),
    "too many lengths": ({"input_lengths": [3, 3]}, ValueError, "input_lengths has 2 elements, but 1 are needed"),
    "too many targets": ({"targets": torch.tensor([1, 1])}, ValueError, "targets has 2 elements.* the sum of target_lengths"),
    "float targets": ({"targets": torch.tensor([[1.0]])}, TypeError, "targets is an array of float32"),
    "float lengths": ({"input_lengths": [3.0]}, TypeError, "input_lengths is an array of float64"),
    "ragged targets": ({"targets": [[1], [1, 2]]}, ValueError, "targets is not an array"),
    "masked targets": ({"targets": np.ma.masked_array([[1]], mask=True)}, ValueError, "targets is a masked array"),
    "axes": ({"log_probs": torch.zeros(3)}, ValueError, r"log_probs has shape \(3,\): must be \(T, N, C\)"),
    "rows for one item": (
        {"log_probs": torch.zeros(3, 2), "targets": torch.tensor([[1], [1]])},
        ValueError,
        r"targets has shape \(2, 1\): must be \(S,\)",
    ),
    "integers": ({"log_probs": torch.zeros(3, 1, 2).long()}, TypeError, "log_probs is of torch.int64"),
    "complex": ({"log_probs": torch.zeros(3, 1, 2, dtype=torch.complex64)}, TypeError, "log_probs is of torch.complex64"),
    "sparse": ({"log_probs": torch.zeros(3, 1, 2).to_sparse()}, TypeError, "log_probs is of torch.sparse_coo: must be a dense"),
    "numpy's": ({"log_probs": np.zeros((3, 1, 2), np.float32)}, TypeError, "log_probs is of ndarray: must be a dense torch.Tensor"),
    "blank": ({"blank": 2}, ValueError, "blank: blank 2 is out of range: expected 0 to 1 for 2 classes"),
    "reduction": ({"reduction": "avg"}, ValueError, "reduction='avg'"),
    "a string for a flag": ({"zero_infinity": "False"}, TypeError, "zero_infinity='False': must be True or False"),
    "a number for a flag": ({"from_logits": 2}, TypeError, "from_logits=2: must be True or False"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_errors_name_the_arguments_as_pytorch_does(bad):
    arguments, error, message = bad
    right = {"log_probs": torch.zeros(3, 1, 2), "targets": torch.tensor([[1]]), "input_lengths": [3], "target_lengths": [1]}
    with pytest.raises(error, match=f"^{message}"):
        ctc_loss(**{**right, "backend": "cpu", **arguments})


def test_the_module_prints_and_pickles():
    import pickle

    module = CTCLoss(blank=3, reduction="sum", zero_infinity=True, from_logits=True, backend="cpu")
    again = pickle.loads(pickle.dumps(module))
    assert repr(again) == repr(module) == (
        "CTCLoss(blank=3, reduction='sum', zero_infinity=True, from_logits=True, backend='cpu')"
    )


def network(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.Tanh(), torch.nn.Linear(16, 5))


def lines():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(8, 12, 6, generator=generator)
    targets = torch.randint(1, 5, (8, 3), generator=generator)
    return x, targets, torch.tensor([12, 9, 10, 12, 8, 12, 11, 7]), torch.tensor([3, 2, 3, 1, 3, 2, 0, 3])


def gradients(model, x, *rest):
    model.zero_grad()
    loss = CTCLoss(from_logits=True, backend="cpu")(model(x).transpose(0, 1), *rest)
    loss.backward()
    return loss.item(), [parameter.grad.clone() for parameter in model.parameters()]


def test_it_works_under_torch_compile():
    loss_of = CTCLoss(from_logits=True, backend="cpu")
    model = network()

    @torch.compile(backend="aot_eager")
    def loss(x, *rest):
        return loss_of(model(x).transpose(0, 1), *rest) * 2

    expected, wanted = gradients(model, *lines())
    model.zero_grad()
    answer = loss(*lines())
    answer.backward()
    assert answer.item() == pytest.approx(2 * expected)
    for parameter, grad in zip(model.parameters(), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, 2 * grad)


def train_a_part(rank, processes, folder):
    """Trains on part of a batch, as one of several processes that average their gradients."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=processes
    )
    model = torch.nn.parallel.DistributedDataParallel(network(seed=rank))
    _, grads = gradients(model, *(part.chunk(processes)[rank] for part in lines()))
    torch.save(grads, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_get_the_gradients_of_one_with_the_whole_batch(tmp_path, monkeypatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    torch.multiprocessing.spawn(train_a_part, (2, tmp_path), nprocs=2)
    _, whole = gradients(network(seed=0), *lines())
    for rank in range(2):
        for got, wanted in zip(torch.load(tmp_path / f"{rank}.pt"), whole, strict=True):
            torch.testing.assert_close(got, wanted)


def test_it_trains():
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    first, _ = gradients(model, *lines())
    for _ in range(60):
        last, _ = gradients(model, *lines())
        optimizer.step()
    assert last < first / 4


# The README's table of differences: each test asserts the behaviour of the original and of this
# package, on two items of three frames over four equally probable classes.
def uniform(change=lambda x: None):
    x = torch.zeros(3, 2, 4)
    change(x)
    return x.requires_grad_()


def of_both(x, targets, input_lengths=(3, 3), target_lengths=(1, 1), weights=(1.0, 1.0), **choices):
    """Returns each item's loss and its gradient by PyTorch, then the same by this package."""
    answers = []
    for loss_of in (original, partial(ctc_loss, backend="cpu")):
        x.grad = None
        lengths = torch.tensor(input_lengths), torch.tensor(target_lengths)
        loss = loss_of(x.log_softmax(-1), torch.tensor(targets), *lengths, reduction="none", **choices)
        loss.backward(torch.tensor(weights))
        answers.append((loss.detach().numpy(), x.grad.numpy().transpose(1, 0, 2).copy()))
    return answers


@pytest.mark.parametrize("zero", [False, True])
def test_difference_an_impossible_item(zero):
    (theirs, wrong), (ours, grad) = of_both(uniform(), [[1, 1, 1], [1, 2, 3]], target_lengths=(3, 3), zero_infinity=zero)
    assert theirs[0] == ours[0] == (0 if zero else np.inf)
    assert np.isnan(wrong[0]).any() == (not zero)
    assert (grad[0] == 0).all()
    # PyTorch's gradient is NaN even with an incoming gradient of 0.
    (_, wrong), (_, grad) = of_both(uniform(), [[1, 1, 1], [1, 2, 3]], target_lengths=(3, 3), weights=(0.0, 1.0))
    assert np.isnan(wrong[0]).any()
    assert (grad[0] == 0).all()


def test_difference_a_logit_of_minus_infinity():
    def change(x):
        x[0, 0, 3] = -torch.inf

    (theirs, wrong), (ours, grad) = of_both(uniform(change), [[1], [1]])
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert np.isnan(wrong[0]).any()

    def nearly(x):
        x[0, 0, 3] = -50

    (_, right), _ = of_both(uniform(nearly), [[1], [1]])
    np.testing.assert_allclose(grad, right, atol=1e-6)


def test_difference_nan_in_the_padding():
    def change(x):
        x[2, 0] = torch.nan

    x = uniform(change)
    (_, wrong), (_, ours) = of_both(x, [[1], [1]], (2, 3))
    assert np.isnan(wrong[0]).any()
    assert np.isnan(ours[0]).any()  # The NaN comes from log_softmax, not from the loss.
    x.grad = None
    ctc_loss(x, torch.tensor([[1], [1]]), [2, 3], [1, 1], reduction="sum", from_logits=True, backend="cpu").backward()
    assert torch.isfinite(x.grad).all()
    assert (x.grad[2, 0] == 0).all()


def test_difference_a_label_that_is_not_a_class():
    """PyTorch reads whatever number is at that address, here one of the next item."""
    losses = []
    for neighbour in (0.0, 2.0):
        x = torch.zeros(3, 2, 4)
        x[:, 1, 0] = neighbour
        arguments = x, torch.tensor([[4], [1]]), torch.tensor([3, 3]), torch.tensor([1, 1])
        losses.append(original(*arguments, reduction="none")[0].item())
        with pytest.raises(ValueError, match="item 0: label 4 at position 0 is out of range: expected 0 to 3 for 4 classes"):
            ctc_loss(*arguments, backend="cpu")
    assert losses[0] != losses[1]


def test_no_difference_for_blanks_among_labels():
    (theirs, wanted), (ours, grad) = of_both(uniform(), [[0, 1], [1, 2]], target_lengths=(2, 2))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    np.testing.assert_allclose(grad, wanted, atol=1e-6)


def test_difference_float64_is_rounded():
    x = torch.full((3, 1, 2), 0.5, dtype=torch.float64).log()
    given = torch.tensor([[1]]), torch.tensor([3]), torch.tensor([1])
    theirs, ours, exact = (
        loss_of(x, *given, reduction="sum").item()
        for loss_of in (original, partial(ctc_loss, backend="cpu"), partial(ctc_loss, backend="reference"))
    )
    assert abs(theirs - np.log(8 / 6)) < 1e-15
    assert abs(exact - np.log(8 / 6)) < 1e-15
    assert 0 < abs(ours - np.log(8 / 6)) < 1e-6
