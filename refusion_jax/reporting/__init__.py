"""Reporting: HTML pages, charts, panels, curves, colour maps."""
