"""Losses as courses and tutorials write them. Each function gives (loss, params)."""

import math
from dataclasses import dataclass, field
from functools import cached_property, partial, reduce

import numpy as np


def rng(seed=0):
    return np.random.default_rng(seed)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def relu(z):
    return np.maximum(0, z)


def softmax(z):
    e = np.exp(z - np.max(z, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def two_layer_net():
    """The class of the assignment: caches, scores, data loss and regularisation."""

    class TwoLayerNet:
        def __init__(self, d, h, c):
            r = rng(1)
            self.params = {}
            self.params["W1"] = 0.5 * r.standard_normal((d, h))
            self.params["b1"] = np.zeros(h)
            self.params["W2"] = 0.5 * r.standard_normal((h, c))
            self.params["b2"] = np.zeros(c)
            self.reg = 0.1

        def loss(self, X, y=None):
            W1, b1 = self.params["W1"], self.params["b1"]
            W2, b2 = self.params["W2"], self.params["b2"]
            N, D = X.shape
            a, self.cache1 = affine_forward(X, W1, b1)
            h, self.cache2 = relu_forward(a)
            scores, self.cache3 = affine_forward(h, W2, b2)
            if y is None:
                return scores
            shifted = scores - np.max(scores, axis=1, keepdims=True)
            Z = np.sum(np.exp(shifted), axis=1, keepdims=True)
            log_probs = shifted - np.log(Z)
            data_loss = -np.sum(log_probs[np.arange(N), y]) / N
            return data_loss + 0.5 * self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2))

    def affine_forward(x, w, b):
        out = x.reshape(x.shape[0], -1).dot(w) + b
        return out, (x, w, b)

    def relu_forward(x):
        out = np.maximum(0, x)
        return out, x

    net = TwoLayerNet(4, 6, 3)
    X, y = rng(2).standard_normal((5, 4)), np.array([0, 2, 1, 1, 0])
    return lambda _: net.loss(X, y), net.params


def initialize_parameters_deep():
    """Dictionaries keyed by "W" + str(l), as in the deep learning course."""
    layer_dims = [5, 4, 3, 1]
    np_rng = rng(3)
    parameters = {}
    for l in range(1, len(layer_dims)):
        parameters["W" + str(l)] = np_rng.standard_normal(
            (layer_dims[l], layer_dims[l - 1])
        )
        parameters["b" + str(l)] = np.zeros((layer_dims[l], 1))
    X, Y = np_rng.standard_normal((5, 7)), (np_rng.random((1, 7)) > 0.5).astype(int)

    def linear_activation_forward(A_prev, W, b, activation):
        Z = np.dot(W, A_prev) + b
        linear_cache = (A_prev, W, b)
        if activation == "sigmoid":
            A, activation_cache = sigmoid(Z), Z
        elif activation == "relu":
            A, activation_cache = np.maximum(0, Z), Z
        assert Z.shape == (W.shape[0], A_prev.shape[1])
        return A, (linear_cache, activation_cache)

    def L_model_forward(X, parameters):
        caches = []
        A = X
        L = len(parameters) // 2
        for l in range(1, L):
            A_prev = A
            A, cache = linear_activation_forward(
                A_prev, parameters["W" + str(l)], parameters["b" + str(l)], "relu"
            )
            caches.append(cache)
        AL, cache = linear_activation_forward(
            A, parameters["W" + str(L)], parameters["b" + str(L)], "sigmoid"
        )
        caches.append(cache)
        return AL, caches

    def compute_cost(AL, Y):
        m = Y.shape[1]
        cost = (
            -1.0
            / m
            * np.nansum(np.multiply(np.log(AL), Y) + np.multiply(1 - Y, np.log(1 - AL)))
        )
        cost = np.squeeze(cost)
        return cost

    return lambda p: compute_cost(L_model_forward(X, p)[0], Y), parameters


def vector_to_dictionary():
    """The course's gradient check: parameters unrolled into one column."""
    X, Y = rng(4).standard_normal((4, 3)), np.array([[1, 1, 0]])
    theta = 0.5 * rng(5).standard_normal((4 * 5 + 5 + 3 * 5 + 3 + 3 + 1, 1))

    def vector_to_dictionary(theta):
        parameters = {}
        parameters["W1"] = theta[:20].reshape((5, 4))
        parameters["b1"] = theta[20:25].reshape((5, 1))
        parameters["W2"] = theta[25:40].reshape((3, 5))
        parameters["b2"] = theta[40:43].reshape((3, 1))
        parameters["W3"] = theta[43:46].reshape((1, 3))
        parameters["b3"] = theta[46:47].reshape((1, 1))
        return parameters

    def forward_propagation_n(theta):
        parameters = vector_to_dictionary(theta)
        m = X.shape[1]
        W1, b1, W2, b2, W3, b3 = (
            parameters[k] for k in ("W1", "b1", "W2", "b2", "W3", "b3")
        )
        Z1 = np.dot(W1, X) + b1
        A1 = relu(Z1)
        Z2 = np.dot(W2, A1) + b2
        A2 = relu(Z2)
        Z3 = np.dot(W3, A2) + b3
        A3 = sigmoid(Z3)
        logprobs = np.multiply(-np.log(A3), Y) + np.multiply(-np.log(1 - A3), 1 - Y)
        return 1.0 / m * np.sum(logprobs)

    return forward_propagation_n, theta


def conv_four_loops():
    """Four nested loops over a padded volume."""
    X = rng(6).standard_normal((2, 5, 5, 2))
    params = {
        "W": 0.3 * rng(7).standard_normal((3, 3, 2, 2)),
        "b": rng(8).standard_normal((1, 1, 1, 2)),
    }

    def zero_pad(X, pad):
        return np.pad(
            X,
            ((0, 0), (pad, pad), (pad, pad), (0, 0)),
            "constant",
            constant_values=(0, 0),
        )

    def conv_single_step(a_slice_prev, W, b):
        s = np.multiply(a_slice_prev, W)
        Z = np.sum(s)
        Z = Z + float(b.item())
        return Z

    def conv_forward(A_prev, W, b, stride=2, pad=1):
        m, n_H_prev, n_W_prev, _ = A_prev.shape
        f = W.shape[0]
        n_C = W.shape[3]
        n_H = int((n_H_prev - f + 2 * pad) / stride) + 1
        n_W = int((n_W_prev - f + 2 * pad) / stride) + 1
        Z = np.zeros((m, n_H, n_W, n_C))
        A_prev_pad = zero_pad(A_prev, pad)
        for i in range(m):
            a_prev_pad = A_prev_pad[i]
            for h in range(n_H):
                vert_start = h * stride
                for w in range(n_W):
                    horiz_start = w * stride
                    for c in range(n_C):
                        a_slice_prev = a_prev_pad[
                            vert_start : vert_start + f,
                            horiz_start : horiz_start + f,
                            :,
                        ]
                        Z[i, h, w, c] = conv_single_step(
                            a_slice_prev, W[:, :, :, c], b[:, :, :, c]
                        )
        return Z

    return lambda p: np.sum(np.tanh(conv_forward(X, p["W"], p["b"])) ** 2), params


def max_pool_loops():
    params = {"x": rng(9).standard_normal((2, 4, 4, 2))}

    def pool_forward(A_prev, f=2, stride=2, mode="max"):
        m, H, W, n_C = A_prev.shape
        A = np.zeros((m, 1 + (H - f) // stride, 1 + (W - f) // stride, n_C))
        for i in range(m):
            for h in range(A.shape[1]):
                for w in range(A.shape[2]):
                    for c in range(n_C):
                        window = A_prev[
                            i,
                            h * stride : h * stride + f,
                            w * stride : w * stride + f,
                            c,
                        ]
                        if mode == "max":
                            A[i, h, w, c] = np.max(window)
                        else:
                            A[i, h, w, c] = np.mean(window)
        return A

    return (
        lambda p: (
            np.sum(pool_forward(p["x"]) ** 2)
            + pool_forward(p["x"], mode="average").sum()
        ),
        params,
    )


def char_rnn():
    """The minimal character RNN: dictionaries of time steps."""
    vocab, hidden = 5, 4
    r = rng(10)
    params = {
        "Wxh": 0.3 * r.standard_normal((hidden, vocab)),
        "Whh": 0.3 * r.standard_normal((hidden, hidden)),
        "Why": 0.3 * r.standard_normal((vocab, hidden)),
        "bh": np.zeros((hidden, 1)),
        "by": np.zeros((vocab, 1)),
    }
    inputs, targets = [0, 3, 1, 1, 4], [3, 1, 1, 4, 2]

    def lossFun(p):
        xs, hs, ys, ps = {}, {}, {}, {}
        hs[-1] = np.copy(np.zeros((hidden, 1)))
        loss = 0
        for t in range(len(inputs)):
            xs[t] = np.zeros((vocab, 1))
            xs[t][inputs[t]] = 1
            hs[t] = np.tanh(
                np.dot(p["Wxh"], xs[t]) + np.dot(p["Whh"], hs[t - 1]) + p["bh"]
            )
            ys[t] = np.dot(p["Why"], hs[t]) + p["by"]
            ps[t] = np.exp(ys[t]) / np.sum(np.exp(ys[t]))
            loss += -np.log(ps[t][targets[t], 0])
        return loss

    return lossFun, params


def char_rnn_with_backward():
    """The same, returning the gradients too."""
    forward, params = char_rnn()

    def both(p):
        loss = forward(p)
        grads = {k: np.zeros_like(v) for k, v in p.items()}
        for dparam in grads.values():
            np.clip(dparam, -5, 5, out=dparam)
        return loss, grads

    both.loss_only = forward
    return both, params


def lstm_cell():
    r = rng(11)
    n, d, T = 3, 2, 4
    params = {
        "W": 0.5 * r.standard_normal((4 * n, n + d)),
        "b": 0.1 * r.standard_normal(4 * n),
    }
    x = r.standard_normal((T, d))

    def step(x_t, h, c, p):
        z = p["W"] @ np.concatenate([h, x_t]) + p["b"]
        i, f, o, g = np.split(z, 4)
        i, f, o = sigmoid(i), sigmoid(f), sigmoid(o)
        c = f * c + i * np.tanh(g)
        return o * np.tanh(c), c

    def loss(p):
        h = c = np.zeros(n)
        out = []
        for x_t in x:
            h, c = step(x_t, h, c, p)
            out.append(h)
        return np.mean(np.stack(out) ** 2)

    return loss, params


def batchnorm_layer():
    r = rng(12)
    params = {
        "x": r.standard_normal((6, 3)),
        "gamma": r.random(3) + 0.5,
        "beta": r.standard_normal(3),
    }
    bn_param = {"mode": "train", "eps": 1e-5, "momentum": 0.9}

    def batchnorm_forward(x, gamma, beta, bn_param):
        mode = bn_param["mode"]
        eps = bn_param.get("eps", 1e-5)
        momentum = bn_param.get("momentum", 0.9)
        N, D = x.shape
        running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
        running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
        out, cache = None, None
        if mode == "train":
            mu = np.mean(x, axis=0)
            xc = x - mu
            var = np.mean(xc**2, axis=0)
            std = (var + eps) ** 0.5
            xn = xc / std
            out = gamma * xn + beta
            cache = (mode, x, gamma, xc, std, xn, out)
            running_mean *= momentum
            running_mean += (1 - momentum) * mu
            running_var = momentum * running_var + (1 - momentum) * var
        bn_param["running_mean"] = running_mean
        bn_param["running_var"] = running_var
        return out, cache

    weight = rng(13).standard_normal((6, 3))
    return lambda p: np.sum(
        batchnorm_forward(p["x"], p["gamma"], p["beta"], bn_param)[0] * weight
    ), params


def svm_loops():
    """Multiclass SVM, naive: two loops and a branch on the margin."""
    r = rng(14)
    X, y = r.standard_normal((6, 4)), np.array([0, 2, 1, 1, 0, 2])

    def svm_loss_naive(W, reg=0.05):
        num_classes = W.shape[1]
        num_train = X.shape[0]
        loss = 0.0
        for i in range(num_train):
            scores = X[i].dot(W)
            correct_class_score = scores[y[i]]
            for j in range(num_classes):
                if j == y[i]:
                    continue
                margin = scores[j] - correct_class_score + 1
                if margin > 0:
                    loss += margin
        loss /= num_train
        loss += reg * np.sum(W * W)
        return loss

    return svm_loss_naive, r.standard_normal((4, 3))


def svm_vectorized():
    r = rng(15)
    X, y = r.standard_normal((6, 4)), np.array([0, 2, 1, 1, 0, 2])

    def loss(W):
        scores = X.dot(W)
        correct = scores[np.arange(len(y)), y][:, np.newaxis]
        margins = np.maximum(0, scores - correct + 1)
        margins[np.arange(len(y)), y] = 0
        return margins.sum() / len(y) + 1e-3 * np.sum(W**2)

    return loss, r.standard_normal((4, 3))


def softmax_loops():
    r = rng(16)
    X, y = r.standard_normal((5, 3)), np.array([0, 2, 1, 1, 0])

    def loss(W):
        total = 0.0
        for i in range(len(X)):
            f = X[i] @ W
            f -= np.max(f)
            p = np.exp(f) / np.sum(np.exp(f))
            total += -math.log(p[y[i]])
        return total / len(X)

    return loss, r.standard_normal((3, 3))


def logistic_math():
    """Pure Python: lists, zip, math."""
    r = rng(17)
    data = [
        (list(map(float, x)), int(t))
        for x, t in zip(r.standard_normal((8, 3)), r.integers(0, 2, 8))
    ]

    def predict(w, x):
        return 1.0 / (1.0 + math.exp(-sum(wi * xi for wi, xi in zip(w, x))))

    def loss(w):
        total = 0.0
        for x, t in data:
            p = predict(w, x)
            total -= t * math.log(p) + (1 - t) * math.log(1 - p)
        return total / len(data)

    return loss, r.standard_normal(3)


def layers_as_objects():
    class Layer:
        def __call__(self, x):
            return self.forward(x)

    class Dense(Layer):
        def __init__(self, n_in, n_out, seed):
            self.W = rng(seed).standard_normal((n_in, n_out)) / np.sqrt(n_in)
            self.b = np.zeros(n_out)

        def forward(self, x):
            self.x = x
            return x.dot(self.W) + self.b

        @property
        def params(self):
            return {"W": self.W, "b": self.b}

    class Activation(Layer):
        def __init__(self, f):
            self.f = f

        def forward(self, x):
            self.out = self.f(x)
            return self.out

        params = {}

    class Sequential:
        def __init__(self, *layers):
            self.layers = list(layers)

        def __call__(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

        def parameters(self):
            return [layer.params for layer in self.layers]

    model = Sequential(
        Dense(3, 5, 18),
        Activation(np.tanh),
        Dense(5, 2, 19),
        Activation(lambda z: z * sigmoid(z)),
    )
    X, T = rng(20).standard_normal((4, 3)), rng(21).standard_normal((4, 2))
    return lambda p: np.mean((model(X) - T) ** 2), model.parameters()


def dropout_fixed_mask():
    r = rng(22)
    X = r.standard_normal((4, 3))

    def loss(p):
        np.random.seed(1)
        D = np.random.rand(4, 5) < 0.7
        A = relu(X @ p["W"]) * D / 0.7
        return float(np.sum(A**2))

    return loss, {"W": r.standard_normal((3, 5))}


def leaky_and_masks():
    """Activations written with boolean masks."""

    def leaky(z):
        out = z.copy()
        out[z < 0] *= 0.1
        return out

    def elu(z):
        out = np.zeros_like(z)
        mask = z > 0
        out[mask] = z[mask]
        out[~mask] = np.exp(z[~mask]) - 1
        return out

    def stable_sigmoid(z):
        return np.where(z >= 0, 1 / (1 + np.exp(-z)), np.exp(z) / (1 + np.exp(z)))

    return (
        lambda w: np.sum(leaky(w) ** 2) + np.sum(elu(w)) + np.sum(stable_sigmoid(w)),
        rng(23).standard_normal(9),
    )


def stable_sigmoid_branches():
    def sigmoid(x):
        if x >= 0:
            z = math.exp(-x)
            return 1 / (1 + z)
        z = math.exp(x)
        return z / (1 + z)

    return lambda w: sum(sigmoid(x) ** 2 for x in w), np.array([0.7, -1.2, 2.0])


def embedding_attention():
    r = rng(24)
    tokens = [1, 3, 3, 0]
    params = {
        k: 0.5 * r.standard_normal(s)
        for k, s in dict(E=(5, 4), Q=(4, 4), K=(4, 4), V=(4, 4)).items()
    }

    def loss(p):
        x = np.array([p["E"][t] for t in tokens])
        q, k, v = x @ p["Q"], x @ p["K"], x @ p["V"]
        scores = q @ k.T / math.sqrt(q.shape[-1])
        mask = np.triu(np.ones((4, 4)), k=1).astype(bool)
        scores[mask] = -1e9
        return (softmax(scores) @ v).mean()

    return loss, params


def multihead_loop():
    r = rng(25)
    X = r.standard_normal((3, 4))
    params = {
        "heads": [
            {
                "q": r.standard_normal((4, 2)),
                "k": r.standard_normal((4, 2)),
                "v": r.standard_normal((4, 2)),
            }
            for _ in range(2)
        ],
        "o": r.standard_normal((4, 4)),
    }

    def loss(p):
        outs = []
        for head in p["heads"]:
            q, k, v = (X @ head[name] for name in "qkv")
            outs.append(softmax(q @ k.T) @ v)
        return np.linalg.norm(np.concatenate(outs, axis=-1) @ p["o"])

    return loss, params


def layer_norm_residual():
    r = rng(26)
    X = r.standard_normal((4, 5))

    def layer_norm(x, g, b, eps=1e-5):
        mean = x.mean(-1, keepdims=True)
        var = ((x - mean) ** 2).mean(-1, keepdims=True)
        return g * (x - mean) / np.sqrt(var + eps) + b

    def gelu(x):
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))

    def block(x, p):
        return x + gelu(layer_norm(x, p["g"], p["b"]) @ p["W"])

    def loss(p):
        x = X
        for layer in p:
            x = block(x, layer)
        return (x**2).mean()

    return loss, [
        {"g": np.ones(5), "b": np.zeros(5), "W": 0.3 * r.standard_normal((5, 5))}
        for _ in range(2)
    ]


def autoencoder_partial():
    r = rng(27)
    X = r.standard_normal((6, 4))

    def mse(a, b, scale=1.0):
        return scale * np.mean(np.square(a - b))

    def loss(data, lam, p):
        code = np.tanh(data @ p["enc"])
        return mse(code @ p["dec"], data, scale=0.5) + lam * np.abs(code).sum()

    return partial(loss, X, 0.01), {
        "enc": r.standard_normal((4, 2)),
        "dec": r.standard_normal((2, 4)),
    }


def vae():
    r = rng(28)
    X, eps = r.random((5, 4)), r.standard_normal((5, 2))
    p = {k: 0.4 * r.standard_normal(s) for k, s in dict(W=(4, 4), U=(2, 4)).items()}

    def loss(p):
        h = X @ p["W"]
        mu, logvar = h[:, :2], h[:, 2:]
        z = mu + np.exp(0.5 * logvar) * eps
        x = sigmoid(z @ p["U"])
        bce = -(X * np.log(x) + (1 - X) * np.log(1 - x)).sum(axis=1)
        kl = -0.5 * (1 + logvar - mu**2 - np.exp(logvar)).sum(axis=1)
        return (bce + kl).mean()

    return loss, p


def word2vec_negative_sampling():
    r = rng(29)
    center, outside, negatives = 2, 4, [0, 1, 1]
    params = {"C": r.standard_normal((6, 3)), "O": r.standard_normal((6, 3))}

    def loss(p):
        v = p["C"][center]
        indices = [outside] + negatives
        value = -np.log(sigmoid(p["O"][outside] @ v))
        for k in indices[1:]:
            value -= np.log(sigmoid(-np.dot(p["O"][k], v)))
        return value

    return loss, params


def dataclass_model():
    @dataclass
    class Config:
        hidden: int = 3
        scale: float = 0.5
        sizes: list = field(default_factory=list)

        def __post_init__(self):
            self.sizes.append(self.hidden)

    @dataclass
    class Params:
        W: np.ndarray
        b: np.ndarray

    def loss(p):
        config = Config(scale=0.7)
        z = p.W @ np.ones(2) + p.b
        return config.scale * np.sum(z**3) / config.sizes[0]

    return loss, Params(rng(30).standard_normal((3, 2)), rng(31).standard_normal(3))


def cached_properties():
    class GaussianProcess:
        def __init__(self, log_scale, noise):
            self.log_scale, self.noise = log_scale, noise

        @cached_property
        def K(self):
            return np.exp(-D / np.exp(self.log_scale)) + np.exp(self.noise) * np.eye(
                len(D)
            )

        @cached_property
        def L(self):
            return np.linalg.cholesky(self.K)

        def nll(self):
            alpha = np.linalg.solve(self.L.T, np.linalg.solve(self.L, y))
            return (
                0.5 * y.dot(alpha)
                + np.log(np.diag(self.L)).sum()
                + 0.5 * len(y) * np.log(2 * np.pi)
            )

    x = np.linspace(0, 1, 6)
    D, y = (x[:, None] - x[None, :]) ** 2, np.sin(5 * x)
    return lambda t: GaussianProcess(t[0], t[1]).nll(), np.array([-1.0, -2.0])


def reduce_lambda():
    r = rng(32)
    x = r.standard_normal(3)
    layers = [r.standard_normal((3, 3)) for _ in range(3)]
    return lambda ws: float(np.sum(reduce(lambda a, w: np.tanh(w @ a), ws, x))), layers


def generator_pipeline():
    r = rng(33)
    X, Y = r.standard_normal((10, 3)), r.standard_normal(10)

    def batches(n):
        for i in range(0, len(X), n):
            yield X[i : i + n], Y[i : i + n]

    def losses(w):
        for xb, yb in batches(4):
            yield ((xb @ w - yb) ** 2).sum()

    return lambda w: sum(losses(w)) / len(X), r.standard_normal(3)


def walrus_match():
    def term(kind, x):
        match kind:
            case "square":
                return x * x
            case "exp" if x > 0:
                return math.exp(-x)
            case _:
                return abs(x)

    def loss(w):
        total = 0.0
        for kind, x in zip(("square", "exp", "other"), w):
            if (value := term(kind, x)) > 0.1:
                total += value
            else:
                total += value / 2
        return total

    return loss, np.array([0.4, 0.8, -1.1])


def contrastive_triplets():
    r = rng(34)
    X = r.standard_normal((6, 4))
    triplets = [(0, 1, 2), (3, 4, 5), (1, 0, 5)]

    def loss(W):
        z = X @ W
        z = z / np.linalg.norm(z, axis=1, keepdims=True)
        total = 0.0
        for a, p, n in triplets:
            d_pos = np.sum((z[a] - z[p]) ** 2)
            d_neg = np.sum((z[a] - z[n]) ** 2)
            total += max(0.0, d_pos - d_neg + 0.5)
        return total / len(triplets)

    return loss, r.standard_normal((4, 3))


def optimizer_step_inside():
    """One step of gradient descent inside the loss (meta-learning)."""
    r = rng(35)
    X, y = r.standard_normal((5, 3)), r.standard_normal(5)

    def inner_grad(w):
        return 2 * X.T @ (X @ w - y) / len(y)

    def loss(w):
        fast = w.copy()
        for _ in range(3):
            fast -= 0.1 * inner_grad(fast)
        return np.mean((X @ fast - y) ** 2)

    return loss, r.standard_normal(3)


def gru_classes():
    r = rng(36)

    class GRUCell:
        def __init__(self, n, d):
            self.Wz, self.Wr, self.Wh = (
                0.5 * r.standard_normal((n, n + d)) for _ in range(3)
            )

        def step(self, h, x):
            hx = np.hstack((h, x))
            z, rr = sigmoid(self.Wz.dot(hx)), sigmoid(self.Wr.dot(hx))
            return (1 - z) * h + z * np.tanh(self.Wh.dot(np.hstack((rr * h, x))))

    cell = GRUCell(3, 2)
    xs = r.standard_normal((4, 2))

    def loss(_):
        h = np.zeros(3)
        for x in xs:
            h = cell.step(h, x)
        return (h**2).sum()

    return loss, [cell.Wz, cell.Wr, cell.Wh]


def micrograd_values():
    """Scalars in objects with operators, as in micrograd."""

    class Value:
        def __init__(self, data):
            self.data = data

        def __add__(self, other):
            return Value(
                self.data + (other.data if isinstance(other, Value) else other)
            )

        __radd__ = __add__

        def __mul__(self, other):
            return Value(
                self.data * (other.data if isinstance(other, Value) else other)
            )

        def tanh(self):
            x = self.data
            return Value((math.exp(2 * x) - 1) / (math.exp(2 * x) + 1))

    def loss(w):
        a, b, c = [Value(x) for x in w]
        return ((a * b + c) * 2.0 + 1.0).tanh().data

    return loss, np.array([0.3, -0.4, 0.1])


def im2col_conv():
    r = rng(37)
    x = r.standard_normal((2, 3, 5, 5))
    params = {"w": 0.3 * r.standard_normal((2, 3, 3, 3)), "b": r.standard_normal(2)}

    def get_im2col_indices(C, H, W, f):
        i0 = np.tile(np.repeat(np.arange(f), f), C)
        i1 = np.repeat(np.arange(H - f + 1), W - f + 1)
        j0 = np.tile(np.arange(f), f * C)
        j1 = np.tile(np.arange(W - f + 1), H - f + 1)
        k = np.repeat(np.arange(C), f * f).reshape(-1, 1)
        return (
            k,
            i0.reshape(-1, 1) + i1.reshape(1, -1),
            j0.reshape(-1, 1) + j1.reshape(1, -1),
        )

    def loss(p):
        k, i, j = get_im2col_indices(3, 5, 5, 3)
        cols = x[:, k, i, j].transpose(1, 2, 0).reshape(27, -1)
        out = p["w"].reshape(2, -1) @ cols + p["b"].reshape(-1, 1)
        return np.sum(relu(out.reshape(2, 3, 3, 2).transpose(3, 0, 1, 2)))

    return loss, params
