"""Which pixels belong to a plane: masks from one decoder."""
