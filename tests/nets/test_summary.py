"""`SentenceNet`: each sentence by itself, by its words and by what is known of it."""

import pytest
import torch

from clinbert_spacy.nets.summary import SentenceNet

WIDTH, FEATURES, SECTIONS = 5, 3, 4
# Tokens of the sentences.
LENGTHS = [2, 1, 3, 2]


def make_net(**config):
    """A network whose sections are no longer all alike."""
    settings = {"hidden": 6, "dropout": 0.0, "hide": 0.0, **config}
    torch.manual_seed(0)
    net = SentenceNet(WIDTH, FEATURES, SECTIONS, **settings).double().eval()
    torch.nn.init.normal_(net.section.weight)
    return net


def make_input(lengths=LENGTHS):
    torch.manual_seed(1)
    n = len(lengths)
    asked = {
        "sentence": torch.arange(n).repeat_interleave(torch.tensor(lengths)),
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
    return tokens[kept], {**chosen, "sentence": renamed}


def test_one_score_a_sentence():
    tokens, asked = make_input()
    found = make_net()(tokens, asked)
    assert found.shape == (4,) and found.isfinite().all()
    assert len(set(found.tolist())) == 4


@pytest.mark.parametrize("sentences", [[0], [3], [1, 2], [0, 2, 3]])
def test_alone_as_in_a_batch(sentences):
    net = make_net()
    tokens, asked = make_input()
    found = net(*part(asked, tokens, sentences))
    assert torch.allclose(found, net(tokens, asked)[sentences])


def test_sentences_do_not_see_each_other():
    net = make_net()
    tokens, asked = make_input()
    tokens.requires_grad_()
    for i in range(4):
        (slopes,) = torch.autograd.grad(net(tokens, asked)[i], tokens)
        reached = [slopes[asked["sentence"] == j].abs().sum().item() for j in range(4)]
        assert [j for j, slope in enumerate(reached) if slope > 0] == [i]


# What is known


@pytest.mark.parametrize("name", ["features", "section"])
def test_what_is_known_of_a_sentence_counts(name):
    net = make_net()
    tokens, asked = make_input()
    changed = {**asked, name: asked[name].clone()}
    changed[name][3] = (changed[name][3] + 1) % SECTIONS
    found, expected = net(tokens, changed), net(tokens, asked)
    assert torch.allclose(found[:3], expected[:3]) and not torch.allclose(found[3], expected[3])


def test_a_section_adds_its_number_whatever_the_sentence_says():
    net = make_net()
    tokens, asked = make_input()
    first, second = (
        net(tokens, {**asked, "section": torch.full((4,), number)}) for number in (0, 2)
    )
    step = (net.section.weight[2] - net.section.weight[0]).item()
    assert torch.allclose(second - first, torch.full((4,), step).double())


def test_sections_are_alike_before_any_training():
    net = SentenceNet(WIDTH, FEATURES, SECTIONS, hidden=6, dropout=0.0, hide=0.0)
    assert net.section.weight.shape == (SECTIONS, 1) and not net.section.weight.any()


def bend(net, tokens, asked):
    """How far each score is from a straight line in what is known."""
    rows = [net(tokens, {**asked, "features": n * asked["features"]}) for n in (-4, 0, 4)]
    return (rows[0] + rows[2] - 2 * rows[1]).abs()


def test_what_is_known_counts_straight_and_bent():
    net = make_net()
    tokens, asked = make_input()
    assert bend(net, tokens, asked).max() > 0.1
    torch.nn.init.zeros_(net.output.weight)
    assert bend(net, tokens, asked).max() < 1e-9
    # all that is left: the bias of the bent part, the straight part, the section
    expected = net.straight(asked["features"]) + net.section(asked["section"]) + net.output.bias
    assert torch.allclose(net(tokens, asked), expected.squeeze(1))
    assert len(set(expected.flatten().tolist())) == 4


def test_the_order_of_tokens_does_not_count_and_their_number_little():
    net = make_net()
    tokens, asked = make_input()
    expected = net(tokens, asked)
    assert torch.allclose(net(tokens[[1, 0, 2, 5, 4, 3, 6, 7]], asked), expected)
    twice = {**asked, "sentence": asked["sentence"].repeat_interleave(2)}
    assert torch.allclose(net(tokens.repeat_interleave(2, 0), twice), expected)


# Learning


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


@pytest.mark.parametrize("name", ["dropout", "hide"])
def test_chance_in_training_alone(name):
    net = make_net(**{name: 0.5})
    tokens, asked = make_input()
    expected = make_net()(tokens, asked)
    assert torch.equal(net(tokens, asked), expected)
    net.train()
    assert not torch.equal(net(tokens, asked), net(tokens, asked))


def test_what_is_hidden_in_training_is_of_the_vector_alone():
    net = make_net(hide=1.0)
    tokens, asked = make_input()
    changed = tokens + torch.arange(8).unsqueeze(1) * torch.rand(WIDTH)
    assert not torch.allclose(net(changed, asked), net(tokens, asked))
    net.train()
    assert torch.equal(net(changed, asked), net(tokens, asked))
    other = {**asked, "features": asked["features"] + 1}
    assert (net(tokens, other) - net(tokens, asked)).abs().min() > 1e-3
    hidden = net(tokens, asked)
    torch.nn.init.zeros_(net.eval().words.weight)
    assert torch.allclose(net(tokens, asked), hidden)
