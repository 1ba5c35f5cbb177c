"""Fusing: pictures in, picture out; files, stacks and videos."""
