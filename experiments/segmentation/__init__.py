"""Training with labels: folds, what each part of a method does, and pages."""
