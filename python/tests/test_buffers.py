"""Memory of gradients is used again, and never while anything refers to it."""

import copy
import gc
import os
import pickle
import threading

import pytest
import torch

from dicewise.torch import DiceLoss, buffers, release_memory

SHAPE = (2, 3, 64, 64, 16)  # 1.5 MiB


@pytest.fixture(autouse=True)
def nothing_kept():
    gc.collect()
    release_memory()
    yield
    gc.collect()
    release_memory()
    assert not buffers._kept


def gradient(seed=0, shape=SHAPE):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator).requires_grad_()
    labels = torch.randint(0, shape[1], (shape[0], 1, *shape[2:]), generator=generator)
    DiceLoss(partition="image", epsilon=1e-5, activation="softmax")(x, labels).backward()
    return x.grad


def test_dropped_memory_is_used_again_and_the_values_are_the_same():
    first = gradient()
    place, values = first.data_ptr(), first.clone()
    del first
    second = gradient()
    assert second.data_ptr() == place
    assert torch.equal(second, values)


def test_memory_in_use_is_left_alone():
    held = gradient(1)
    values = held.clone()
    view = gradient(2)[1, :, 3]  # the gradient itself is dropped
    seen = view.clone()
    alias = gradient(3).detach().numpy()
    read = alias.copy()
    others = [gradient(seed) for seed in range(4, 8)]
    assert len({g.data_ptr() for g in others} | {held.data_ptr()}) == 5
    assert torch.equal(held, values)
    assert torch.equal(view, seen)
    assert (alias == read).all()


def test_no_more_is_kept_than_was_in_use_at_once():
    for width in range(16, 32):
        gradient(shape=(2, 3, 64, 64, width))
        assert len(buffers._kept) == 1
    several = [gradient(seed) for seed in range(3)]
    del several
    assert len(buffers._kept) == 3
    release_memory()
    assert not buffers._kept


def test_small_gradients_are_pytorchs():
    gradient(shape=(1, 2, 8, 8, 8))
    assert not buffers._kept


def test_gradients_can_be_copied_saved_and_added_to():
    g = gradient()
    expected = g.clone()
    assert torch.equal(copy.deepcopy(g), expected)
    assert torch.equal(pickle.loads(pickle.dumps(g)), expected)
    g += 1
    assert torch.equal(g, expected + 1)
    assert torch.equal(gradient(), expected)


def test_threads_get_memory_of_their_own():
    expected = [gradient(seed).clone() for seed in range(4)]
    found = [[] for _ in expected]

    def work(seed):
        for _ in range(10):
            found[seed].append(torch.equal(gradient(seed), expected[seed]))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(len(each) == 10 and all(each) for each in found)


def test_a_forked_process_writes_to_memory_of_its_own():
    if not hasattr(os, "fork"):
        pytest.skip("processes are not forked here")
    held = gradient(1)
    values = held.clone()
    child = os.fork()
    if child == 0:
        held.zero_()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert torch.equal(held, values)
