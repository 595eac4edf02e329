"""The tests of execq.aio once more, on uvloop's PyPI wheel, which has a libuv of its own."""

import unittest

import test_aio
import uvloop


def load_tests(loader, tests, pattern):
    suite = unittest.TestSuite()
    for kind in vars(test_aio).values():
        if isinstance(kind, type) and issubclass(kind, test_aio.Aio) and kind is not test_aio.Aio:
            fresh = type(f"Uvloop{kind.__name__}", (kind,), {"new_loop": staticmethod(uvloop.new_event_loop)})
            suite.addTests(loader.loadTestsFromTestCase(fresh))
    return suite


if __name__ == "__main__":
    unittest.main()
