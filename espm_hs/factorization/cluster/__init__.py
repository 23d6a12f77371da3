"""The same passes on a cluster of dask."""
