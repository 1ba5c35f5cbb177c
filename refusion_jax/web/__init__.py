"""The page of `refusion serve`: what is dropped on it is fused on this machine."""
