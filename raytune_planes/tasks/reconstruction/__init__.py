"""What hidden patches of a picture show."""
