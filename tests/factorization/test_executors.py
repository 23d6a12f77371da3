"""What passes over counts do with the threads of this process."""

from threadpoolctl import threadpool_info, threadpool_limits

from espm_hs.factorization.executors import one_blas_thread


def blas_threads():
    return {
        one["filepath"]: one["num_threads"]
        for one in threadpool_info()
        if one["user_api"] == "blas"
    }


def test_blas_has_one_thread_for_as_long_as_it_lasts():
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        assert set(before.values()) == {2}
        with one_blas_thread():
            # of every library that is loaded by now, numpy's and scipy's
            assert set(blas_threads().values()) == {1}
            with one_blas_thread():
                pass
            assert set(blas_threads().values()) == {1}
        assert blas_threads() == before
