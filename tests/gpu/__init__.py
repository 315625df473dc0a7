"""What is to hold on a GPU: one command that shows it on a card, and its dry run on a CPU."""
