"""Measurements that print ratios taken in one run; see README.md for what they found."""
