"""One LimitRange for each profile namespace: what containers get that ask for nothing."""
