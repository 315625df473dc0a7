"""What is wrong with pictures, planted and found."""
