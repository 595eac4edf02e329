"""execq.native."""

import ctypes
import os
import threading
import unittest

import execq

WAIT = 60
LIBC, LIBM = "libc.so.6", "libm.so.6"


class Native(unittest.TestCase):
    def setUp(self):
        self.pool = execq.ThreadPoolExecutor(2)
        self.addCleanup(self.pool.shutdown)

    def call(self, *args, **kwargs):
        return execq.native(*args, executor=self.pool, **kwargs).result(WAIT)

    def test_integers(self):
        self.assertEqual(self.call(LIBC, "abs", -5), 5)
        self.assertEqual(self.call(LIBC, "labs", -(2**40), argtypes=[ctypes.c_long], restype=ctypes.c_long), 2**40)
        self.assertEqual(self.call(ctypes.CDLL(LIBC), "toupper", ctypes.c_int(97)), 65)

    def test_floating_point_numbers(self):
        self.assertEqual(self.call(LIBM, "pow", 2.0, 10, argtypes=[ctypes.c_double] * 2, restype=ctypes.c_double), 1024.0)
        self.assertEqual(self.call(LIBM, "sqrtf", 9.0, argtypes=[ctypes.c_float], restype=ctypes.c_float), 3.0)
        mixed = dict(argtypes=[ctypes.c_double, ctypes.c_int], restype=ctypes.c_double)
        self.assertEqual(self.call(LIBM, "ldexp", 1.5, 4, **mixed), 24.0)

    def test_strings_and_buffers(self):
        self.assertEqual(self.call(LIBC, "strlen", b"four", restype=ctypes.c_size_t), 4)
        buffer = ctypes.create_string_buffer(16)
        self.call(LIBC, "strcpy", buffer, b"copied", restype=ctypes.c_void_p)
        self.assertEqual(buffer.value, b"copied")
        self.assertEqual(self.call(LIBC, "strchr", b"a=b", ord("="), restype=ctypes.c_char_p,
                                   argtypes=[ctypes.c_char_p, ctypes.c_int]), b"=b")
        self.assertIsNone(self.call(LIBC, "free", None, argtypes=[ctypes.c_void_p], restype=None))
        whole = ctypes.c_double()
        rest = self.call(LIBM, "modf", 3.25, ctypes.pointer(whole), restype=ctypes.c_double,
                         argtypes=[ctypes.c_double, ctypes.POINTER(ctypes.c_double)])
        self.assertEqual((whole.value, rest), (3.0, 0.25))

    def test_the_interpreter_goes_on(self):
        read, write = os.pipe()
        buffer = ctypes.create_string_buffer(1)
        future = execq.native(LIBC, "read", read, buffer, 1, executor=self.pool, restype=ctypes.c_ssize_t)
        self.assertFalse(future.done())
        os.write(write, b"x")
        self.assertEqual(future.result(WAIT), 1)
        self.assertEqual(buffer.value, b"x")

    def test_what_has_not_begun_is_cancelled(self):
        pool, gate, inside = execq.ThreadPoolExecutor(1), threading.Event(), threading.Event()
        pool.submit(lambda: (inside.set(), gate.wait(WAIT)))
        inside.wait(WAIT)
        future = execq.native(LIBC, "abs", 1, executor=pool)
        self.assertTrue(future.cancel())
        self.assertTrue(future.cancelled())
        gate.set()
        pool.shutdown()

    def test_bad_input(self):
        for wrong in ((3, "abs"), (LIBC, "abs", 1.5), (LIBC, "abs", object())):
            with self.assertRaises(TypeError):
                self.call(*wrong)
        with self.assertRaises(TypeError):
            self.call(LIBC, "abs", 1, argtypes=[])
        with self.assertRaises(TypeError):
            execq.native(LIBC, "abs", 1, executor=3)
        with self.assertRaises(AttributeError):
            self.call(LIBC, "no_such_function")
        with self.assertRaises(OSError):
            self.call("no-such-library.so", "abs")
        with self.assertRaises(ValueError):
            self.call(LIBC, "abs", *range(7))
        self.pool.shutdown()
        with self.assertRaisesRegex(RuntimeError, "after shutdown"):
            self.call(LIBC, "abs", 1)


if __name__ == "__main__":
    unittest.main()
