"""Networks as people bring them: a small decoder in the manner of Qwen, an MLP, and some that cannot be trained."""

import torch
from torch import nn
from torch.nn import functional


def mlp(task, width=24):
    """Embed, put side by side, one hidden layer."""
    positions = task.table.inputs.shape[1]
    return nn.Sequential(
        nn.Embedding(task.table.symbols, width),
        nn.Flatten(),
        nn.Linear(positions * width, width),
        nn.ReLU(),
        nn.Linear(width, task.table.classes),
    )


class RMSNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


def rotate(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


class Attention(nn.Module):
    """Grouped-query attention with rotary positions and a norm of queries and keys."""

    def __init__(self, width, heads, groups, length):
        super().__init__()
        self.heads, self.groups, self.head = heads, groups, width // heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, groups * self.head, bias=False)
        self.value = nn.Linear(width, groups * self.head, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.query_norm, self.key_norm = RMSNorm(self.head), RMSNorm(self.head)
        angles = torch.arange(length)[:, None] * 1e4 ** (-torch.arange(0, self.head, 2) / self.head)
        self.register_buffer("cos", torch.cat([angles, angles], dim=-1).cos(), persistent=False)
        self.register_buffer("sin", torch.cat([angles, angles], dim=-1).sin(), persistent=False)

    def forward(self, x):
        n, length, width = x.shape
        query = self.query_norm(self.query(x).view(n, length, self.heads, self.head)).transpose(1, 2)
        key = self.key_norm(self.key(x).view(n, length, self.groups, self.head)).transpose(1, 2)
        value = self.value(x).view(n, length, self.groups, self.head).transpose(1, 2)
        query, key = rotate(query, self.cos, self.sin), rotate(key, self.cos, self.sin)
        key, value = (part.repeat_interleave(self.heads // self.groups, dim=1) for part in (key, value))
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(n, length, width))


class Block(nn.Module):
    def __init__(self, width, heads, groups, length):
        super().__init__()
        self.attention_norm, self.mlp_norm = RMSNorm(width), RMSNorm(width)
        self.attention = Attention(width, heads, groups, length)
        self.gate, self.up = (nn.Linear(width, 2 * width, bias=False) for _ in range(2))
        self.down = nn.Linear(2 * width, width, bias=False)

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        y = self.mlp_norm(x)
        return x + self.down(functional.silu(self.gate(y)) * self.up(y))


class Decoder(nn.Module):
    """A Qwen-style decoder: RMSNorm, rotary positions, grouped queries, gated MLP; logits at every position."""

    def __init__(self, vocabulary, length, width=16, layers=1, heads=4, groups=2):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(Block(width, heads, groups, length) for _ in range(layers))
        self.norm = RMSNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens):
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def qwen(task, **sizes):
    """With "=" behind the operands."""
    return Decoder(task.table.symbols + 1, task.table.inputs.shape[1] + 1, **sizes)


def tied(task):
    """Read out by the embedding."""
    net = qwen(task)
    net.head.weight = net.embedding.weight
    return net


def dropping(task):
    return nn.Sequential(mlp(task), nn.Dropout(0.5))


def remembering(task):
    return nn.Sequential(mlp(task), nn.BatchNorm1d(task.table.classes))


def narrow(task):
    return nn.Sequential(nn.Embedding(task.table.symbols, 4), nn.Flatten(), nn.Linear(8, 2))


def failing(_task):
    raise RuntimeError("out of ideas")


def nothing(_task):
    return {"not": "a module"}
