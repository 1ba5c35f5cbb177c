"""Fusing: from pictures, stacks and videos to one picture or video."""
