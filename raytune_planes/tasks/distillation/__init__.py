"""What a specialist of each dataset says of its pictures, as a second target."""
