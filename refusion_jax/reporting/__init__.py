"""Reporting: pages, charts, panels, curves, colour maps."""
