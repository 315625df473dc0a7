"""Object stores (S3, Google Cloud Storage, Azure): their addresses, what lies there, and copies of it on this host.

By ``pyarrow.fs``: Ray brings it, and it has all three built in, with credentials from each cloud's usual places.
fsspec would need s3fs, gcsfs and adlfs beside it, and s3fs pins versions of botocore that Ray's launcher shares.
"""
