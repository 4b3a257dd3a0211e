"""`ctc_wgpu.torch` with second derivatives, `torch.func` and the workers of a data loader."""

import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from ctc_wgpu import EditCounts, align, beam_decode, greedy_decode, label_error_rate
from ctc_wgpu import ctc_loss as of_arrays
from ctc_wgpu.torch import ctc_loss
from torch.func import grad, hessian, jacfwd, jacrev, jvp, linearize, vjp, vmap
from torch.nn.functional import ctc_loss as original

FRAMES, ITEMS, CLASSES = 6, 3, 4
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(FRAMES, ITEMS, CLASSES, generator=GENERATOR)
MANY = torch.randn(5, FRAMES, ITEMS, CLASSES, generator=GENERATOR)
TARGETS, FRAME_COUNTS, COUNTS = torch.tensor([[1, 2], [3, 3], [2, 1]]), torch.tensor([6, 5, 6]), torch.tensor([2, 1, 2])


def loss_of(x, targets=TARGETS, lengths=COUNTS, reduction="none", own=True):
    which = partial(ctc_loss, backend="cpu") if own else original
    return which(x.log_softmax(-1), targets, FRAME_COUNTS, lengths, reduction=reduction)


mine, theirs = partial(loss_of, reduction="sum"), partial(loss_of, reduction="sum", own=False)


def pytorch_gradients(x, **more):
    """Returns PyTorch's gradient of each item's loss with respect to the logits."""
    return torch.stack([grad(lambda x, item=item: loss_of(x, own=False, **more)[item])(x) for item in range(ITEMS)])


def close(got, wanted):
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


def test_torch_func_grad_vjp_and_jacrev():
    close(grad(mine)(X), grad(theirs)(X))
    close(jacrev(loss_of)(X), pytorch_gradients(X))
    _, pull = vjp(loss_of, X)
    close(pull(torch.tensor([1.0, 0.0, 2.0]))[0], pytorch_gradients(X)[0] + 2 * pytorch_gradients(X)[2])
    x = X.clone().requires_grad_()
    close(torch.autograd.grad(loss_of(x), x, torch.eye(ITEMS), is_grads_batched=True)[0], pytorch_gradients(X))


@pytest.mark.parametrize("axis", [0, 2, -1])
def test_vmap_over_any_axis_is_a_larger_batch(axis):
    close(vmap(loss_of, in_dims=axis)(MANY.movedim(0, axis)), torch.stack([loss_of(x, own=False) for x in MANY]))


def test_vmap_and_gradients_can_be_nested():
    wanted = torch.stack([grad(theirs)(x) for x in MANY])
    close(vmap(grad(mine))(MANY), wanted)
    close(grad(lambda many: vmap(mine)(many).sum())(MANY), wanted)
    many = MANY.clone().requires_grad_()
    vmap(mine)(many).sum().backward()
    close(many.grad, wanted)
    close(vmap(jacrev(loss_of))(MANY), torch.stack([pytorch_gradients(x) for x in MANY]))
    twice = MANY.expand(2, *MANY.shape)
    close(vmap(vmap(loss_of))(twice), torch.stack([loss_of(x, own=False) for x in MANY]).expand(2, -1, -1))
    close(grad(lambda x: vmap(vmap(mine))(x).sum())(twice), wanted.expand(twice.shape))
    with torch.no_grad():
        assert not vmap(loss_of)(many).requires_grad


@pytest.mark.parametrize("batch", [False, True], ids=["one item", "a batch of one"])
def test_gradients_per_sample(batch):
    """Gradients of the weights of a layer; each sample has its own labels and lengths."""
    weights = torch.randn(CLASSES, CLASSES, generator=GENERATOR)

    def loss(which, weights, x, targets, frames, count):
        given = (x @ weights).log_softmax(-1), targets, frames, count
        if batch:
            given = given[0].unsqueeze(1), *(one[None] for one in given[1:])
        return which(*given)

    samples = X.transpose(0, 1), TARGETS, FRAME_COUNTS, COUNTS
    got = vmap(grad(partial(loss, partial(ctc_loss, backend="cpu"))), (None, 0, 0, 0, 0))(weights, *samples)
    batch = True  # PyTorch accepts a single item only without padding.
    close(got, torch.stack([grad(partial(loss, original))(weights, *sample) for sample in zip(*samples, strict=True)]))


def test_vmap_over_concatenated_labels_of_different_lengths():
    row, lengths = torch.tensor([1, 2, 3, 2, 1]), torch.tensor([[2, 1, 2], [1, 1, 3]])
    close(vmap(partial(loss_of, targets=row, lengths=lengths[0]))(MANY), torch.stack([loss_of(x, row, lengths[0], own=False) for x in MANY]))
    got = vmap(grad(lambda x, lengths: mine(x, row, lengths)))(MANY[:2], lengths)
    close(got, torch.stack([grad(lambda x, one=one: theirs(x, row, one))(x) for x, one in zip(MANY, lengths, strict=False)]))


def test_vmap_over_an_empty_batch():
    assert vmap(loss_of)(MANY[:0]).shape == (0,) + loss_of(MANY[0]).shape
    assert vmap(grad(lambda x: mine(x)))(MANY[:0]).shape == MANY[:0].shape


def two_layers():
    """Returns two layers' weights, and the squared norm of the gradient of the first."""
    first, second = (torch.randn(size, generator=GENERATOR).requires_grad_() for size in [(3, 5), (5, CLASSES)])
    x = torch.tanh(torch.randn(FRAMES, ITEMS, 3, generator=GENERATOR) @ first) @ second
    (slope,) = torch.autograd.grad(mine(x), first, create_graph=True)
    return first, second, (slope**2).sum()


def backward_twice():
    x = X.clone().requires_grad_()
    mine(x).backward(create_graph=True)
    return torch.autograd.grad(x.grad.sum(), x)


def by_incoming_gradient():
    x, scale = X.clone().requires_grad_(), torch.ones((), requires_grad=True)
    (slope,) = torch.autograd.grad(mine(x) * scale, x, create_graph=True)
    return torch.autograd.grad(slope.sum(), scale)


def in_forward_mode(x):
    with torch.autograd.forward_ad.dual_level():
        return mine(torch.autograd.forward_ad.make_dual(x, torch.ones_like(x)))


functional = torch.autograd.functional
SECOND = {
    "grad by all": lambda: torch.autograd.grad((given := two_layers())[2], given[:2]),
    "grad by the last": lambda: torch.autograd.grad((given := two_layers())[2], given[1]),
    "grad, unused allowed": lambda: torch.autograd.grad((given := two_layers())[2], given[1], allow_unused=True),
    "grad, materialized": lambda: torch.autograd.grad((given := two_layers())[2], given[1], materialize_grads=True),
    "backward": lambda: two_layers()[2].backward(),
    "backward by one": lambda: (given := two_layers())[2].backward(inputs=[given[1]]),
    "backward twice": backward_twice,
    "by the incoming gradient": by_incoming_gradient,
    "functional.hessian": lambda: functional.hessian(mine, X),
    "functional.hessian, strict": lambda: functional.hessian(mine, X, strict=True),
    "functional.hessian, vectorized": lambda: functional.hessian(mine, X, vectorize=True),
    "functional.hvp": lambda: functional.hvp(mine, X, X),
    "functional.vhp": lambda: functional.vhp(mine, X, X),
    "functional.jvp": lambda: functional.jvp(mine, X, X),
    "functional.jacobian, forward": lambda: functional.jacobian(mine, X, strategy="forward-mode", vectorize=True),
    "func.hessian": lambda: hessian(mine)(X),
    "func.jacrev twice": lambda: jacrev(jacrev(mine))(X),
    "func.grad twice": lambda: grad(lambda x: grad(mine)(x).sum())(X),
    "func.jacfwd": lambda: jacfwd(mine)(X),
    "func.jvp": lambda: jvp(mine, (X,), (X,)),
    "func.jvp of grad": lambda: jvp(grad(mine), (X,), (X,)),
    "func.linearize": lambda: linearize(mine, X)[1](X),
    "func.vmap of hessian": lambda: vmap(hessian(mine))(MANY),
    "forward_ad": lambda: in_forward_mode(X),
}


@pytest.mark.filterwarnings("ignore:Using backward")
@pytest.mark.parametrize("walk", SECOND.values(), ids=SECOND)
def test_other_derivatives_are_errors_in_all_ways_to_request_them(walk):
    with pytest.raises(RuntimeError, match="first derivatives in reverse mode only"):
        walk()


def test_a_graph_of_the_gradient_may_be_built_if_it_is_not_used():
    x = X.clone().requires_grad_()
    (kept,) = torch.autograd.grad(mine(x), x, create_graph=True)
    (once,) = torch.autograd.grad(mine(x), x)
    assert torch.equal(kept, once)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32])
def test_functions_of_arrays_accept_tensors_of_half_precision(kind):
    x = X.transpose(0, 1).to(kind)
    same = x.float().numpy()
    assert (of_arrays(x, TARGETS) == of_arrays(same, TARGETS.numpy())).all()
    assert (of_arrays(X.to(kind), TARGETS, layout="tnc") == of_arrays(same, TARGETS.numpy())).all()
    assert greedy_decode(x) == greedy_decode(same)
    assert beam_decode(x) == beam_decode(same)
    assert [one.log_prob for one in align(x, TARGETS)] == [one.log_prob for one in align(same, TARGETS)]


def test_errors_name_tensors_that_numpy_cannot_convert():
    for logits, error, message in [
        (torch.zeros(1, 3, 2).to_sparse(), TypeError, "logits: .*Sparse"),
        (torch.zeros(1, 3, 2, device="meta"), TypeError, "logits: .*meta"),
        (torch.zeros(1, 3, 2, requires_grad=True), RuntimeError, "logits: .*detach"),
        (torch.zeros(1, 3, 2, dtype=torch.complex64), TypeError, "logits is an array of complex64"),
    ]:
        with pytest.raises(error, match=message):
            of_arrays(logits, [[1]])


def test_a_lazily_negated_view_has_the_right_sign():
    """`x.conj().imag` is the memory of `x.imag` with a bit for a pending negation."""
    x = torch.complex(*torch.randn(2, 1, 4, 3, generator=GENERATOR)).conj().imag
    assert x.is_neg()
    assert of_arrays(x, [[1]]) == of_arrays(x.resolve_neg(), [[1]])
    time_major = x.transpose(0, 1), torch.tensor([[1]]), [4], [1]
    assert ctc_loss(*time_major, from_logits=True, backend="cpu") == torch.from_numpy(of_arrays(x.resolve_neg(), [[1]]))


def test_errors_name_targets_that_are_not_dense():
    x = torch.zeros(4, 2, 3)
    nested = torch.nested.nested_tensor([torch.tensor([1, 2]), torch.tensor([1])])
    for targets, message in [
        (torch.tensor([[1, 2], [1, 0]]).to_sparse(), "targets is of torch.sparse_coo: must be a dense"),
        (torch.tensor([[1, 2], [1, 0]]).to_sparse_csr(), "targets is of torch.sparse_csr: must be a dense"),
        (nested, "targets is of nested: must be a dense"),
    ]:
        with pytest.raises(TypeError, match=message):
            ctc_loss(x, targets, [4, 4], [2, 1])
    with pytest.raises(TypeError, match="target_lengths is of torch.sparse_coo"):
        ctc_loss(x, [[1, 2], [1, 0]], [4, 4], torch.tensor([2, 1]).to_sparse())


def test_label_error_rate_of_tensors_that_are_equal_is_0():
    row = torch.tensor([1, 2, 3])
    padded = torch.tensor([[1, 2, -1], [3, -1, -1]])
    assert label_error_rate([row], [row.clone()]) == 0
    assert label_error_rate(padded, padded.clone(), torch.tensor([2, 1])) == 0
    assert label_error_rate(padded, padded.clone()) == 0
    assert label_error_rate(padded.abs(), padded.abs(), torch.tensor([2, 1]), torch.tensor([2, 1])) == 0
    assert label_error_rate([list(row)], [[1, 2, 3]]) == 0
    assert label_error_rate([row], [[1, 2, 4]]) == 1 / 3
    assert EditCounts.between(row, row.numpy()).total == 0


class Items(torch.utils.data.Dataset):
    """A data set whose items are losses, computed by the worker."""

    def __len__(self):
        return 4

    def __getitem__(self, item):
        return of_arrays(np.zeros((1, 3 + item, 2), np.float32), [[1]], backend="cpu")


@pytest.mark.parametrize(("method", "workers"), [("fork", 2), ("spawn", 1)])
def test_workers_of_a_data_loader_can_compute(method, workers):
    wanted = torch.tensor([Items()[item].item() for item in range(4)])
    loader = torch.utils.data.DataLoader(Items(), batch_size=2, num_workers=workers, multiprocessing_context=method)
    assert torch.equal(torch.cat(list(loader)).flatten(), wanted)


def test_the_pytorch_example_of_the_readme_runs():
    text = (Path(__file__).parents[1] / "README.md").read_text()
    (block,) = re.findall(r"^```python\n(import torch\n.*?)^```", text, re.DOTALL | re.MULTILINE)
    names = {}
    exec(compile(block, "README.md", "exec"), names)
    x, lengths = names["x"].detach().log_softmax(-1), (torch.tensor([50, 42]), torch.tensor([3, 4]))
    close(names["loss"], original(x, names["targets"], *lengths, blank=19))
    assert names["x"].grad.abs().sum() > 0
