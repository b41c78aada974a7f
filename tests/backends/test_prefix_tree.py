from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmclf.backends import prefix_tree
from llmclf.backends.prefix_tree import (
    LEAST_SAVED,
    LabelNode,
    PromptNode,
    Tokens,
    label_tree,
    prompt_tree,
    shared_length,
)

END = 9
LABELS = st.lists(st.lists(st.integers(0, 2), max_size=6).map(tuple), min_size=1, max_size=12, unique=True).map(
    lambda labels: [(*label, END) for label in labels]  # so that none begins another
)
CHUNKS = [list(range(start, start + 20)) for start in (100, 200, 300)]
PIECES = (
    st.sampled_from(CHUNKS) | st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=3) | st.sampled_from([[7], [8]])
)
PROMPTS = st.lists(
    st.lists(PIECES, min_size=1, max_size=5).map(lambda pieces: tuple(chain.from_iterable(pieces))),
    min_size=1,
    max_size=12,
    unique=True,
)


def arrays(prompts: Sequence[Sequence[int]]) -> list[Tokens]:
    return [np.array(prompt, dtype=np.int32) for prompt in prompts]


def label_paths(node: LabelNode, before: tuple[int, ...] = ()) -> Iterator[tuple[LabelNode, tuple[int, ...]]]:
    """Give each node with the tokens above it."""
    yield node, before
    for child in node.children:
        yield from label_paths(child, before + tuple(node.tokens.tolist()))


def prompt_paths(node: PromptNode, before: tuple[int, ...] = ()) -> Iterator[tuple[PromptNode, tuple[int, ...]]]:
    yield node, before
    for child in node.children:
        yield from prompt_paths(child, before + tuple(node.tokens.tolist()))


@given(LABELS)
def test_each_token_of_each_label_is_read_once_after_those_before_it(labels: list[tuple[int, ...]]) -> None:
    tree = label_tree(labels)
    assert len(tree.tokens) == 0
    read = []
    for node, before in label_paths(tree):
        for row, token, label in zip(node.rows.tolist(), node.next_tokens.tolist(), node.labels.tolist(), strict=True):
            context = before + tuple(node.tokens[: row + 1].tolist())
            assert labels[label][: len(context)] == context
            assert labels[label][len(context)] == token
            assert row < max(1, len(node.tokens))
            read.append((label, len(context)))
    assert sorted(read) == [(label, place) for label, tokens in enumerate(labels) for place in range(len(tokens))]


@given(LABELS)
def test_what_labels_share_is_one_path_and_last_tokens_are_none(labels: list[tuple[int, ...]]) -> None:
    prefixes = {label[:end] for label in labels for end in range(1, len(label))}
    nodes = list(label_paths(label_tree(labels)))
    spelt = [
        before + tuple(node.tokens[: end + 1].tolist()) for node, before in nodes for end in range(len(node.tokens))
    ]
    assert sorted(spelt) == sorted(prefixes)
    for node, _ in nodes[1:]:
        assert len(node.tokens) > 0
        assert len(node.children) != 1 or len(set(node.next_tokens[node.rows == len(node.tokens) - 1])) > 1


@given(PROMPTS, st.integers(1, 30))
def test_the_paths_spell_every_prompt(prompts: list[tuple[int, ...]], longest: int) -> None:
    tree = prompt_tree(arrays(prompts), longest=longest)
    ends = {}
    for node, before in prompt_paths(tree):
        for number in node.ends:
            assert number not in ends
            ends[number] = before + tuple(node.tokens.tolist())
        if node is not tree:
            assert 0 < len(node.tokens) <= longest
    assert ends == dict(enumerate(prompts))


@given(PROMPTS)
def test_the_root_is_what_all_prompts_share(prompts: list[tuple[int, ...]]) -> None:
    tree = prompt_tree(arrays(prompts), longest=8)
    shared = len(tree.tokens)
    assert all(prompt[:shared] == tuple(tree.tokens.tolist()) for prompt in prompts)
    if len(prompts) > 1:
        assert len({prompt[: shared + 1] for prompt in prompts}) > 1


@given(PROMPTS, st.integers(1, 30))
def test_every_shared_token_is_read_once_where_that_costs_nothing(prompts: list[tuple[int, ...]], longest: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefix_tree, "LEAST_SAVED", 1)
        tree = prompt_tree(arrays(prompts), longest=longest)
    prefixes = {prompt[:end] for prompt in prompts for end in range(1, len(prompt) + 1)}
    assert sum(len(node.tokens) for node, _ in prompt_paths(tree)) == len(prefixes)


@given(PROMPTS)
def test_prompts_part_early_only_where_little_is_saved(prompts: list[tuple[int, ...]]) -> None:
    for node, _ in prompt_paths(prompt_tree(arrays(prompts), longest=1000)):
        below: dict[int, list[Tokens]] = {}
        for child in node.children:
            below.setdefault(int(child.tokens[0]), []).append(child.tokens)
        for group in below.values():
            shared = min(shared_length(group[0], tokens) for tokens in group)
            assert (len(group) - 1) * shared < LEAST_SAVED


def test_a_branch_is_made_where_it_saves_enough() -> None:
    def branches(shared: int, prompts: int) -> int:
        with_others = [[1, *range(100, 100 + shared), number] for number in range(prompts)]
        tree = prompt_tree(arrays([*with_others, [1, 99]]), longest=1000)
        return len(tree.children)

    assert branches(LEAST_SAVED - 1, 2) == 3
    assert branches(LEAST_SAVED, 2) == 2
    assert branches(LEAST_SAVED // 4, 4) == 5
    assert branches(LEAST_SAVED // 4, 5) == 2


def test_a_prompt_may_end_where_another_goes_on() -> None:
    tree = prompt_tree(arrays([[1, 2, 3], [1, 2]]), longest=8)
    assert (tree.tokens.tolist(), tree.ends) == ([1, 2], [1])
    (child,) = tree.children
    assert (child.tokens.tolist(), child.ends, child.children) == ([3], [0], [])


@given(PROMPTS, LABELS)
def test_height_is_the_longest_way_down(prompts: list[tuple[int, ...]], labels: list[tuple[int, ...]]) -> None:
    def longest_way(node: PromptNode | LabelNode) -> int:
        below: Sequence[PromptNode | LabelNode] = node.children
        return 1 + max(map(longest_way, below)) if below else 0

    for tree in (prompt_tree(arrays(prompts), longest=5), label_tree(labels)):
        assert tree.height == longest_way(tree)


@given(*[st.lists(st.integers(0, 1), max_size=6)] * 2)
def test_shared_length_is_of_the_longest_common_beginning(first: list[int], second: list[int]) -> None:
    length = shared_length(*arrays([first, second]))
    assert first[:length] == second[:length]
    assert first[: length + 1] != second[: length + 1] or length == len(first) == len(second)
