"""`SentenceNet`: sentences beside their neighbours and their note."""

import pytest
import torch

from clinbert_spacy.nets.summary import SentenceNet, _neighbour

WIDTH, FEATURES, SECTIONS = 5, 3, 4
# Two notes, of three sentences and of one; tokens of the sentences.
NOTE = torch.tensor([0, 0, 0, 1])
LENGTHS = [2, 1, 3, 2]


def make_net(**config):
    settings = {"hidden": 6, "dropout": 0.0, **config}
    torch.manual_seed(0)
    return SentenceNet(WIDTH, FEATURES, SECTIONS, **settings).double().eval()


def make_input(note=NOTE, lengths=LENGTHS):
    torch.manual_seed(1)
    n = len(note)
    asked = {
        "sentence": torch.arange(n).repeat_interleave(torch.tensor(lengths)),
        "note": note,
        "section": torch.randint(SECTIONS, (n,)),
        "features": torch.rand(n, FEATURES, dtype=torch.double),
    }
    return torch.randn(sum(lengths), WIDTH, dtype=torch.double), asked


def part(asked, tokens, sentences):
    """Some of the sentences, as a batch of their own."""
    places = torch.tensor(sentences)
    kept = torch.isin(asked["sentence"], places)
    renamed = torch.searchsorted(places, asked["sentence"][kept])
    chosen = {name: asked[name][places] for name in ("section", "features")}
    note = asked["note"][places] - asked["note"][places].min()
    return tokens[kept], {**chosen, "sentence": renamed, "note": note}


def test_one_score_a_sentence():
    tokens, asked = make_input()
    found = make_net()(tokens, asked)
    assert found.shape == (4,) and found.isfinite().all()
    assert len(set(found.tolist())) == 4


def test_notes_of_a_batch_do_not_see_each_other():
    net = make_net()
    tokens, asked = make_input()
    found = net(tokens, asked)
    assert torch.allclose(found[:3], net(*part(asked, tokens, [0, 1, 2])))
    assert torch.allclose(found[3:], net(*part(asked, tokens, [3])))


def test_sentences_of_a_note_see_each_other():
    """Their neighbours by name, all the others through the mean."""
    net = make_net()
    tokens, asked = make_input(torch.zeros(4, dtype=torch.long))
    tokens.requires_grad_()
    (slopes,) = torch.autograd.grad(net(tokens, asked)[0], tokens)
    reached = [slopes[asked["sentence"] == i].abs().sum().item() for i in range(4)]
    assert all(slope > 0 for slope in reached)
    swapped = {**asked, "sentence": torch.tensor([1, 1, 0, 2, 2, 2, 3, 3])}
    assert not torch.allclose(net(tokens, swapped)[3], net(tokens, asked)[2])


def test_neighbours_end_where_the_note_does():
    rows = torch.arange(1.0, 6.0).unsqueeze(1)
    note = torch.tensor([0, 0, 1, 2, 2])
    assert _neighbour(rows, note, -1).squeeze(1).tolist() == [0, 1, 0, 0, 4]
    assert _neighbour(rows, note, 1).squeeze(1).tolist() == [2, 0, 0, 5, 0]
    for step in (-1, 1):
        # in one note, too, the last is no neighbour of the first
        same = _neighbour(rows[:2], note[:2], step).squeeze(1).tolist()
        assert same == ([0, 1] if step < 0 else [2, 0])
        assert _neighbour(rows[:1], note[:1], step).tolist() == [[0]]


@pytest.mark.parametrize("name", ["features", "section"])
def test_what_is_known_of_a_sentence_counts(name):
    net = make_net()
    tokens, asked = make_input()
    changed = {**asked, name: asked[name].clone()}
    changed[name][3] = (changed[name][3] + 1) % SECTIONS
    found, expected = net(tokens, changed), net(tokens, asked)
    assert torch.allclose(found[:3], expected[:3]) and not torch.allclose(found[3], expected[3])


def test_the_order_of_tokens_does_not_count_and_their_number_little():
    net = make_net()
    tokens, asked = make_input()
    expected = net(tokens, asked)
    assert torch.allclose(net(tokens[[1, 0, 2, 5, 4, 3, 6, 7]], asked), expected)
    twice = {**asked, "sentence": asked["sentence"].repeat_interleave(2)}
    assert torch.allclose(net(tokens.repeat_interleave(2, 0), twice), expected)


def test_gradients_against_finite_differences():
    net = make_net()
    tokens, asked = make_input()
    tokens.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: net(x, asked), (tokens,))
    names, values = zip(*net.named_parameters())

    def run(*values):
        return torch.func.functional_call(net, dict(zip(names, values)), (tokens.detach(), asked))

    copies = tuple(value.detach().clone().requires_grad_() for value in values)
    assert torch.autograd.gradcheck(run, copies)


def test_dropout_in_training_alone():
    net = make_net(dropout=0.5)
    tokens, asked = make_input()
    assert torch.equal(net(tokens, asked), net(tokens, asked))
    net.train()
    assert not torch.equal(net(tokens, asked), net(tokens, asked))
