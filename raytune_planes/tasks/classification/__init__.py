"""Which class a picture shows: a classifier for each dataset."""
