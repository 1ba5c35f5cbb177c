"""Evaluation: candidates, scores, comparisons, tables, reports."""
