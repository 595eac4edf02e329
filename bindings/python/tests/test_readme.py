"""Every Python block of the README prints what stands behind it; the benchmark runs."""

import pathlib
import re
import subprocess
import sys
import unittest

README = pathlib.Path(__file__).resolve().parent.parent / "README.md"


class Readme(unittest.TestCase):
    def test_the_examples_print_what_stands_there(self):
        examples = re.findall(r"```python\n(.*?)```\n+prints\n+```text\n(.*?)```", README.read_text(), re.S)
        self.assertEqual(len(examples), 6)
        for text, expected in examples:
            done = subprocess.run([sys.executable, "-W", "default", "-c", text], capture_output=True, text=True, timeout=120)
            self.assertEqual((done.stdout, done.stderr), (expected, ""))

    def test_the_benchmark_prints_its_table(self):
        done = subprocess.run([sys.executable, "-m", "execq.bench", "--repeat", "1", "--count", "4000"], capture_output=True,
                              text=True, timeout=120)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(len(re.findall(r"x$", done.stdout, re.M)), 4 + 2 * 4)  # with the original package


if __name__ == "__main__":
    unittest.main()
