"""The losses, one file a family: each an unreduced value and, beside it, its gradient."""
