"""Whole scenes: read in overlapping tiles that are joined again, and judged by what is found in them."""
