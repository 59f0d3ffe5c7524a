"""foretell.LSTM where torch.nn.LSTM was: the same numbers, and then what torch's layer cannot do."""

import torch

from foretell import LSTM

torch.manual_seed(0)
x = torch.randn(7, 2, 3)  # T, B, I

# A drop-in: signature, parameter names, shapes and results are torch's, both ways.
theirs = torch.nn.LSTM(3, 5, num_layers=2)
ours = LSTM.from_torch(theirs)
torch.testing.assert_close(ours(x), theirs(x))
ours.load_state_dict(theirs.state_dict())
assert isinstance(ours.to_torch(), torch.nn.LSTM)

# Greff et al.'s variants by name, and single options, which combine.
for name in ("V", "CIFG", "NOG", "FGR"):
    variant = LSTM(3, 5, variant=name)
    print(name, variant.options.changed(), sum(p.numel() for p in variant.parameters()), "weights")
layer = LSTM(3, 5, num_layers=2, layer_norm=True, zoneout=0.1, recurrent_dropout=0.2, forget_bias=1.0)
y, (h, c) = layer(x)
print("y", tuple(y.shape), "h", tuple(h.shape), "c", tuple(c.shape))

# Rows of different lengths without packing, an empty one among them; resets inside a sequence.
y, (h, c) = ours(x, lengths=[7, 0])
assert not y[:, 1].any()
reset = torch.zeros(7, 2, dtype=torch.bool)
reset[4] = True  # a new sequence begins at step 4
torch.testing.assert_close(ours(x, reset=reset)[0][4:], ours(x[4:])[0])

# Every gate after its activation, of every layer and direction.
trace = ours.trace(x)
print("forget gates of the first layer", tuple(trace.layers[0][0].f.shape))

# One step at a time, the state carried along: the numbers of the whole call.
stream = ours.stream(batch=2)
steps = torch.stack([stream.step(one) for one in x])
torch.testing.assert_close(steps, ours(x)[0])
