"""Evaluation: candidates, scores, comparisons, tables, the report."""
