"""Backbones from timm: features, head, taps on inner layers, weights."""
