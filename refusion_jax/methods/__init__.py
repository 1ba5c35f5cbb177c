"""Methods: what a fusion method is, which there are, and each as a room of its own."""
