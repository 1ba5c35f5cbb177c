"""The comparison with other methods: its records and its pages."""
