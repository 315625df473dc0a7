"""Images beside the sentences that describe their classes."""
